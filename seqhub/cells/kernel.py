"""Native kernel of a cell: recording, compilation, calls with gradients, and the check against eager steps.

Shapes: B sequences of T steps, F features, states (B, W).
"""

import copy
import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from seqhub.cells.build import load_library
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.lowering import Lowering
from seqhub.cells.trace import BATCHES, Operation, Ref, compare_traces, record_step
from seqhub.cells.writer import write_source
from seqhub.models.wrapped.recurrent_cell import StateForm
from seqhub.native import derivatives
from seqhub.native.eligibility import are_plain, executes_eagerly

DTYPES = (torch.float32, torch.float64)
Loop = Callable[[nn.Module, Tensor, "list[Tensor] | None", "Tensor | None"], tuple[Tensor, list[Tensor]]]
"""Takes a cell, inputs, states and lengths; returns outputs and last states, as `recurrent_cell.run_loop` does."""

_CHECK_STEPS, _CHECK_ROWS = 3, 18  # more rows than a block has
_NOISE = 0.1
_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-6}  # relative to the largest number
_SMALL = 1e-3  # a tensor whose numbers are smaller than this share of the largest ones is compared with these
_AMPLIFIED = 20  # times the rounding of the eager form, which some cells amplify


class StepModule(nn.Module):
    """One step of a cell, from input and states to output and new states."""

    def __init__(self, cell: nn.Module, form: StateForm) -> None:
        super().__init__()
        self.cell, self.form = cell, form

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return the output and all new states."""
        output, after = self.form.unpack(self.cell(x, self.form.pack(list(states))))
        return output, *after


@dataclass(frozen=True)
class Leaf:
    """A tensor of a cell that a kernel reads: parameter, buffer or attribute, under all of its names; or a constant.

    Args:
        places: Path of the module, name of its dictionary, and key, for each name.
        constant: The tensor, if it has no name.
        shape: Its shape.
    """

    places: tuple[tuple[str, str, str], ...]
    constant: Tensor | None
    shape: tuple[int, ...]

    def of(self, cell: nn.Module) -> Tensor | None:
        """Return the tensor of a cell; None if its names are different tensors now, or its shape has changed."""
        if self.constant is not None:
            return self.constant
        found: Tensor | None = None
        for path, kind, key in self.places:
            module = cell.get_submodule(path) if path else cell
            values = module.__dict__ if kind == "" else module.__dict__[kind]
            each = values.get(key)
            if each is None or (found is not None and each is not found):
                return None
            found = each
        return found if found is not None and tuple(found.shape) == self.shape else None


class Kernel:
    """Compiled kernel of a cell for one width of the input and one type.

    Args:
        cell: The cell; a copy is recorded.
        form: StateForm of its state.
        features: F.
        dtype: float32 or float64.
        instruction_set: As in `load_library`.

    Raises:
        NotCompilableError: The cell is not supported, or cannot be compiled here.
    """

    def __init__(
        self, cell: nn.Module, form: StateForm, features: int, dtype: torch.dtype, *, instruction_set: str | None = None
    ) -> None:
        self.form, self.dtype = form, dtype
        low, copied = lower_cell(cell, form, features, dtype)
        self.source = write_source(low, type(cell).__name__)
        self.leaves, self._leaf_indices = _leaves(low, copied)
        self._prelude, self._weights = low.prelude, low.weights
        library = load_library(self.source.text, instruction_set)
        self._forward, self._backward = library.forward, library.backward
        for function in (self._forward, self._backward):
            function.restype, function.argtypes = None, [ctypes.c_char_p]
        for name in ("saved_size", "forward_scratch", "backward_scratch"):
            getattr(library, name).restype = ctypes.c_int64
        library.saved_size.argtypes = [ctypes.c_int64, ctypes.c_int64]
        self._saved_size = library.saved_size
        self._scratch = {"forward": int(library.forward_scratch()), "backward": int(library.backward_scratch())}

    def tensors_of(self, cell: nn.Module) -> list[Tensor] | None:
        """Return the tensors of a cell that the kernel reads; None if they are not as they were recorded."""
        found = []
        for leaf in self.leaves:
            tensor = leaf.of(cell)
            if tensor is None:
                return None
            found.append(tensor)
        return found

    def run(
        self,
        cell: nn.Module,
        loop: Loop,
        inputs: Tensor,
        states: list[Tensor] | None,
        lengths: Tensor | None,
        leaves: list[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Return outputs (B, T, W) and last states (B, W).

        Args:
            cell: The cell, for derivatives that the kernel does not provide.
            loop: The plain form, for the same.
            inputs: (B, T, F), of the type of the kernel, on the CPU.
            states: Initial states; None for zero.
            lengths: (B,), or None.
            leaves: The result of `tensors_of`.
        """
        given: Sequence[Tensor | None] = [None for _ in self.form.widths] if states is None else states
        outputs, *last = _Run.apply(self, cell, loop, lengths, inputs, *given, *leaves)  # type: ignore[no-untyped-call]
        return outputs, last

    def weights_of(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """Return the weights of the kernel, computed from its leaves."""
        values = dict(zip(self._leaf_indices, leaves, strict=True))
        for operation in self._prelude:
            args, kwargs = (
                tree_map(lambda each: values[each.index] if isinstance(each, Ref) else each, part)
                for part in (operation.args, operation.kwargs)
            )
            results = operation.function(*args, **kwargs)
            if isinstance(operation.results, Ref):
                values[operation.results.index] = results
            else:
                values.update((ref.index, each) for ref, each in zip(operation.results, results, strict=True))
        return [values[index] for index in self._weights]

    def weights_that_need(self, needed: Sequence[bool]) -> list[bool]:
        """Return for each weight whether its leaf needs a gradient, without a prelude."""
        return [needed[self._leaf_indices.index(index)] for index in self._weights]

    def gradients_of_leaves(self, d_weights: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the gradient of each leaf from those of the weights, without a prelude."""
        found = dict(zip(self._weights, d_weights, strict=True))
        return [found.get(index) for index in self._leaf_indices]

    @property
    def has_prelude(self) -> bool:
        """True if torch computes weights before the kernel runs."""
        return bool(self._prelude)

    def call(
        self,
        function: str,
        inputs: Tensor,
        outputs: Tensor | None,
        saved: Tensor | None,
        lengths: Tensor | None,
        d_outputs: Tensor | None,
        d_inputs: Tensor | None,
        states: Sequence[Sequence[Tensor | None]],
        weights: Sequence[Tensor],
        d_weights: Sequence[Tensor | None],
    ) -> None:
        """Call `forward` or `backward` of the library.

        Args:
            function: Its name.
            inputs: (B, T, F).
            outputs: (B, T, W), to be written by forward.
            saved: Memory between forward and backward.
            lengths: (B,) int64, or None.
            d_outputs: Gradient of the outputs, or None.
            d_inputs: To be written by backward, or None.
            states: For each state the initial and last value, gradient of the last, gradient of the initial one.
            weights: Weights of the kernel.
            d_weights: Zeros, to which backward adds; or None.
        """
        order = None if lengths is None else lengths.argsort(descending=True, stable=True)
        scratch = torch.empty(self._scratch[function], dtype=torch.uint8, device="cpu")
        given = [inputs, outputs, saved, scratch, lengths, order, d_outputs, d_inputs]
        given += [each for state in states for each in state]
        given += [*weights, *d_weights]
        numbers = [*inputs.shape[:2], *(0 if each is None else each.data_ptr() for each in given)]
        (self._forward if function == "forward" else self._backward)(struct.pack(f"{len(numbers)}q", *numbers))

    def saved_memory(self, batch: int, steps: int) -> Tensor:
        """Return memory for what forward saves for backward."""
        return torch.empty(self._saved_size(batch, steps), dtype=torch.uint8, device="cpu")

    def check(self, cell: nn.Module, loop: Loop) -> None:
        """Compare the kernel with eager steps: outputs, last states and all gradients, on random inputs of all lengths.

        The weights are those of the cell with noise, so that terms that are zero at the start are compared, too.

        Raises:
            NotCompilableError: They differ by more than rounding.
        """
        random = torch.Generator().manual_seed(0)
        copied = copy.deepcopy(cell)
        with torch.no_grad():
            for parameter in copied.parameters():
                if parameter.is_floating_point():
                    noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64).to(parameter.dtype)
                    parameter.add_(noise, alpha=_NOISE)
        inputs = torch.randn(_CHECK_ROWS, _CHECK_STEPS, self.source.features, generator=random, dtype=torch.float64)
        states = [torch.randn(_CHECK_ROWS, width, generator=random, dtype=torch.float64) for width in self.form.widths]
        lengths = torch.randint(1, _CHECK_STEPS + 1, (_CHECK_ROWS,), generator=random)
        leaves = self.tensors_of(copied)
        if leaves is None:
            raise NotCompilableError("the tensors of a copy of the cell are not those of the cell")

        def native(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            return self.run(copied, loop, inputs, states, lengths, leaves)

        def eager(inputs: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            return loop(copied, inputs, states, lengths)

        found = _values_and_gradients(native, leaves, inputs.to(self.dtype), [each.to(self.dtype) for each in states])
        plain = _values_and_gradients(eager, leaves, inputs.to(self.dtype), [each.to(self.dtype) for each in states])
        exact = plain
        if self.dtype is torch.float32:
            doubled = copy.deepcopy(copied).double()
            doubles = self.tensors_of(doubled)
            try:
                exact = _values_and_gradients(
                    lambda inputs, states: loop(doubled, inputs, states, lengths), doubles or [], inputs, states
                )
            except Exception:  # of any kind: a cell may be of one type only
                exact = plain
            if len(exact) != len(plain):
                exact = plain
        largest = max(_largest(each[each.isfinite()]) for _, each in exact)
        for (name, one), (_, two), (_, three) in zip(found, plain, exact, strict=True):
            finite = two.isfinite() & three.isfinite()
            if not torch.equal(one.isfinite(), two.isfinite()):
                raise NotCompilableError(f"{name} of the kernel has other infinite values or NaN than the cell")
            scale = _largest(three[finite])
            error, rounding = (_largest((each - three)[finite]) for each in (one, two))
            allowed = _TOLERANCE[self.dtype] * max(scale, largest * _SMALL) + _AMPLIFIED * rounding
            if error > allowed:
                raise NotCompilableError(f"{name} of the kernel differs from the cell by {error:.2g} of {scale:.2g}")


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _values_and_gradients(
    run: Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]],
    leaves: Sequence[Tensor],
    inputs: Tensor,
    states: list[Tensor],
) -> list[tuple[str, Tensor]]:
    """Return names and values of outputs, last states and the gradients of a weighted sum of them."""
    with torch.enable_grad():
        given = [each.clone().requires_grad_() for each in (inputs, *states)]
        outputs, last = run(given[0], given[1:])
        results = [outputs, *last]
        weights = [torch.arange(each.numel(), dtype=each.dtype).add(1.0).sin().view(each.shape) for each in results]
        total = sum((each * weight).sum() for each, weight in zip(results, weights, strict=True))
        sources = [*given, *(each for each in leaves if each.requires_grad)]
        gradients = torch.autograd.grad(total, sources, allow_unused=True)  # type: ignore[arg-type]
    names = ["the output", *(f"state {k}" for k in range(len(last)))]
    names += ["the gradient of the input", *(f"the gradient of state {k}" for k in range(len(last)))]
    names += [f"the gradient of parameter {k}" for k in range(len(sources) - len(given))]
    values = [each.detach() for each in results]
    values += [
        torch.zeros_like(source) if each is None else each for source, each in zip(sources, gradients, strict=True)
    ]
    return list(zip(names, values, strict=True))


class _Run(torch.autograd.Function):
    """Forward and backward pass of a kernel. Tensors that may need gradients are separate arguments of `forward`."""

    @staticmethod
    def forward(
        ctx: Any, kernel: Kernel, cell: nn.Module, loop: Loop, lengths: Tensor | None, inputs: Tensor, *tensors: Any
    ) -> Any:
        count = len(kernel.form.widths)
        states, leaves = tensors[:count], tensors[count:]
        batch, steps = inputs.shape[:2]
        prelude = None
        if kernel.has_prelude:
            with torch.enable_grad():
                own = [each.detach().requires_grad_(each.requires_grad) for each in leaves]
                prelude = own, kernel.weights_of(own)
            weights = [each.detach().contiguous() for each in prelude[1]]
        else:
            weights = [each.detach().contiguous() for each in kernel.weights_of(leaves)]
        lengths = None if lengths is None else lengths.to(torch.int64).contiguous()
        given = inputs.contiguous()
        empty = torch.zeros if lengths is not None else torch.empty
        outputs = empty((batch, steps, kernel.source.output), dtype=kernel.dtype, device="cpu")
        last = [torch.empty((batch, width), dtype=kernel.dtype, device="cpu") for width in kernel.form.widths]
        saved = kernel.saved_memory(batch, steps) if any(ctx.needs_input_grad) else None
        held = [None if each is None else each.contiguous() for each in states]
        kernel.call(
            "forward", given, outputs, saved, lengths, None, None,
            [(one, two, None, None) for one, two in zip(held, last, strict=True)],
            weights, [None] * len(weights),
        )  # fmt: skip
        if saved is not None:
            ctx.kernel, ctx.cell, ctx.loop, ctx.lengths, ctx.saved = kernel, cell, loop, lengths, saved
            ctx.prelude, ctx.weights = prelude, weights
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(inputs, *tensors)
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor | None, *d_last: Tensor | None) -> Any:
        kernel: Kernel = ctx.kernel
        inputs, *tensors = ctx.saved_tensors
        needs = ctx.needs_input_grad[4:]
        count = len(kernel.form.widths)
        leaves = tensors[count:]
        if torch.is_grad_enabled() or not are_plain((d_outputs, *d_last)) or not executes_eagerly():
            plain = _plain(kernel, ctx.cell, ctx.loop, ctx.lengths)
            found = derivatives.differentiate(plain, (inputs, *tensors), needs, (d_outputs, *d_last))
            return None, None, None, None, *found
        d_inputs = None
        if needs[0]:
            empty = torch.zeros if ctx.lengths is not None else torch.empty
            d_inputs = empty(inputs.shape, dtype=kernel.dtype, device="cpu")
        d_states = [
            torch.empty((inputs.size(0), width), dtype=kernel.dtype, device="cpu") if need else None
            for need, width in zip(needs[1 : 1 + count], kernel.form.widths, strict=True)
        ]
        needed = [leaf is not None and need for leaf, need in zip(leaves, needs[1 + count :], strict=True)]
        wanted = kernel.weights_that_need(needed) if ctx.prelude is None else [w.requires_grad for w in ctx.prelude[1]]
        d_weights = [
            torch.zeros(weight.shape, dtype=kernel.dtype, device="cpu") if want else None
            for weight, want in zip(ctx.weights, wanted, strict=True)
        ]
        kernel.call(
            "backward",
            inputs.contiguous(),
            None,
            ctx.saved,
            ctx.lengths,
            None if d_outputs is None else d_outputs.contiguous(),
            d_inputs,
            [(None, None, None if d is None else d.contiguous(), to) for d, to in zip(d_last, d_states, strict=True)],
            ctx.weights,
            d_weights,
        )
        if ctx.prelude is None:
            d_leaves = kernel.gradients_of_leaves(d_weights)
        else:
            own, computed = ctx.prelude
            d_leaves = _through_prelude(own, computed, needed, d_weights)
        return None, None, None, None, d_inputs, *d_states, *d_leaves


def _through_prelude(
    leaves: list[Tensor], weights: list[Tensor], needed: list[bool], d_weights: list[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradients of the tensors of a cell from those of the weights that torch computed from them."""
    pairs = [(weight, d) for weight, d in zip(weights, d_weights, strict=True) if d is not None]
    sources = [leaf for leaf, need in zip(leaves, needed, strict=True) if need]
    if not pairs or not sources:
        return [None] * len(leaves)
    found = iter(
        torch.autograd.grad(
            [weight for weight, _ in pairs], sources, [d for _, d in pairs], allow_unused=True, retain_graph=True
        )
    )
    return [next(found) if need else None for need in needed]


def _plain(kernel: Kernel, cell: nn.Module, loop: Loop, lengths: Tensor | None) -> Callable[..., tuple[Tensor, ...]]:
    """Return the plain form as a function of inputs, states and the tensors of the cell."""
    count = len(kernel.form.widths)

    def run(inputs: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        leaves = kernel.tensors_of(cell)
        if leaves is None:
            raise RuntimeError("the tensors of the cell were replaced between forward and backward")
        # the copy has the given tensors in place of its own
        copied = copy.deepcopy(cell, {id(own): given for own, given in zip(leaves, tensors[count:], strict=True)})
        widths = kernel.form.widths
        zeros = [inputs.new_zeros(inputs.size(0), width) for width in widths]
        states = [zero if each is None else each for each, zero in zip(tensors[:count], zeros, strict=True)]
        outputs, last = loop(copied, inputs, states, lengths)
        return outputs, *last

    return run


def lower_cell(cell: nn.Module, form: StateForm, features: int, dtype: torch.dtype) -> tuple[Lowering, nn.Module]:
    """Return the graph of a step of a cell, and the copy that was recorded.

    Raises:
        NotCompilableError: The step is not supported.
    """
    try:
        copied = copy.deepcopy(cell)
    except Exception as error:  # of any kind: the code is not ours
        raise NotCompilableError(f"the cell cannot be copied: {' '.join(str(error).split())}") from error
    step, random = StepModule(copied, form), torch.Generator().manual_seed(0)
    before = fingerprint(copied)
    traces = []
    for batch in BATCHES:
        x, *states = (torch.randn(batch, width, generator=random, dtype=dtype) for width in (features, *form.widths))
        try:
            traces.append(record_step(step, x, states))
        except NotCompilableError:
            raise
        except Exception as error:  # as above
            raise NotCompilableError(
                f"a step failed: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
    if fingerprint(copied) != before:
        raise NotCompilableError("a step changes attributes of the cell")
    one, two = traces
    compare_traces(one, two)
    for trace in traces:
        for number, index in enumerate(trace.states):
            if trace.shape(index)[1:] != (form.widths[number],):
                raise NotCompilableError(f"state {number} changes its shape in a step")
    return Lowering(one, two), copied


def _leaves(low: Lowering, copied: nn.Module) -> tuple[list[Leaf], list[int]]:
    """Return the tensors that a kernel and its prelude read, and their indices in the trace."""
    places: dict[int, list[tuple[str, str, str]]] = {}
    for path, module in copied.named_modules():
        for kind in ("_parameters", "_buffers", ""):
            values = module.__dict__ if kind == "" else module.__dict__[kind]
            for key, each in values.items():
                if isinstance(each, Tensor):
                    places.setdefault(id(each), []).append((path, kind, key))
    read = {*low.weights}
    for operation in low.prelude:
        read |= {each.index for each in _refs_of(operation)}
    leaves, indices = [], []
    for index in sorted(read & {*low.trace.leaves}):
        tensor, other = low.trace.values[index], low.other.values[index]
        named = places.get(id(tensor), [])
        constant = None
        if not named:
            if tensor.requires_grad:
                raise NotCompilableError("a step reads a tensor with gradient that is not part of the cell")
            if tensor is not other and not torch.equal(tensor, other):
                raise NotCompilableError("a step makes tensors that differ from call to call")
            constant = tensor
        leaves.append(Leaf(tuple(named), constant, tuple(tensor.shape)))
        indices.append(index)
    return leaves, indices


def _refs_of(operation: Operation) -> list[Ref]:
    found: list[Ref] = []
    tree_map(lambda each: found.append(each) if isinstance(each, Ref) else None, (operation.args, operation.kwargs))
    return found


_INTERNAL = frozenset(nn.Module().__dict__) - {"training"}
_SIMPLE = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(cell: nn.Module) -> tuple[Any, ...]:
    """Return what a recorded step depends on besides its tensors: types, modes and attributes of all modules."""
    return tuple(
        (type(module), *((key, _frozen(value)) for key, value in module.__dict__.items() if key not in _INTERNAL))
        for module in cell.modules()
    )


def _frozen(value: Any) -> Any:
    if type(value) in _SIMPLE:
        return type(value), value
    if type(value) in (list, tuple):
        return tuple(map(_frozen, value))
    if type(value) is dict:
        return tuple((key, _frozen(each)) for key, each in value.items())
    return id(value)

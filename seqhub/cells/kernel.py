"""Native kernel of a cell: recording and compilation, and the tensors that it reads.

Shapes: B sequences of T steps, F features, states (B, W).
"""

import copy
import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from seqhub.cells.build import load_library
from seqhub.cells.errors import NotCompilableError
from seqhub.cells.lowering import Lowering
from seqhub.cells.rules import RULES
from seqhub.cells.snapshot import fingerprint, tensors_in
from seqhub.cells.trace import BATCHES, Operation, Ref, compare_traces, record_step
from seqhub.cells.writer import write_source
from seqhub.models.wrapped.recurrent_cell import StateForm

DTYPES = (torch.float32, torch.float64)
Loop = Callable[[nn.Module, Tensor, "list[Tensor] | None", "Tensor | None"], tuple[Tensor, list[Tensor]]]
"""Takes a cell, inputs, states and lengths; returns outputs and last states, as `recurrent_cell.run_loop` does."""


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
        values: Its values, if they are a part of the kernel, such as indices.
    """

    places: tuple[tuple[str, str, str], ...]
    constant: Tensor | None
    shape: tuple[int, ...]
    values: Tensor | None = None

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
        if found is None or tuple(found.shape) != self.shape or not self.has_values(found):
            return None
        return found

    def has_values(self, tensor: Tensor) -> bool:
        """Return whether a tensor has the values that are a part of the kernel, if there are any."""
        return self.values is None or torch.equal(tensor, self.values)


class Kernel:
    """Compiled kernel of a cell for one width of the input and one type.

    Args:
        cell: The cell; a copy is recorded.
        form: StateForm of its state.
        features: F.
        dtype: float32 or float64.
        instruction_set: As in `load_library`.

    Attributes:
        forward: Function of the library, called with packed numbers: see `run_forward` in native/src/cell.h.
        backward: The same.
        pack: Packs them.
        no_gradients: Zeros in place of the addresses of the gradients of weights.
        saved_size: Function of the library that returns the bytes that forward saves for backward, for a batch and a
            number of steps.
        saved_bytes: The same, faster for sizes of earlier calls.
        forward_scratch: Bytes of further memory for forward.
        backward_scratch: The same for backward.
        has_prelude: True if torch computes weights before the kernel runs.

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
        self._frozen = [place for place, leaf in enumerate(self.leaves) if leaf.values is not None]
        self._prelude, self._weights = low.prelude, low.weights
        self.has_prelude = bool(low.prelude)
        if not self.has_prelude:
            self._places = [self._leaf_indices.index(index) for index in low.weights]
        library = load_library(self.source.text, instruction_set)
        self.forward, self.backward = library.forward, library.backward
        for function in (self.forward, self.backward):
            function.restype, function.argtypes = None, [ctypes.c_char_p]
        for name in ("saved_size", "forward_scratch", "backward_scratch"):
            getattr(library, name).restype = ctypes.c_int64
        library.saved_size.argtypes = [ctypes.c_int64, ctypes.c_int64]
        self.saved_size: Callable[[int, int], int] = library.saved_size
        self.saved_bytes = lru_cache(maxsize=64)(self.saved_size)
        count = 10 + 4 * len(form.widths) + 2 * len(self._weights)
        self.pack, self.no_gradients = struct.Struct(f"{count}q").pack, (0,) * len(self._weights)
        self.forward_scratch, self.backward_scratch = int(library.forward_scratch()), int(library.backward_scratch())

    def tensors_of(self, cell: nn.Module) -> list[Tensor] | None:
        """Return the tensors of a cell that the kernel reads; None if they are not as they were recorded."""
        found = []
        for leaf in self.leaves:
            tensor = leaf.of(cell)
            if tensor is None:
                return None
            found.append(tensor)
        return found

    def is_current(self, leaves: Sequence[Tensor]) -> bool:
        """Return whether tensors have the values that are a part of the kernel."""
        return all(self.leaves[place].has_values(leaves[place]) for place in self._frozen)

    def weights_of(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """Return the weights of the kernel, computed from its leaves."""
        if not self.has_prelude:
            return [leaves[place] for place in self._places]
        values = dict(zip(self._leaf_indices, leaves, strict=True))
        for operation in self._prelude:
            args, kwargs = (
                tree_map(lambda each: values[each.index] if isinstance(each, Ref) else each, part)
                for part in (operation.args, operation.kwargs)
            )
            with torch.set_grad_enabled(operation.tracked and torch.is_grad_enabled()):
                results = operation.function(*args, **kwargs)
            if isinstance(operation.results, Ref):
                values[operation.results.index] = results
            else:
                values.update((ref.index, each) for ref, each in zip(operation.results, results, strict=True))
        return [values[index] for index in self._weights]

    def weights_that_need(self, needed: Sequence[bool]) -> list[bool]:
        """Return for each weight whether its leaf needs a gradient, without a prelude."""
        return [needed[place] for place in self._places]

    def gradients_of_leaves(self, d_weights: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the gradient of each leaf from those of the weights, without a prelude."""
        found: list[Tensor | None] = [None] * len(self.leaves)
        for place, gradient in zip(self._places, d_weights, strict=True):
            found[place] = gradient
        return found


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
    return Lowering(one, two, RULES), copied


def _leaves(low: Lowering, copied: nn.Module) -> tuple[list[Leaf], list[int]]:
    """Return the tensors that a kernel and its prelude read, and their indices in the trace."""
    places: dict[int, list[tuple[str, str, str]]] = {}
    contained: dict[int, str] = {}
    for path, module in copied.named_modules():
        for kind in ("_parameters", "_buffers", ""):
            values = module.__dict__ if kind == "" else module.__dict__[kind]
            for key, each in values.items():
                if isinstance(each, Tensor):
                    places.setdefault(id(each), []).append((path, kind, key))
                else:
                    contained.update((found, key) for found in tensors_in(each))
    read = {*low.weights, *low.frozen}
    for operation in low.prelude:
        read |= {each.index for each in _refs_of(operation)}
    leaves, indices = [], []
    for index in sorted(read & {*low.trace.leaves}):
        tensor, other = low.trace.values[index], low.other.values[index]
        named = places.get(id(tensor), [])
        if not named and id(tensor) in contained:
            raise NotCompilableError(
                f"a step reads a tensor in the attribute {contained[id(tensor)]}; register it as a buffer or parameter"
            )
        constant = None
        if not named:
            if tensor.requires_grad:
                raise NotCompilableError("a step reads a tensor with gradient that is not part of the cell")
            if tensor is not other and not torch.equal(tensor, other):
                raise NotCompilableError("a step makes tensors that differ from call to call")
            constant = tensor
        values = tensor.detach().clone() if index in low.frozen and named else None
        leaves.append(Leaf(tuple(named), constant, tuple(tensor.shape), values))
        indices.append(index)
    return leaves, indices


def _refs_of(operation: Operation) -> list[Ref]:
    found: list[Ref] = []
    tree_map(lambda each: found.append(each) if isinstance(each, Ref) else None, (operation.args, operation.kwargs))
    return found

"""The operator `torch.ops.seqhub.recurrence`, which validates tensors and calls the native library, with gradients.

Shapes: B sequences of T steps, F features or V ids of the input, H units, D directions, N layers; as in `nn.RNN`,
`nn.GRU` and `nn.LSTM` with `batch_first`, but with ids in place of one-hot vectors, and padding on any side.

The operator is a `torch.library.Library` around a `torch.autograd.Function`, which adds 3 us to the function alone.
`torch.library.custom_op` would add 46 us, as much as a whole step of a small network.
"""

import struct
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from seqhub.errors import InvalidInputError
from seqhub.native import derivatives
from seqhub.native.eligibility import are_plain, executes_eagerly
from seqhub.native.loader import CELLS, Library, library
from seqhub.native.reused_memory import SCRATCH, Activations

_CELL_NUMBERS = {cell: number for number, cell in enumerate(CELLS)}
_WEIGHTS_PER_LAYER = 4  # weight_ih, weight_hh, bias_ih, bias_hh
_MAX_SIZE = 1 << 31  # every dimension must be below, as in src/problem.h
_INVALID_ID, _INVALID_SPAN = 2, 3  # outcomes in src/problem.h


def recurrence(
    inputs: Tensor,
    weights: list[Tensor],
    cell: str,
    *,
    columns: Tensor | None = None,
    spans: Tensor | None = None,
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    bidirectional: bool = False,
    output_states: bool = True,
    instruction_set: str = "",
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a recurrence over all steps and layers.

    Args:
        inputs: (B, T) ids, int64; or (B, T, F) values of the type of the weights, float32 or float64.
        weights: weight_ih, weight_hh, bias_ih, bias_hh of each layer and direction, as in `nn.RNNBase.all_weights`.
        cell: A key of `CELLS`.
        columns: (V,), int32: the column of the first layer's weight_ih for each id, or -1 for the zero vector. Required
            with ids, not allowed with values.
        spans: (2, B), int64: first real step and number of real steps (>= 1) of each row. By default all steps are
            real.
        h_0: (N * D, B, H), initial states; by default zero.
        c_0: Initial cell states of an LSTM, in the same form.
        bidirectional: Whether each layer also reads from the last real step to the first.
        output_states: Whether to return the first item.
        instruction_set: One of `loader.instruction_sets()`; by default the best.

    Returns:
        States of the last layer (B, T, D * H), zero at padded steps; last states (N * D, B, H); last cell states
        (N * D, B, H). Items that were not requested or do not exist have no elements.

    Raises:
        InvalidInputError: A type, shape, id or span is invalid.
        MemoryError: The sizes exceed the memory of the machine.
    """
    return _OPERATOR(  # type: ignore[no-any-return]
        inputs, columns, spans, weights, h_0, c_0, cell, bidirectional, output_states, instruction_set
    )


class _Recurrence(torch.autograd.Function):
    """Native forward and backward pass. Tensors that may need gradients are separate arguments of `forward`."""

    @staticmethod
    def forward(
        ctx: Any, call: "Call", inputs: Tensor, h_0: Tensor | None, c_0: Tensor | None, *weights: Tensor
    ) -> Any:
        activations = Activations(call.saved_bytes())
        outputs = call.forward(inputs, h_0, c_0, weights, activations.memory)
        ctx.call, ctx.activations = call, activations
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs, call.columns, call.spans, h_0, c_0, *weights)
        if not call.output_states:
            ctx.mark_non_differentiable(outputs[0])
        return outputs

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> Any:
        inputs, columns, spans, h_0, c_0, *weights = ctx.saved_tensors
        _, need_inputs, need_h_0, need_c_0, *need_weights = ctx.needs_input_grad
        call = ctx.call.with_tensors(columns, spans)
        if torch.is_grad_enabled() or not are_plain(d_outputs) or not executes_eagerly():
            return None, *derivatives.differentiate(
                call.in_torch,
                (inputs, h_0, c_0, *weights),
                (need_inputs, need_h_0, need_c_0, *need_weights),
                d_outputs,
            )
        d_inputs, d_h_0, d_c_0, d_weights = call.backward(
            inputs, weights, ctx.activations.memory, d_outputs, need_inputs, need_h_0, need_c_0
        )
        return None, d_inputs, d_h_0, d_c_0, *d_weights


class Call:
    """Sizes and settings of one call of the library."""

    def __init__(
        self,
        inputs: Tensor,
        columns: Tensor | None,
        spans: Tensor | None,
        weights: list[Tensor],
        cell: str,
        bidirectional: bool,
        output_states: bool,
        instruction_set: str,
    ) -> None:
        if cell not in CELLS:
            raise InvalidInputError(f"cell={cell!r}: must be one of {', '.join(CELLS)}")
        self.directions = 2 if bidirectional else 1
        self.layers, rest = divmod(len(weights), _WEIGHTS_PER_LAYER * self.directions)
        if rest or not self.layers:
            raise InvalidInputError(
                f"{len(weights)} weights; need {_WEIGHTS_PER_LAYER * self.directions} of each layer"
            )
        self.cell, self.gates = cell, CELLS[cell]
        self.output_states = output_states
        self.dtype = weights[0].dtype
        if self.dtype not in (torch.float32, torch.float64):
            raise InvalidInputError(f"weights of {self.dtype}; need float32 or float64")
        self.takes_ids = columns is not None
        input_dtype = torch.int64 if self.takes_ids else self.dtype
        sizes = inputs.shape
        if (
            inputs.dtype != input_dtype
            or len(sizes) != (2 if self.takes_ids else 3)
            or not 0 < min(sizes) <= max(sizes) < _MAX_SIZE
        ):
            allowed = "ids (batch, steps)" if self.takes_ids else "values (batch, steps, features)"
            raise InvalidInputError(
                f"inputs {_describe(inputs)}; need {allowed}, {input_dtype}, all sizes at least 1 and below {_MAX_SIZE}"
            )
        self.batch, self.steps = inputs.shape[:2]
        self.features, self.hidden = weights[0].size(-1), weights[1].size(-1)
        if not self.takes_ids and inputs.size(2) != self.features:
            raise InvalidInputError(f"inputs of {inputs.size(2)} features; weight_ih has {self.features}")
        self._check_weights(weights)
        if columns is not None:
            _check_tensor(columns, "columns", torch.int32, (columns.numel(),))
        if spans is not None:
            _check_tensor(spans, "spans", torch.int64, (2, self.batch))
        self.columns = None if columns is None else columns.contiguous()
        self.spans = None if spans is None else spans.contiguous()
        self.library: Library = library(instruction_set or None)
        self.sizes = (
            *(_CELL_NUMBERS[cell], int(self.dtype is torch.float64), self.layers, self.directions),
            *(self.batch, self.steps, self.features, self.hidden),
            0 if columns is None else columns.numel(),
        )

    def _check_weights(self, weights: list[Tensor]) -> None:
        rows, hidden = self.gates * self.hidden, self.hidden
        for number, weight in enumerate(weights):
            kind = number % _WEIGHTS_PER_LAYER
            shape: tuple[int, ...] = (rows,)
            if kind < 2:
                width = self.features if number < _WEIGHTS_PER_LAYER * self.directions else hidden * self.directions
                shape = (rows, hidden if kind else width)
            if weight.shape != shape or weight.dtype is not self.dtype or not weight.numel():
                raise InvalidInputError(f"weight {number} {_describe(weight)}; need {shape} {self.dtype}")

    def with_tensors(self, columns: Tensor | None, spans: Tensor | None) -> "Call":
        """Set columns and spans, and return the call."""
        self.columns, self.spans = columns, spans
        return self

    def in_torch(
        self, inputs: Tensor, h_0: Tensor | None, c_0: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the outputs with torch operations."""
        return derivatives.recurrence(
            inputs, self.columns, self.spans, weights, h_0, c_0, self.cell, self.directions == 2
        )

    def saved_bytes(self) -> int:
        """Return the size of the activations that forward saves for backward, in bytes."""
        return _num_bytes(self.library, "saved_bytes", self.sizes, (True, False, False))

    def forward(
        self, inputs: Tensor, h_0: Tensor | None, c_0: Tensor | None, weights: Any, saved: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return states, last states and last cell states; write the activations for backward into `saved`."""
        states = torch.empty(
            (self.batch, self.steps, self.directions * self.hidden) if self.output_states else 0,
            dtype=self.dtype,
            device="cpu",
        )
        shape = (self.layers * self.directions, self.batch, self.hidden)
        h_n = torch.empty(shape, dtype=self.dtype, device="cpu")
        c_n = torch.empty(shape if self.cell == "lstm" else 0, dtype=self.dtype, device="cpu")
        for name, state in (("h_0", h_0), ("c_0", c_0)):
            if state is not None:
                _check_tensor(state, name, self.dtype, shape)
        if c_0 is not None and self.cell != "lstm":
            raise InvalidInputError(f"c_0 is only for cell 'lstm', got cell={self.cell!r}")
        outputs = states, h_n, c_n
        self._run("forward", inputs, (h_0, c_0), saved, outputs, (None,) * 6, weights)
        return outputs

    def backward(
        self,
        inputs: Tensor,
        weights: list[Tensor],
        saved: Tensor,
        d_outputs: tuple[Tensor | None, ...],
        need_inputs: bool,
        need_h_0: bool,
        need_c_0: bool,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, list[Tensor]]:
        """Return the gradients of inputs, initial states and weights."""
        shape = (self.layers * self.directions, self.batch, self.hidden)
        d_inputs = torch.empty(inputs.shape, dtype=self.dtype, device="cpu") if need_inputs else None
        d_h_0 = torch.empty(shape, dtype=self.dtype, device="cpu") if need_h_0 else None
        d_c_0 = torch.empty(shape, dtype=self.dtype, device="cpu") if need_c_0 else None
        d_weights = [torch.empty_like(weight, memory_format=torch.contiguous_format) for weight in weights]
        gradients = (*d_outputs, d_inputs, d_h_0, d_c_0)
        self._run("backward", inputs, (None, None), saved, (None,) * 3, gradients, [*weights, *d_weights])
        return d_inputs, d_h_0, d_c_0, d_weights

    def _run(self, which: str, inputs: Tensor, *tensors: Any) -> None:
        problem, _references = self.problem(which, inputs, *tensors)
        outcome = getattr(self.library, which)(problem)
        if outcome:
            self._raise_for(outcome, inputs)

    def problem(
        self, which: str, inputs: Tensor, states: Any, saved: Tensor | None, outputs: Any, gradients: Any, weights: Any
    ) -> tuple[bytes, list[Any]]:
        """Return the argument of `Library.forward` or `backward`, and tensors to keep alive during the call.

        Args:
            which: `forward` or `backward`.
            inputs: As in `recurrence`.
            states: h_0 and c_0, or None.
            saved: Activations that forward saves for backward; None if there is no backward pass.
            outputs: States, h_n and c_n.
            gradients: Gradients of outputs, inputs, h_0 and c_0.
            weights: The weights, for backward followed by their gradients.
        """
        given = [_contiguous(tensor) for tensor in (inputs, self.columns, self.spans, *states)]
        d_outputs, made = [_contiguous(tensor) for tensor in gradients[:3]], gradients[3:]
        parameters = [_contiguous(tensor) for tensor in weights]
        flags = saved is not None, d_outputs[0] is not None, made[0] is not None
        scratch = SCRATCH.of(_num_bytes(self.library, f"{which}_scratch", self.sizes, flags))
        numbers = [
            *self.sizes,
            *map(_address, given),
            *((0, 0) if saved is None else (saved.data_ptr(), self.saved_bytes())),
            scratch.data_ptr(),
            scratch.numel(),
            *map(_address, (*outputs, *d_outputs, *made)),
            *map(_address, parameters),
        ]
        return struct.pack(f"{len(numbers)}q", *numbers), [given, d_outputs, parameters, scratch]

    def _raise_for(self, outcome: int, inputs: Tensor) -> None:
        kind, row = outcome & 0xFF, outcome >> 8
        if kind == _INVALID_ID and self.columns is not None:
            ids = inputs[row] if self.spans is None else inputs[row].narrow(0, *self.spans[:, row].tolist())
            low, high = ids.aminmax()
            raise InvalidInputError(f"input_ids must be in [0, {self.columns.numel()}), got {low} to {high}")
        if kind == _INVALID_SPAN and self.spans is not None:
            start, length = self.spans[:, row].tolist()
            raise InvalidInputError(
                f"row {row} has {length} steps from step {start} on; must be at least 1 and end by step {self.steps}"
            )
        raise InvalidInputError(f"columns: must be at least -1 and below {self.features}, the columns of weight_ih")


@lru_cache(maxsize=1024)
def _num_bytes(native: Library, function: str, sizes: tuple[int, ...], flags: tuple[bool, bool, bool]) -> int:
    """Return the bytes that a call needs.

    Args:
        native: The library.
        function: Name of the function that computes the size.
        sizes: As in `Call.sizes`.
        flags: Whether activations are saved, and whether gradients of states and of inputs exist.
    """
    saved, d_states, d_inputs = flags
    problem = (*sizes, *(0,) * 5, saved, *(0,) * 6, d_states, 0, 0, d_inputs, 0, 0)
    size: int = getattr(native, function)(struct.pack(f"{len(problem)}q", *problem))
    if size < 0:
        raise MemoryError(
            f"a recurrence of {sizes[4]} x {sizes[5]} steps and width {sizes[7]} does not fit into memory"
        )
    return size


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return tensor if tensor is None or tensor.is_contiguous() else tensor.contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _check_tensor(tensor: Tensor, name: str, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape or tensor.dtype is not dtype or not tensor.numel():
        raise InvalidInputError(f"{name} {_describe(tensor)}; need {shape} {dtype}")


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"


def _with_gradients(
    inputs: Tensor,
    columns: Tensor | None,
    spans: Tensor | None,
    weights: list[Tensor],
    h_0: Tensor | None,
    c_0: Tensor | None,
    *options: Any,
) -> Any:
    call = Call(inputs, columns, spans, weights, *options)
    tensors = (inputs, h_0, c_0, *weights)
    if torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors):
        return _Recurrence.apply(call, *tensors)  # type: ignore[no-untyped-call]
    return call.forward(inputs, h_0, c_0, weights, None)


def _without_gradients(
    inputs: Tensor,
    columns: Tensor | None,
    spans: Tensor | None,
    weights: list[Tensor],
    h_0: Tensor | None,
    c_0: Tensor | None,
    *options: Any,
) -> Any:
    return Call(inputs, columns, spans, weights, *options).forward(inputs, h_0, c_0, weights, None)


_LIBRARY = torch.library.Library("seqhub", "DEF")
_LIBRARY.define(
    "recurrence(Tensor inputs, Tensor? columns, Tensor? spans, Tensor[] weights, Tensor? h_0, Tensor? c_0, str cell, "
    "bool bidirectional, bool output_states, str instruction_set) -> (Tensor, Tensor, Tensor)"
)
_LIBRARY.impl("recurrence", _with_gradients, "AutogradCPU")
_LIBRARY.impl("recurrence", _without_gradients, "CPU")
_OPERATOR = torch.ops.seqhub.recurrence.default

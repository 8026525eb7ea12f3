"""Native memory cell blocks (`lstm_hs97`) with truncated gradients; see src/memory_blocks.cpp.

Shapes: B sequences of T steps, F features or V ids of the input, H cells, U units.
"""

import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.native import derivatives
from seqhub.native.eligibility import are_plain, executes_eagerly
from seqhub.native.loader import memory_block_functions

_PADDING, _KEPT = 16, 6  # BLOCK_PADDING and BLOCK_KEPT in src/memory_blocks.h
_INVALID_ID, _INVALID_SPAN = 2, 3  # outcomes in src/problem.h


@dataclass(frozen=True)
class Units:
    """Units of memory cell blocks and their activations. Fields are as in `Hs97Config` unless described.

    Args:
        cells: H, `hidden_size` of the config.
        block_size: Number of cells that share their gates, a divisor of `cells`.
        output_gates: Whether there are output gates.
        squash_input: `g1` or `g2`.
        squash_output: `h1` or `id`.
        instruction_set: One of `loader.instruction_sets()`; by default the best.

    Raises:
        InvalidConfigError: `block_size` does not divide `cells`.
    """

    cells: int
    block_size: int = 1
    output_gates: bool = True
    squash_input: str = "g2"
    squash_output: str = "h1"
    instruction_set: str = ""

    def __post_init__(self) -> None:
        if self.block_size < 1 or self.cells % self.block_size:
            raise InvalidConfigError(f"block_size={self.block_size}: must divide cells={self.cells}")

    @property
    def count(self) -> int:
        """Number of units U: cells, input gates and output gates, in this order."""
        return self.cells + self.cells // self.block_size * (1 + self.output_gates)

    def activate(self, net: Tensor, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return new states, gate activations and outputs from net inputs (B, U) and states (B, H)."""
        blocks = self.cells // self.block_size
        gates = net[:, self.cells :].sigmoid()
        squashed = net[:, : self.cells].sigmoid()
        if self.squash_input == "g2":
            squashed = 4 * squashed - 2
        states = states + gates[:, :blocks].repeat_interleave(self.block_size, dim=1) * squashed
        outputs = states if self.squash_output == "id" else 2 * states.sigmoid() - 1
        if self.output_gates:
            outputs = gates[:, blocks:].repeat_interleave(self.block_size, dim=1) * outputs
        return states, gates, outputs


def memory_blocks(
    inputs: Tensor,
    weights: tuple[Tensor, Tensor | None, Tensor | None],
    units: Units,
    *,
    columns: Tensor | None = None,
    spans: Tensor | None = None,
    h_0: Tensor | None = None,
    m_0: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in one direction over all steps.

    Args:
        inputs: (B, T) ids, int64; or (B, T, F) values of the type of the weights, float32 or float64.
        weights: `weight_ih_l0` (U, F), `weight_hh_l0` (U, U) or None, `bias_l0` of the last units, or None.
        units: Units and their activations.
        columns: As in `operator.recurrence`.
        spans: (2, B), int64, as in `operator.recurrence`.
        h_0: (B, H), initial outputs of the cells; given together with `m_0`, or neither for zero.
        m_0: (B, U), initial states of the cells, then activations of the gates.

    Returns:
        Outputs of the cells (B, T, H), zero at padded steps; the last outputs, (B, H); and the last states with the
        activations of the gates, (B, U). Gradients are propagated along the states only.

    Raises:
        InvalidInputError: A type, shape, id or span is invalid.
    """
    weight_ih, weight_hh, bias = weights
    count, features = units.count, weight_ih.size(-1)
    takes_ids = columns is not None
    shape = tuple(inputs.shape) if takes_ids else (*inputs.shape[:2], features)
    _check_tensor(inputs, "inputs", torch.int64 if takes_ids else weight_ih.dtype, shape, 2 if takes_ids else 3)
    if weight_ih.dtype not in (torch.float32, torch.float64):
        raise InvalidInputError(f"weights of {weight_ih.dtype}; need float32 or float64")
    rows = len(inputs)
    biased = 0 if bias is None else min(len(bias), count)
    for tensor, name, expected, dtype in (
        (weight_ih, "weight_ih", (count, features), weight_ih.dtype),
        (weight_hh, "weight_hh", (count, count), weight_ih.dtype),
        (bias, "bias", (biased,), weight_ih.dtype),
        (columns, "columns", (0 if columns is None else columns.numel(),), torch.int32),
        (spans, "spans", (2, rows), torch.int64),
        (h_0, "h_0", (rows, units.cells), weight_ih.dtype),
        (m_0, "m_0", (rows, count), weight_ih.dtype),
    ):
        if tensor is not None:
            _check_tensor(tensor, name, dtype, expected, len(expected))
    if (h_0 is None) != (m_0 is None):
        raise InvalidInputError("one of h_0 and m_0; need both or neither")
    return _Blocks.apply(units, columns, spans, inputs, h_0, m_0, *weights)  # type: ignore[no-untyped-call, no-any-return]


class _Blocks(torch.autograd.Function):
    """Native forward and backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        units: Units,
        columns: Tensor | None,
        spans: Tensor | None,
        *given: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        tensors = [_contiguous(each) for each in (columns, spans, *given)]
        inputs, weight_ih = tensors[2], tensors[5]
        assert inputs is not None
        assert weight_ih is not None
        rows, steps = inputs.shape[:2]
        padded = -(-units.cells // _PADDING) * _PADDING
        saved = weight_ih.new_empty(rows * (steps + 1) * _KEPT * padded)
        outputs = (
            weight_ih.new_empty(rows, steps, units.cells),
            weight_ih.new_empty(rows, units.cells),
            weight_ih.new_empty(rows, units.count),
        )
        _run("forward", units, tensors, saved, outputs, (None,) * 8)
        ctx.units = units
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(saved, columns, spans, *given)
        return outputs

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> Any:
        saved, columns, spans, *given = ctx.saved_tensors
        units: Units = ctx.units
        if torch.is_grad_enabled() or not are_plain(d_outputs) or not executes_eagerly():

            def in_torch(
                inputs: Tensor, h_0: Tensor | None, m_0: Tensor | None, *weights: Any
            ) -> tuple[Tensor, Tensor, Tensor]:
                return derivatives.memory_blocks(inputs, columns, spans, m_0, h_0, weights, units.activate, units.cells)

            needed = ctx.needs_input_grad[3:]
            return None, None, None, *derivatives.differentiate(in_torch, tuple(given), needed, d_outputs)
        tensors: list[Any] = [_contiguous(each) for each in (columns, spans, *given)]
        _, _, _, need_inputs, _, need_m_0, *_ = ctx.needs_input_grad
        _, _, inputs, _, m_0, *weights = tensors
        gradients = [
            torch.empty_like(inputs) if need_inputs else None,
            torch.empty_like(m_0) if need_m_0 else None,
            *(None if weight is None else torch.empty_like(weight) for weight in weights),
        ]
        incoming = [_contiguous(each) for each in d_outputs]
        _run("backward", units, tensors, saved, (None,) * 3, (*incoming, *gradients))
        d_inputs, d_m_0, *d_weights = gradients
        return None, None, None, d_inputs, None, d_m_0, *d_weights


def _run(which: str, units: Units, tensors: Any, saved: Tensor, outputs: Any, gradients: Any) -> None:
    columns, spans, inputs, h_0, m_0, weight_ih, weight_hh, bias = tensors
    rows, steps = inputs.shape[:2]
    features, padded = weight_ih.size(1), -(-units.cells // _PADDING) * _PADDING
    sources = features + units.count + 1
    numbers = 2 * (2 + units.output_gates) * padded * sources + 8 * padded
    scratch = torch.empty(numbers * weight_ih.element_size() + 8 * units.count, dtype=torch.uint8, device="cpu")
    problem = (
        *(weight_ih.dtype is torch.float64, rows, steps, features, units.cells, units.block_size, units.output_gates),
        *(units.squash_input == "g1", units.squash_output == "id", 0 if bias is None else len(bias)),
        0 if columns is None else columns.numel(),
        *map(_address, (inputs, columns, spans, h_0, m_0, weight_ih, weight_hh, bias, saved, scratch)),
        *map(_address, (*outputs, *gradients)),
    )
    outcome = memory_block_functions(units.instruction_set)[which](struct.pack(f"{len(problem)}q", *problem))
    if outcome:
        row = outcome >> 8
        if outcome & 0xFF == _INVALID_ID:
            low, high = inputs[row].aminmax()
            raise InvalidInputError(f"input_ids must be in [0, {columns.numel()}), got {low} to {high}")
        if outcome & 0xFF == _INVALID_SPAN:
            start, length = spans[:, row].tolist()
            raise InvalidInputError(
                f"row {row} has {length} steps from step {start} on; must be at least 1 and end by step {steps}"
            )
        raise InvalidInputError(f"columns: must be at least -1 and below {features}, the columns of weight_ih")


def _check_tensor(tensor: Tensor, name: str, dtype: torch.dtype, shape: tuple[int, ...], dimensions: int) -> None:
    if tensor.dim() != dimensions or tensor.shape != shape or tensor.dtype is not dtype or not tensor.numel():
        raise InvalidInputError(f"{name} {tuple(tensor.shape)} {tensor.dtype}; need {shape} {dtype}")


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().contiguous()


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()

"""Recurrences that are recorded once for any number of steps.

Travels with the weights, so it imports nothing of seqhub. The model families with a recurrence have the same file.

torch.export replaces `nn.LSTM`, `nn.GRU` and `nn.RNN` by one copy of their operations for each step of the example, and
so fixes the number of steps. It records PyTorch's `scan` operator once; torch.onnx.export makes a Scan node of it.

Shapes: B sequences, T steps, F features of the input, H units, N layers.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .tracing import is_exporting, is_recording


def run_recurrence(module: nn.Module, inputs: Tensor, start: Any = None) -> tuple[Tensor, Any]:
    """Return `module(inputs, start)`; while torch.export is recording, by `scan`.

    Args:
        module: `nn.LSTM`, `nn.GRU` or `nn.RNN` in one direction with `batch_first` and biases, or any module that is
            called in the same way; others are called.
        inputs: (B, T, F).
        start: The state before the first step, (N, B, H), for an LSTM a pair of them; None for zero.
    """
    if type(module) in (nn.LSTM, nn.GRU, nn.RNN) and is_exporting():
        return run_by_scan(module, inputs, start)  # type: ignore[arg-type]
    ran: tuple[Tensor, Any] = module(inputs, start)
    return ran


def scan(
    step: Callable[..., tuple[Tensor, ...]],
    start: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    weights: tuple[Tensor, ...] = (),
) -> Tensor:
    """Record a loop over steps by the operator behind `torch.scan`.

    Args:
        step: Takes the state, as `start`, the inputs of one step, (B, F) each, and the weights, one after the other.
            Returns the next state and, last, the output of this step, (B, H). All of these must be new tensors.
        start: The state before the first step, (B, H) each.
        inputs: (B, T, F) each.
        weights: All other tensors that `step` reads.

    Returns:
        The outputs of all steps, (B, T, H).
    """
    steps_first = [each.transpose(0, 1) for each in inputs]
    if torch.compiler.is_dynamo_compiling():  # torch.export(strict=True), which takes the operator in this form only
        from torch._higher_order_ops.scan import scan as record

        def pairwise(state: tuple[Tensor, ...], below: list[Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
            *after, kept = step(*state, *below, *weights)
            return tuple(after), kept

        _, kept = record(pairwise, start, steps_first)
    else:
        *_, kept = torch.ops.higher_order.scan(step, list(start), steps_first, weights)
    return kept.transpose(0, 1)  # type: ignore[no-any-return]


def run_by_scan(module: nn.RNNBase, inputs: Tensor, start: Any, sums: Tensor | None = None) -> tuple[Tensor, Any]:
    """Record `module(inputs, start)`.

    Args:
        module: As in `run_recurrence`.
        inputs: (B, T, F); where `sums` are given, in any form.
        start: As in `run_recurrence`.
        sums: (B, T, gates H), product of the inputs with the weights of the first layer, if it is known.
    """
    size, with_cells = module.hidden_size, module.mode == "LSTM"
    if start is None:  # separate tensors, since the operator takes no two that share memory
        zeros = module.num_layers, inputs.size(0), size
        start = tuple(module.weight_hh_l0.new_zeros(zeros) for _ in range(1 + with_cells))  # type: ignore[operator]
    elif not with_cells:
        start = (start,)
    ends = []
    for layer in range(module.num_layers):
        if layer and module.dropout:
            inputs = F.dropout(inputs, module.dropout, module.training)
        weight_hh, bias_hh = getattr(module, f"weight_hh_l{layer}"), getattr(module, f"bias_hh_l{layer}")
        if layer or sums is None:
            sums = F.linear(inputs, getattr(module, f"weight_ih_l{layer}"))
        net = sums + getattr(module, f"bias_ih_l{layer}")
        states = _layer(module.mode, net, weight_hh, bias_hh, tuple(each[layer] for each in start))
        inputs = states[..., :size]
        ends.append(states[:, -1])
    last = torch.stack(ends)
    return inputs, (last[..., :size], last[..., size:]) if with_cells else last


def _layer(mode: str, net: Tensor, weight: Tensor, bias: Tensor, start: tuple[Tensor, ...]) -> Tensor:
    """Return the hidden states of one layer, (B, T, H), of an LSTM with its cell states after them, (B, T, 2 H).

    Args:
        mode: As in `nn.RNNBase`.
        net: (B, T, gates H), inputs of the units from the layer below.
        weight: (gates H, H).
        bias: (gates H,).
        start: Hidden state before the first step, for an LSTM also the cell state, (B, H) each.
    """

    def lstm(hidden: Tensor, cell: Tensor, below: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        i, f, g, o = (below + F.linear(hidden, weight, bias)).chunk(4, dim=-1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        return hidden, cell, torch.cat((hidden, cell), dim=-1)

    def gru(hidden: Tensor, below: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        r, z, n = below.chunk(3, dim=-1)
        r_back, z_back, n_back = F.linear(hidden, weight, bias).chunk(3, dim=-1)
        keep = (z + z_back).sigmoid()
        hidden = (1 - keep) * (n + (r + r_back).sigmoid() * n_back).tanh() + keep * hidden
        return hidden, hidden.clone()

    def rnn(hidden: Tensor, below: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        net = below + F.linear(hidden, weight, bias)
        hidden = net.relu() if mode == "RNN_RELU" else net.tanh()
        return hidden, hidden.clone()

    steps: dict[str, Callable[..., tuple[Tensor, ...]]] = {"LSTM": lstm, "GRU": gru}
    return scan(steps.get(mode, rnn), start, (net,), (weight, bias))


def accumulate(keep: Tensor, new: Tensor, start: Tensor | None = None) -> Tensor:
    """Return c, (B, T, H), with c_t = keep_t c_(t-1) + new_t.

    Args:
        keep: (B, T, H).
        new: (B, T, H).
        start: c before the first step, (B, H); None for zero.
    """
    if is_exporting():

        def step(total: Tensor, keep: Tensor, new: Tensor) -> tuple[Tensor, ...]:
            total = keep * total + new
            return total, total.clone()

        zero = new.new_zeros(new.size(0), new.size(2))
        return scan(step, (zero if start is None else start,), (keep, new))
    total: Tensor = (_scripted() if is_recording() else _accumulate)(keep, new, start)
    return total


def _accumulate(keep: Tensor, new: Tensor, start: Tensor | None) -> Tensor:
    last = new[:, 0] if start is None else keep[:, 0] * start + new[:, 0]
    totals = [last]
    for step in range(1, new.size(1)):
        last = keep[:, step] * last + new[:, step]
        totals.append(last)
    return torch.stack(totals, dim=1)


@cache
def _scripted() -> Any:
    """Return `_accumulate` with its loop, which torch.jit.trace would unroll for the steps of its example."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # by torch.jit, which the caller uses
        return torch.jit.script(_accumulate)

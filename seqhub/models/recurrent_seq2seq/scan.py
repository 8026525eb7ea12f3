"""Recurrences that can be exported for any number of steps.

This file is saved with the weights, so it does not import seqhub. The model families with a recurrence have identical
copies.

torch.export replaces `nn.LSTM`, `nn.GRU` and `nn.RNN` by a copy of their operations for each step of the example, which
fixes the number of steps. PyTorch's `scan` operator is recorded once; torch.onnx.export converts it to a Scan node.

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
    """Return `module(inputs, start)`; during torch.export, computed with `scan`.

    Args:
        module: `nn.LSTM`, `nn.GRU` or `nn.RNN` in one direction with `batch_first` and biases; or any other module with
            the same interface, which is called.
        inputs: (B, T, F).
        start: Initial state, (N, B, H), for an LSTM a pair of them; None for zero.
    """
    if type(module) in (nn.LSTM, nn.GRU, nn.RNN) and is_exporting():
        return run_by_scan(module, inputs, start)  # type: ignore[arg-type]
    result: tuple[Tensor, Any] = module(inputs, start)
    return result


def scan(
    step: Callable[..., tuple[Tensor, ...]],
    start: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    weights: tuple[Tensor, ...] = (),
) -> Tensor:
    """Record a loop over steps with the operator of `torch.scan`.

    Args:
        step: Function of the tensors of the state, the inputs of one step, (B, F) each, and the weights. It returns the
            tensors of the next state and then the output of the step, (B, H), all of them new tensors.
        start: Initial state, (B, H) each.
        inputs: (B, T, F) each.
        weights: All other tensors that `step` uses.

    Returns:
        The outputs of all steps, (B, T, H).
    """
    steps_first = [each.transpose(0, 1) for each in inputs]
    if torch.compiler.is_dynamo_compiling():  # torch.export(strict=True), which supports only this form
        from torch._higher_order_ops.scan import scan as record

        def pairwise(state: tuple[Tensor, ...], below: list[Tensor]) -> tuple[tuple[Tensor, ...], Tensor]:
            *after, output = step(*state, *below, *weights)
            return tuple(after), output

        _, outputs = record(pairwise, start, steps_first)
    else:
        *_, outputs = torch.ops.higher_order.scan(step, list(start), steps_first, weights)
    return outputs.transpose(0, 1)  # type: ignore[no-any-return]


def run_by_scan(module: nn.RNNBase, inputs: Tensor, start: Any, sums: Tensor | None = None) -> tuple[Tensor, Any]:
    """Compute `module(inputs, start)` with `scan`.

    Args:
        module: As in `run_recurrence`.
        inputs: (B, T, F); of any shape if `sums` are given.
        start: As in `run_recurrence`.
        sums: (B, T, gates H), products of the inputs with the weights of the first layer; by default computed here.
    """
    size, with_cells = module.hidden_size, module.mode == "LSTM"
    if start is None:  # separate tensors, since the operator does not accept tensors that share memory
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
    """Return the hidden states of one layer, (B, T, H), for an LSTM concatenated with cell states, (B, T, 2 H).

    Args:
        mode: As in `nn.RNNBase`.
        net: (B, T, gates H), net inputs from the layer below.
        weight: (gates H, H).
        bias: (gates H,).
        start: Initial hidden state, for an LSTM also the cell state, (B, H) each.
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
        start: Initial c, (B, H); None for zero.
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
    """Return `_accumulate` as a script with its loop, which torch.jit.trace would unroll."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
        return torch.jit.script(_accumulate)

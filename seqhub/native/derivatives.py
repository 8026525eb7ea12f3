"""Recurrences in torch operations, for derivatives that the native library does not provide.

If gradients are to be differentiated again (`create_graph=True`), or if the incoming gradient is not a plain tensor
(`is_grads_batched=True`, fake tensors), the forward pass is repeated with torch operations and differentiated by torch.
The results equal the native ones to rounding.

Shapes: as in `operator` and `memory_blocks`.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

_WEIGHTS_PER_LAYER = 4  # weight_ih, weight_hh, bias_ih, bias_hh


def differentiate(
    function: Callable[..., tuple[Tensor, ...]],
    tensors: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
    d_outputs: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """Return the gradients of tensors through a function, differentiable if grad mode is enabled.

    Args:
        function: Takes the tensors and returns the outputs.
        tensors: Arguments of the function.
        needed: Whether the gradient of each tensor is needed.
        d_outputs: Gradient of each output, or None.

    Returns:
        One gradient for each tensor, None if it is not needed or zero.
    """
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that hooks on the tensors themselves are not called with this gradient, too
        given = [
            each.view_as(each) if need and each is not None else each
            for each, need in zip(tensors, needed, strict=True)
        ]
        outputs = function(*given)
    pairs = [
        (output, gradient)
        for output, gradient in zip(outputs, d_outputs, strict=True)
        if gradient is not None and output.requires_grad
    ]
    sources = [each for each, need in zip(given, needed, strict=True) if need and each is not None]
    if not pairs or not sources:
        return [None] * len(tensors)
    found = iter(
        torch.autograd.grad(
            [output for output, _ in pairs],
            sources,
            [gradient for _, gradient in pairs],
            create_graph=recorded,
            allow_unused=True,
        )
    )
    return [next(found) if need and each is not None else None for each, need in zip(given, needed, strict=True)]


def recurrence(
    inputs: Tensor,
    columns: Tensor | None,
    spans: Tensor | None,
    weights: tuple[Tensor, ...],
    h_0: Tensor | None,
    c_0: Tensor | None,
    cell: str,
    bidirectional: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the outputs of `operator.recurrence` step by step."""
    real = _real_steps(inputs, spans)
    directions = 2 if bidirectional else 1
    ends: list[Tensor] = []
    cells: list[Tensor] = []
    for first in range(0, len(weights), _WEIGHTS_PER_LAYER * directions):
        outputs = []
        for direction in range(directions):
            weight_ih, weight_hh, bias_ih, bias_hh = weights[first + _WEIGHTS_PER_LAYER * direction :][
                :_WEIGHTS_PER_LAYER
            ]
            number = len(ends)
            zero = weight_hh.new_zeros(len(inputs), weight_hh.size(1))
            h = zero if h_0 is None else h_0[number]
            c = zero if c_0 is None else c_0[number]
            sums = _input_sums(inputs, columns, real, weight_ih, bias_ih)
            states: list[Tensor] = [zero] * sums.size(1)
            for step, present in _steps(real, backward=direction == 1):
                new_h, new_c = _cell(cell, sums[:, step], F.linear(h, weight_hh, bias_hh), h, c)
                h, c = torch.where(present, new_h, h), torch.where(present, new_c, c)
                states[step] = torch.where(present, new_h, zero)
            outputs.append(torch.stack(states, dim=1))
            ends.append(h)
            cells.append(c)
        inputs, columns = torch.cat(outputs, dim=-1), None
    return inputs, torch.stack(ends), torch.stack(cells) if cell == "lstm" else inputs.new_empty(0)


def memory_blocks(
    inputs: Tensor,
    columns: Tensor | None,
    spans: Tensor | None,
    m_0: Tensor | None,
    h_0: Tensor | None,
    weights: tuple[Tensor, Tensor | None, Tensor | None],
    activate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]],
    cells: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the outputs of `memory_blocks.memory_blocks` step by step, with its truncated gradient.

    Args:
        inputs: As in `memory_blocks.memory_blocks`.
        columns: As in `memory_blocks.memory_blocks`.
        spans: As in `memory_blocks.memory_blocks`.
        m_0: (B, U), initial states of the cells and activations of the gates; None for zero.
        h_0: (B, H), initial outputs of the cells; None for zero.
        weights: As in `memory_blocks.memory_blocks`.
        activate: Takes net inputs (B, U) and states (B, H); returns new states, activations of the gates and outputs.
        cells: H.
    """
    real = _real_steps(inputs, spans)
    weight_ih, weight_hh, bias = weights
    if bias is not None and len(bias) < len(weight_ih):
        bias = F.pad(bias, (len(weight_ih) - len(bias), 0))
    zero = weight_ih.new_zeros(len(inputs), cells)
    if m_0 is None or h_0 is None:
        states, output, gates = zero, zero, weight_ih.new_zeros(len(inputs), len(weight_ih) - cells)
    else:
        states, gates, output = m_0[:, :cells], m_0[:, cells:], h_0
    sums = _input_sums(inputs, columns, real, weight_ih, bias)
    outputs: list[Tensor] = [zero] * sums.size(1)
    for step, present in _steps(real, backward=False):
        net = sums[:, step]
        if weight_hh is not None:
            net = net + F.linear(torch.cat((output, gates), dim=-1).detach(), weight_hh)
        new_states, new_gates, new_output = activate(net, states)
        states, gates = torch.where(present, new_states, states), torch.where(present, new_gates, gates)
        output = torch.where(present, new_output, output)
        outputs[step] = torch.where(present, new_output, zero)
    return torch.stack(outputs, dim=1), output, torch.cat((states, gates), dim=-1)


def _real_steps(inputs: Tensor, spans: Tensor | None) -> Tensor:
    """Return a mask (B, T), True at real steps."""
    steps = torch.arange(inputs.size(1), device=inputs.device).expand(inputs.shape[:2])
    if spans is None:
        return torch.ones_like(steps, dtype=torch.bool)
    first, length = spans.unsqueeze(-1)
    real: Tensor = (steps >= first) & (steps < first + length)
    return real


def _input_sums(inputs: Tensor, columns: Tensor | None, real: Tensor, weight_ih: Tensor, bias: Tensor | None) -> Tensor:
    """Return the products of inputs and weights at all steps plus the bias; values at padded steps are not read."""
    if columns is None:
        return F.linear(inputs.masked_fill(~real.unsqueeze(-1), 0), weight_ih, bias)
    column = columns.long()[inputs.masked_fill(~real, 0)]
    sums = F.embedding(torch.where(column < 0, weight_ih.size(1), column), F.pad(weight_ih, (0, 1)).t())
    return sums if bias is None else sums + bias


def _steps(real: Tensor, *, backward: bool) -> Iterator[tuple[int, Tensor]]:
    """Yield the steps in reading order, each with a mask (B, 1) of the rows in which it is real."""
    steps = range(real.size(1))
    for step in reversed(steps) if backward else steps:
        yield step, real[:, step].unsqueeze(-1)


def _cell(cell: str, below: Tensor, before: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next hidden and cell state, from the sums of inputs and of states with their biases."""
    if cell == "lstm":
        i, f, g, o = (below + before).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if cell == "gru":
        (r_x, z_x, n_x), (r_h, z_h, n_h) = below.chunk(3, dim=-1), before.chunk(3, dim=-1)
        n = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
        return n + (z_x + z_h).sigmoid() * (h - n), c
    return ((below + before).tanh() if cell == "rnn_tanh" else (below + before).relu()), c

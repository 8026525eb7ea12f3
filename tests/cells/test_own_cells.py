"""Cells as users write them: what compiles equals eager steps, and the rest runs as a plain loop, with one line."""

import math
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqhub.cells.compile import compile_cell
from seqhub.errors import PlainLoopWarning
from tests.helpers.cell_cases import compare

H, X = 6, 4
OUTSIDE = torch.randn(H, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Base(nn.Module):
    """A cell with weights of several shapes; subclasses define a step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Linear(X, H)
        self.u = nn.Linear(H, H, bias=False)
        self.diagonal = nn.Parameter(torch.randn(H))
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.gate = nn.Linear(X + H, 3 * H)
        self.norm = nn.LayerNorm(H)
        self.down, self.up = nn.Linear(H, 2), nn.Linear(2, H)
        self.register_buffer("offset", torch.linspace(-1, 1, H))
        self.double()

    def forward(self, x: Tensor, h: Tensor | None = None) -> Any:
        return self.step(x, x.new_zeros(len(x), H) if h is None else h)

    def step(self, x: Tensor, h: Tensor) -> Any:
        raise NotImplementedError


def cell(step: Any) -> nn.Module:
    return type(step.__name__.title().replace("_", "") + "Cell", (Base,), {"step": step})()


def plain_rnn(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + self.u(h))


def concatenated(self: Any, x: Tensor, h: Tensor) -> Tensor:
    r, z, n = self.gate(torch.cat([x, h], dim=1)).chunk(3, dim=-1)
    return torch.lerp(h, (n * r.sigmoid()).tanh(), z.sigmoid())


def layer_normed(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return self.norm(self.w(x) + self.u(h)).tanh()


def softmaxed(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return h * 0.5 + F.softmax(self.w(x) * self.diagonal + h, dim=-1) + F.log_softmax(h, -1) * 0.01


def low_rank(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return F.silu(self.w(x) + self.up(self.down(h))) + F.gelu(h) * self.scale


def in_place(self: Any, x: Tensor, h: Tensor) -> Tensor:
    out = self.w(x)
    out += self.u(h)
    out.mul_(self.scale).add_(self.offset)
    return out.tanh_()


def slices(self: Any, x: Tensor, h: Tensor) -> Tensor:
    a, b = h[:, :2], h[:, 2:]
    mixed = torch.cat([b * x[:, 0:1], a + x[:, -1:]], dim=1)
    return torch.tanh(mixed + self.diagonal * h.roll(1, dims=1)) + F.pad(x, (0, 2)) * 0.1


def branches(self: Any, x: Tensor, h: Tensor) -> Tensor:
    net = self.w(x) + self.u(h)
    near = (net.abs() < 1) & (net > -0.5) | ~(net <= 0.7)
    return torch.where(near, net, net.clamp(-0.8, 0.9)) + h.masked_fill(net > 0.3, 0.25) * 0.3


def roots(self: Any, x: Tensor, h: Tensor) -> Tensor:
    y = (self.w(x) ** 2 + h**2 + 0.5).sqrt() / (1 + h.exp()) + torch.log1p(h.abs()) + torch.rsqrt(1 + h * h)
    return y.log() * 0.5 + torch.expm1(-h.abs()) + torch.sin(h) * torch.cos(h) + h.reciprocal().tanh() * 0.1


def normalised(self: Any, x: Tensor, h: Tensor) -> Tensor:
    y = F.normalize(self.w(x) + h, dim=-1) + h / (1 + h.norm(dim=-1, keepdim=True))
    return y - y.mean(-1, keepdim=True) + torch.amax(y, dim=1, keepdim=True) * 0.1


def activations(self: Any, x: Tensor, h: Tensor) -> Tensor:
    y = self.w(x) + self.u(h)
    parts = F.elu(y), F.selu(h), F.leaky_relu(y), F.softplus(y), F.logsigmoid(h), F.mish(y), F.hardsigmoid(y)
    return sum(parts) * 0.2 + F.hardtanh(h) * 0.1 + F.relu6(y) * 0.1 + F.softsign(h) * 0.1  # type: ignore[no-any-return]


def of_weights(self: Any, x: Tensor, h: Tensor) -> Tensor:
    skew = self.u.weight - self.u.weight.t() - 0.1 * torch.eye(H, dtype=x.dtype)
    decay = torch.exp(-F.softplus(self.diagonal)) * torch.sigmoid(self.scale)
    return decay * h + (x @ self.w.weight.t().detach() + h @ skew + self.w.bias[1] * 0.3).tanh()


def stop_gradient(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + self.u(h.detach()) + h * self.scale)


def constants(self: Any, x: Tensor, h: Tensor) -> Tensor:
    ones = torch.ones_like(h)
    half = torch.tensor(0.5, dtype=x.dtype)
    return (
        self.w(x) * half + ones * 0.1 + OUTSIDE + h.new_full((H,), 0.2) + torch.zeros(len(x), H, dtype=x.dtype)
    ).tanh() + h * 0.5


def no_parameters_used(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return h * 0.9 + F.pad(x, (1, 1)).tanh()


def mixed_widths(self: Any, x: Tensor, h: Tensor) -> Tensor:
    attention = torch.stack([h[:, 0] * x[:, 1], h.sum(dim=1)], dim=1).softmax(-1)
    return self.up(attention).tanh() * h.mean(1).unsqueeze(1) + h * attention[:, :1]


def unused_input(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.u(h) + self.offset)


def more_activations(self: Any, x: Tensor, h: Tensor) -> Tensor:
    y = self.w(x) + self.u(h)
    parts = F.hardswish(y * 3), F.celu(y, 0.7), F.hardshrink(y), F.softshrink(h), F.threshold(y, 0.1, 0.2)
    return sum(parts) * 0.2 + F.prelu(y, self.diagonal) + F.glu(self.gate(torch.cat([x, h], 1))[:, : 2 * H])  # type: ignore[no-any-return]


def other_bases(self: Any, x: Tensor, h: Tensor) -> Tensor:
    near = (self.w(x) + h).tanh()
    return 2.0**near + torch.exp2(near) * 0.1 + torch.log2(1 + h * h) + torch.log10(2 + near) + (1 + near**2) ** -2


def more_shapes(self: Any, x: Tensor, h: Tensor) -> Tensor:
    first, *rest = h.unbind(1)
    turned = torch.stack([*rest, first], dim=1).flip(1)
    return torch.tanh(self.w(x) + turned + x[:, ::3].repeat(1, 3)) + torch.cat([h[:, 1::2], h[:, ::2]], dim=1) * 0.5


def more_reductions(self: Any, x: Tensor, h: Tensor) -> Tensor:
    y = self.w(x) + self.u(h)
    spread = y.std(1, keepdim=True) + y.var(dim=-1, unbiased=False).unsqueeze(1)
    return torch.tanh(y - torch.logsumexp(h, 1, keepdim=True) + spread) + y.amin(1, keepdim=True) * 0.1


def sums_of_weights(self: Any, x: Tensor, h: Tensor) -> Tensor:
    turned = (2 * self.u.weight - self.u.weight.t() * 0.5).t() + 0.3 * torch.eye(H, dtype=x.dtype)
    rate = torch.sigmoid(self.scale) * F.softplus(self.diagonal) + (1 - self.w.bias)
    return torch.tanh(self.w(x) + h @ turned - F.linear(h, -self.u.weight)) * rate


COMPILED = [
    plain_rnn, concatenated, layer_normed, softmaxed, low_rank, in_place, slices, branches, roots, normalised,
    activations, of_weights, stop_gradient, constants, no_parameters_used, mixed_widths, unused_input,
    more_activations, other_bases, more_shapes, more_reductions, sums_of_weights,
]  # fmt: skip


@pytest.mark.fast_cases("concatenated", "layer_normed", "in_place", "of_weights", "mixed_widths", "sums_of_weights")
@pytest.mark.parametrize("step", COMPILED, ids=lambda step: step.__name__)
def test_compiled(step: Any) -> None:
    # the gradients of hardsigmoid and hardswish of torch in float64 have a factor of 1/6 in float32
    compare(cell(step), X, 1e-8 if step in (activations, more_activations) else 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("step", COMPILED, ids=lambda step: step.__name__)
def test_compiled_float32(step: Any) -> None:
    if step in (constants, of_weights):
        return  # of float64 by their code
    compare(cell(step).float(), X, 1e-5)


def reads_values(self: Any, x: Tensor, h: Tensor) -> Tensor:
    if h.sum() > 0:
        h = -h
    return torch.tanh(self.w(x) + h)


def reads_values_in_python(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + h * math.cos(sum(map(sum, h.tolist()))))


def random_numbers(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + torch.rand_like(h))


def dropped(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + F.dropout(h, 0.5, self.training))


def writes_to_state(self: Any, x: Tensor, h: Tensor) -> Tensor:
    h *= 0.5
    return torch.tanh(self.w(x) + h)


def across_batch(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + h - h.mean(0))


def counts_steps(self: Any, x: Tensor, h: Tensor) -> Tensor:
    self.steps = getattr(self, "steps", 0) + 1
    return torch.tanh(self.w(x) + h * (1 / self.steps))


def special(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) + torch.lgamma(h))


def by_batch_size(self: Any, x: Tensor, h: Tensor) -> Tensor:
    return torch.tanh(self.w(x) / len(x) + h)


PLAIN = {
    reads_values: "depend on the values of tensors (test_own_cells.py:",
    reads_values_in_python: "depend",
    random_numbers: "rand_like: random numbers in a step (test_own_cells.py:",
    dropped: "random numbers in a step",
    writes_to_state: "mul_: writes to an input, a state or a parameter in place",
    across_batch: "mixes sequences of the batch",
    counts_steps: "a step changes attributes of the cell",
    special: "lgamma: not supported (test_own_cells.py:",
    by_batch_size: "depend on the values or on the batch size",
}


@pytest.mark.parametrize("step", PLAIN, ids=lambda step: step.__name__)
def test_not_compiled(step: Any) -> None:
    made = cell(step)
    layer, inputs = compile_cell(made), torch.randn(3, 5, X, dtype=torch.float64)
    torch.manual_seed(1)
    made.steps = 0
    with pytest.warns(PlainLoopWarning, match=re.escape(PLAIN[step])) as caught:
        outputs, last = layer(inputs)
    assert len(caught) == 1
    assert "\n" not in str(caught[0].message)
    torch.manual_seed(1)
    made.steps = 0
    h = None
    for step_inputs in inputs.unbind(1):
        h = made(step_inputs, h)
    torch.testing.assert_close(last[0], h)
    torch.testing.assert_close(outputs[:, -1], h)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(inputs)  # said once


def test_a_line_names_the_source() -> None:
    with pytest.warns(PlainLoopWarning) as caught:
        compile_cell(cell(special))(torch.randn(3, 5, X, dtype=torch.float64))
    assert "return torch.tanh(self.w(x) + torch.lgamma(h))" in str(caught[0].message)


@pytest.mark.parametrize("width", [57, 64, 130])
def test_few_sequences_of_a_width_that_fills_a_block_in_part(width: int) -> None:
    """For few sequences, up to 64 results are computed together, and the last ones may be fewer."""
    torch.manual_seed(0)
    cell = nn.GRUCell(5, width)
    for rows in (1, 2, 4, 18):
        compare(cell, 5, 1e-5, rows=rows, steps=4, with_lengths=rows > 1)

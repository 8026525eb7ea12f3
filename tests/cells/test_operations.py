"""Each kind of operation in a step, compiled: values and all gradients equal those of eager steps."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqhub.cells.compile import compile_cell
from tests.helpers.cell_cases import compare

H, X = 6, 4
Operation = Callable[["Cell", Tensor], Tensor]


class Cell(nn.Module):
    """A cell whose new state is an operation on a sum of input and state, (B, 6)."""

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.operation = operation
        self.w, self.u = nn.Linear(X, H), nn.Linear(H, H, bias=False)
        self.heads = nn.Parameter(torch.randn(2, 3, 3) / 2)
        self.square = nn.Parameter(torch.randn(3, 3) / 2)
        self.table = nn.Parameter(torch.randn(2, 3))
        self.bilinear = nn.Parameter(torch.randn(H, 3, 3) / 4)
        self.exponent = nn.Parameter(torch.rand(H) + 0.5)
        self.norm, self.groups = nn.LayerNorm(3), nn.GroupNorm(2, H)
        self.register_buffer("order", torch.tensor([3, 1, 1, 0, 5, 2]))
        self.register_buffer("mask", torch.tensor([True, False, True, True, False, True]))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        h = x.new_zeros(len(x), H) if h is None else h
        return torch.tanh(self.operation(self, self.w(x) + self.u(h)) * 0.5 + 0.1 * h)


def heads(y: Tensor) -> Tensor:
    return y.view(len(y), 2, 3)


def set_items(cell: Cell, y: Tensor) -> Tensor:
    out = torch.zeros_like(y)
    out[:, :2] = y[:, 4:]
    out[:, 2:4] = y[:, 2:4] * 2
    out[:, 4] = 1.0
    out[:, 1] += y[:, 0]
    return out


def views_in_place(cell: Cell, y: Tensor) -> Tensor:
    y = y * 1.0
    view = y.view(len(y), 2, 3)
    view[:, 1].mul_(2.0).add_(y[:, :3])
    y.relu_()
    return y + view.transpose(1, 2).flatten(1)


def indexed_items(cell: Cell, y: Tensor) -> Tensor:
    out = y.clone()
    out[:, [0, 3]] = y[:, [1, 2]] * 2
    return out.index_copy(1, torch.tensor([5]), y[:, :1])


def not_differentiated(cell: Cell, y: Tensor) -> Tensor:
    with torch.no_grad():
        decay = torch.sigmoid(cell.exponent)
        held = y * decay
    return held + y.detach() * cell.exponent + y.data * 0.1


def attention(cell: Cell, y: Tensor) -> Tensor:
    queries, keys = heads(y), heads(y.flip(1))
    return F.scaled_dot_product_attention(queries, keys, queries * cell.table).flatten(1)


def outer(cell: Cell, y: Tensor) -> Tensor:
    matrix = torch.einsum("bi,bj->bij", y[:, :3], y[:, 3:])
    return torch.cat([torch.einsum("bij,bj->bi", matrix, y[:, :3]), matrix.diagonal(dim1=1, dim2=2)], dim=1)


OPERATIONS: dict[str, Operation] = {
    "einsum over heads": lambda cell, y: torch.einsum("bnd,nde->bne", heads(y), cell.heads).flatten(1),
    "matmul of heads": lambda cell, y: (heads(y).unsqueeze(2) @ cell.heads).flatten(1),
    "linear on heads": lambda cell, y: F.linear(heads(y), cell.square, cell.table[0]).flatten(1),
    "weight times heads": lambda cell, y: (cell.square @ y.view(-1, 3, 2)).flatten(1),
    "weight times the batch transposed": lambda cell, y: (cell.square @ y[:, :3].t()).t().repeat(1, 2),
    "bmm of two values": lambda cell, y: torch.bmm(heads(y).transpose(1, 2), heads(y.sin())).flatten(1)[:, 1:7],
    "baddbmm": lambda cell, y: torch.baddbmm(heads(y), heads(y), y[:, :1, None] * cell.square).flatten(1),
    "outer products": outer,
    "attention": attention,
    "bilinear": lambda cell, y: F.bilinear(y[:, :3], y[:, 3:], cell.bilinear),
    "broadcast over heads": lambda cell, y: (heads(y) * cell.table + cell.table[:, :1]).flatten(1),
    "layer norm of heads": lambda cell, y: cell.norm(heads(y)).flatten(1),
    "group norm": lambda cell, y: cell.groups(y),
    "rms norm": lambda cell, y: F.rms_norm(heads(y), (3,)).flatten(1),
    "softmax over heads": lambda cell, y: heads(y).softmax(1).flatten(1) + heads(y).log_softmax(2).flatten(1),
    "sums over heads": lambda cell, y: (
        torch.cat([heads(y).sum(1), heads(y).mean(1)], 1) + heads(y).mean((1, 2))[:, None]
    ),
    "extremes over heads": lambda cell, y: torch.cat([heads(y).amax(1), heads(y).amin(1)], 1) + heads(y).amax(2)[:, :1],
    "max with values": lambda cell, y: y * y.max(1, keepdim=True).values - y.min(dim=1).values[:, None],
    "max over heads": lambda cell, y: torch.cat([heads(y).max(1)[0], heads(y).min(1).values], 1),
    "norms": lambda cell, y: y / (1 + y.norm(1, dim=1, keepdim=True)) + heads(y).norm(math.inf, dim=2).repeat(1, 3),
    "normalize heads": lambda cell, y: F.normalize(heads(y), dim=-1).flatten(1),
    "std of heads": lambda cell, y: (
        y * heads(y).std(2).repeat(1, 3) + heads(y).logsumexp(2, keepdim=True).flatten(1)[:, :1]
    ),
    "cumsum": lambda cell, y: y.softmax(1).cumsum(1) + heads(y).cumsum(1).flatten(1) * 0.1,
    "cumprod": lambda cell, y: y.sigmoid().cumprod(1) + heads(y).prod(2).repeat(1, 3),
    "pow with weights": lambda cell, y: (y.abs() + 0.2) ** cell.exponent + (1.5 + y.tanh()).pow(y) * 0.1,
    "pow with constants": lambda cell, y: (y.abs() + 0.2) ** 1.7 + (y.abs() + 0.3) ** -0.3 + y**3,
    "tan and atan": lambda cell, y: torch.tan(y.tanh()) + torch.atan(y) + torch.atan2(y, y.flip(1) + 0.3),
    "inverse functions": lambda cell, y: (
        torch.asin(y.tanh() * 0.9) + torch.acos(y.sin() * 0.9) + torch.atanh(0.9 * y.sin())
    ),
    "hyperbolic functions": lambda cell, y: torch.sinh(y) + torch.cosh(y) + torch.asinh(y) + torch.acosh(1.2 + y * y),
    "erf and erfc": lambda cell, y: torch.erf(y) + torch.erfc(y + 0.3),
    "remainder": lambda cell, y: y.remainder(0.7) + y % -0.4 + y.frac() + y.round() * y,
    "remainder of weights": lambda cell, y: torch.remainder(y, cell.exponent),
    "logaddexp": lambda cell, y: (
        torch.logaddexp(y, y.flip(1)) + torch.hypot(y, y.flip(1) + 0.5) + torch.logit(y.sigmoid())
    ),
    "heaviside": lambda cell, y: y * torch.heaviside(y.detach(), y.new_tensor(0.5)) + y.masked_fill(y.isnan(), 0.0),
    "glu": lambda cell, y: F.glu(y.repeat(1, 2)) + F.glu(heads(y.repeat(1, 2)[:, :6]), dim=1).flatten(1).repeat(1, 2),
    "index_select": lambda cell, y: y.index_select(1, cell.order) + y[:, [5, 4, 3, 2, 1, 0]],
    "mask of constants": lambda cell, y: (
        torch.cat([y[:, cell.mask], y[:, ~cell.mask]], 1) + torch.where(cell.mask, y, -y)
    ),
    "shuffled units": lambda cell, y: heads(y).transpose(1, 2).flatten(1) + heads(y).flip(2).roll(1, 1).flatten(1),
    "repeat_interleave": lambda cell, y: (
        y[:, :3].repeat_interleave(2, dim=1) + y[:, None, :3].expand(-1, 2, -1).flatten(1)
    ),
    "unfold": lambda cell, y: F.pad(y, (2, 0), value=0.5).unfold(1, 3, 1).sum(2) + torch.tril(heads(y)).flatten(1),
    "stack of heads": lambda cell, y: (
        torch.stack([y[:, :3], y[:, 3:].sin()], dim=2).flatten(1) + torch.stack(y.unbind(1), 1)
    ),
    "matrix of one unit": lambda cell, y: y[:, :1].expand(-1, H) * y[:, 1].unsqueeze(1) + y.mv(cell.exponent)[:, None],
    "truth values": lambda cell, y: y * (y > 0.1).to(y.dtype) + y.flip(1) * y.trunc().bool() + y * ((y > 0) & ~(y > 1)),
    "items that are set": set_items,
    "views in place": views_in_place,
    "indexed items": indexed_items,
    "no_grad and data": not_differentiated,
}
FAST = ("attention", "items that are set", "no_grad and data")


@pytest.mark.fast_cases(*FAST)
@pytest.mark.parametrize("name", OPERATIONS)
def test_float64(name: str) -> None:
    compare(Cell(OPERATIONS[name]).double(), X, 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_float32(name: str) -> None:
    compare(Cell(OPERATIONS[name]), X, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "no_grad and data"])
def test_gradcheck(name: str) -> None:
    layer = compile_cell(Cell(OPERATIONS[name]).double())
    inputs = torch.randn(3, 2, X, dtype=torch.float64, requires_grad=True)
    state = torch.randn(1, 3, H, dtype=torch.float64, requires_grad=True)
    parameters = [each for each in layer.parameters() if each.requires_grad]

    def run(*given: Any) -> Any:
        return layer(given[0], given[1])

    assert torch.autograd.gradcheck(run, (inputs, state, *parameters))

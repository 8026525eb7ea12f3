"""Random cells, compiled, against eager steps, in float64 and float32.

SEQHUB_TEST_CELLS=2000 in the environment sets the number of cells; CXXFLAGS=-O0 makes them compile faster.
"""

import math
import os
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.cell_batches import compiled_together
from tests.helpers.cell_cases import compare

H = 6
HEADS = 2


def heads(a: Tensor) -> Tensor:
    return a.view(len(a), HEADS, H // HEADS)


def varied(a: Tensor) -> Tensor:
    """Return values that are not all equal, whose norm would be their rounding, amplified 300 times."""
    return a + torch.linspace(-1, 1, a.size(1), dtype=a.dtype)


def items(a: Tensor, b: Tensor) -> Tensor:
    out = torch.zeros_like(a)
    out[:, 1:4] = b[:, :3]
    out[:, ::2] += a[:, 3:]
    return out


UNARY = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": F.softplus,
    "silu": F.silu,
    "elu": F.elu,
    "gelu": F.gelu,
    "hardtanh": F.hardtanh,
    "abs": torch.abs,
    "neg": torch.neg,
    "sin": torch.sin,
    "squared": lambda a: a * a,
    "root": lambda a: (a * a + 0.3).sqrt(),
    "softmax": lambda a: a.softmax(-1),
    "log_softmax": lambda a: a.log_softmax(-1),
    "layer_norm": lambda a: F.layer_norm(varied(a), a.shape[1:]),
    "centred": lambda a: a - a.mean(-1, keepdim=True),
    "scaled": lambda a: a / (1 + a.norm(dim=-1, keepdim=True)),
    "detached": lambda a: a.detach() * 0.5,
    "rolled": lambda a: a.roll(2, dims=1),
    "first": lambda a: a[:, :1].expand(-1, a.size(1)),
    "exponential": lambda a: a.clamp(-3, 3).exp(),
    "logarithm": lambda a: (a.abs() + 0.1).log(),
    "power": lambda a: (a.abs() + 0.2).pow(1.3),
    "tangent": lambda a: torch.tan(a.tanh()),
    "arcs": lambda a: torch.atan(a) + torch.asin(a.tanh() * 0.9) + torch.asinh(a),
    "hyperbolic": lambda a: torch.sinh(a.tanh()) + torch.erf(a),
    "cumulative": lambda a: a.softmax(1).cumsum(1),
    "products": lambda a: a.sigmoid().cumprod(1),
    "maximum": lambda a: a - a.max(1, keepdim=True).values,
    "extremes": lambda a: a * heads(a).amax(2).repeat_interleave(H // HEADS, 1) + heads(a).amin(1).repeat(1, HEADS),
    "head_softmax": lambda a: heads(a).softmax(1).flatten(1),
    "head_norm": lambda a: F.normalize(heads(a), dim=2).flatten(1),
    "head_means": lambda a: (heads(a) - heads(a).mean(1, keepdim=True)).flatten(1),
    "group_norm": lambda a: F.group_norm(varied(a), HEADS),
    "turned": lambda a: heads(a).transpose(1, 2).flatten(1),
    "picked": lambda a: a[:, [5, 0, 3, 3, 1, 2]],
    "windows": lambda a: F.pad(a, (1, 1)).unfold(1, 3, 1).mean(2),
    "interleaved": lambda a: torch.stack([a[:, 3:], a[:, :3]], 2).flatten(1),
}
BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": lambda a, b: a / (1 + b * b),
    "max": torch.maximum,
    "where": lambda a, b: torch.where(a > b, a * 0.5, b),
    "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "cat": lambda a, b: torch.cat([a[:, 2:], b[:, 1:3]], dim=1),
    "halves": lambda a, b: torch.cat([b[:, 3:], a[:, :3]], dim=1),
    "gated": lambda a, b: a.sigmoid() * b,
    "sum": lambda a, b: a * b.sum(1, keepdim=True),
    "column": lambda a, b: a + b[:, 1].unsqueeze(1),
    "added_in_place": lambda a, b: (a * 1.0).add_(b).mul_(0.5),
    "items": items,
    "angle": lambda a, b: torch.atan2(a, 1.5 + b.tanh()),
    "outer": lambda a, b: torch.einsum("bi,bj->bij", a[:, :3], b[:, :2]).flatten(1),
    "contracted": lambda a, b: torch.bmm(heads(a), heads(b).transpose(1, 2)).flatten(1).repeat(1, 2)[:, :H],
    "attended": lambda a, b: (torch.einsum("bnd,bmd->bnm", heads(a), heads(b)).softmax(2) @ heads(b)).flatten(1),
    "scaled_heads": lambda a, b: (heads(a) * heads(b)[:, :, :1]).flatten(1),
    "power_of": lambda a, b: (a.abs() + 0.3) ** b.tanh(),
    "log_sum": lambda a, b: torch.logaddexp(a, b),
}
WEIGHTED = {
    "linear": lambda cell, a: cell.u(a),
    "second": lambda cell, a: a @ cell.matrix,
    "diagonal": lambda cell, a: a * cell.diagonal,
    "biased": lambda cell, a: a + cell.u.bias,
    "scalar": lambda cell, a: a * cell.scale,
    "skew": lambda cell, a: F.linear(a, cell.matrix - cell.matrix.t()),
    "low_rank": lambda cell, a: cell.up(cell.down(a)),
    "split": lambda cell, a: cell.wide(a).chunk(2, dim=1)[1] * cell.wide(a)[:, :H],
    "block_diagonal": lambda cell, a: torch.einsum("bnd,nde->bne", heads(a), cell.blocks).flatten(1),
    "shared_block": lambda cell, a: F.linear(heads(a), cell.blocks[0], cell.table[0]).flatten(1),
    "head_scale": lambda cell, a: (heads(a) * cell.table + cell.table[:, :1]).flatten(1),
    "transposed": lambda cell, a: (cell.matrix @ a.t()).t(),
    "held": lambda cell, a: a + frozen(cell, a),
    "bilinear": lambda cell, a: F.bilinear(a[:, :3], a[:, 3:], cell.cube),
}


def frozen(cell: Any, a: Tensor) -> Tensor:
    with torch.no_grad():
        return a * cell.diagonal.sigmoid()


Instruction = tuple[str, int, int]
WIDTHS = (1, 3, H, 9)


class RandomCell(nn.Module):
    """A cell whose step is a program: each instruction has an operation and one or two earlier values.

    Args:
        program: The instructions.
        ends: For each state the number of a value, and its width.
        features: Width of the input.
    """

    def __init__(self, program: list[Instruction], ends: list[tuple[int, int]], features: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.program, self.ends = program, ends
        self.w, self.u, self.wide = nn.Linear(features, H), nn.Linear(H, H), nn.Linear(H, 2 * H)
        self.down, self.up = nn.Linear(H, 2, bias=False), nn.Linear(2, H)
        self.matrix = nn.Parameter(torch.randn(H, H) / 2)
        self.blocks = nn.Parameter(torch.randn(HEADS, H // HEADS, H // HEADS) / 2)
        self.cube = nn.Parameter(torch.randn(H, 3, 3) / 3)
        self.table = nn.Parameter(torch.randn(HEADS, H // HEADS))
        self.diagonal, self.scale = nn.Parameter(torch.randn(H)), nn.Parameter(torch.tensor(0.8))

    def forward(self, x: Tensor, state: Any = None) -> Any:
        states = [x.new_zeros(len(x), width) for _, width in self.ends] if state is None else list(state)
        values = [self.w(x), *(each.repeat(1, math.ceil(H / each.size(1)))[:, :H] for each in states)]
        for name, first, second in self.program:
            one, two = values[first % len(values)], values[second % len(values)]
            if name in UNARY:
                values.append(UNARY[name](one))
            elif name in BINARY:
                values.append(BINARY[name](one, two))
            else:
                values.append(WEIGHTED[name](self, one))
        ends = (values[-1 - end % len(values)] for end, _ in self.ends)
        results = (torch.tanh(each * 0.5 + values[0] * 0.1) for each in ends)  # each has a gradient
        return tuple(
            F.pad(each, (0, width - H), value=0.1) for each, (_, width) in zip(results, self.ends, strict=True)
        )


instructions = st.tuples(st.sampled_from([*UNARY, *BINARY, *WEIGHTED]), st.integers(0, 20), st.integers(0, 20))
NUMBER = int(os.environ.get("SEQHUB_TEST_CELLS", "8"))
BATCH = min(NUMBER, 25)  # cells that are compiled together
PHASES = (Phase.explicit, Phase.generate)  # shrinking compiles hundreds of cells
SPECS = st.tuples(
    st.lists(instructions, min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(WIDTHS)), min_size=1, max_size=3),
    st.integers(1, 7),
    st.sampled_from([1, 2, 7, 16, 17, 33]),
    st.booleans(),
)


@pytest.mark.timeout(0 if "SEQHUB_TEST_CELLS" in os.environ else 300)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-4)], ids=str)
def test_random_cells(dtype: torch.dtype, tolerance: float) -> None:
    @given(st.lists(SPECS, min_size=BATCH, max_size=BATCH))
    @settings(max_examples=-(-NUMBER // BATCH), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @seed(0)
    def run(specs: list[Any]) -> None:
        cells = [(RandomCell(*spec[:3]).to(dtype), spec[2]) for spec in specs]
        failed = []
        with compiled_together(cells, dtype):
            for (cell, features), (*_, rows, with_lengths) in zip(cells, specs, strict=True):
                try:
                    compare(cell, features, tolerance, rows=rows, steps=4, with_lengths=with_lengths)
                except Exception as error:  # of any kind: all are listed
                    failed.append(f"{cell.program} {cell.ends} {features} {rows} {with_lengths}: {error!r}")
        counted.update(tested=len(cells), failed=len(failed))
        assert not failed, "\n".join(failed)

    counted: Counter[str] = Counter()
    run()
    assert counted["tested"] >= NUMBER

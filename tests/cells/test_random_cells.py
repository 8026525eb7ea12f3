"""Random cells, compiled, against eager steps.

SEQHUB_TEST_CELLS=2000 in the environment sets the number of cells; CXXFLAGS=-O0 makes them compile faster.
"""

import os
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from tests.helpers.cell_cases import compare

H = 5
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
    "layer_norm": lambda a: F.layer_norm(a, a.shape[1:]),
    "centred": lambda a: a - a.mean(-1, keepdim=True),
    "scaled": lambda a: a / (1 + a.norm(dim=-1, keepdim=True)),
    "detached": lambda a: a.detach() * 0.5,
    "rolled": lambda a: a.roll(2, dims=1),
    "first": lambda a: a[:, :1].expand(-1, a.size(1)),
    "exponential": lambda a: a.clamp(-3, 3).exp(),
    "logarithm": lambda a: (a.abs() + 0.1).log(),
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
}

Instruction = tuple[str, int, int]


class RandomCell(nn.Module):
    """A cell whose step is a program: each instruction has an operation and one or two earlier values."""

    def __init__(self, program: list[Instruction], ends: list[int], features: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.program, self.ends = program, ends
        self.w, self.u, self.wide = nn.Linear(features, H), nn.Linear(H, H), nn.Linear(H, 2 * H)
        self.down, self.up = nn.Linear(H, 2, bias=False), nn.Linear(2, H)
        self.matrix = nn.Parameter(torch.randn(H, H) / 2)
        self.diagonal, self.scale = nn.Parameter(torch.randn(H)), nn.Parameter(torch.tensor(0.8))

    def forward(self, x: Tensor, state: Any = None) -> Any:
        states = [x.new_zeros(len(x), H)] * len(self.ends) if state is None else list(state)
        values = [self.w(x), *states]
        for name, first, second in self.program:
            one, two = values[first % len(values)], values[second % len(values)]
            if name in UNARY:
                values.append(UNARY[name](one))
            elif name in BINARY:
                values.append(BINARY[name](one, two))
            else:
                values.append(WEIGHTED[name](self, one))
        return tuple(torch.tanh(values[-1 - end % len(values)] * 0.5) for end in self.ends)


instructions = st.tuples(st.sampled_from([*UNARY, *BINARY, *WEIGHTED]), st.integers(0, 20), st.integers(0, 20))
NUMBER = int(os.environ.get("SEQHUB_TEST_CELLS", "12"))
PHASES = (Phase.explicit, Phase.generate)  # shrinking compiles hundreds of cells


@pytest.mark.timeout(0 if "SEQHUB_TEST_CELLS" in os.environ else 300)
@given(
    st.lists(instructions, min_size=1, max_size=10),
    st.lists(st.integers(0, 3), min_size=1, max_size=2),
    st.integers(1, 7),
    st.integers(1, 18),
)
@settings(max_examples=NUMBER, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
def test_random_cells(program: list[Instruction], ends: list[int], features: int, rows: int) -> None:
    compare(RandomCell(program, ends, features).double(), features, 1e-9, rows=rows, steps=4)

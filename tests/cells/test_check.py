"""The check of a kernel at its first use."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqhub.cells import check
from seqhub.cells.compile import compile_cell
from seqhub.errors import PlainLoopWarning


class KinkCell(nn.Module):
    """A step whose slope changes where 0.7 x + offset is above a number."""

    def __init__(self, offset: float, number: float) -> None:
        super().__init__()
        self.input_size = self.hidden_size = 1
        self.offset, self.number = offset, number

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return torch.where(x * 0.7 + self.offset > self.number, 2 * x, x)


def kink_of(inputs: list[float]) -> tuple[float, float]:
    """Return an offset and a number that 0.7 x + offset exceeds for an input, also in float with two roundings, but not
    with one rounding.
    """
    factor = np.float32(0.7)
    for x in inputs:
        for offset in np.linspace(0.1, 0.9, 100, dtype=np.float32):
            twice = np.float32(x) * factor + offset
            once = np.float32(float(np.float32(x)) * float(factor) + float(offset))
            if once < twice and once < x * 0.7 + float(offset):
                return float(offset), float(once)
    raise AssertionError("no input has sums that differ")


@pytest.mark.filterwarnings("error::seqhub.errors.PlainLoopWarning")
def test_a_kink_within_rounding_is_not_a_difference() -> None:
    """Regression: a relu within rounding of zero, of about one in thousands of checks, turned the kernel off."""
    random = torch.Generator().manual_seed(0)
    first = torch.randn(check._ROWS, check._STEPS, 1, generator=random, dtype=torch.float64)[:, 0, 0]
    cell = KinkCell(*kink_of(first.tolist()))
    inputs = torch.randn(4, 6, 1)
    outputs, _ = compile_cell(cell)(inputs)
    torch.testing.assert_close(
        outputs[:, :, 0], torch.where(inputs * 0.7 + cell.offset > cell.number, 2 * inputs, inputs)[:, :, 0]
    )


def test_a_difference_on_other_inputs_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no tolerance at all, every check finds the roundings."""
    monkeypatch.setattr(check, "_TOLERANCE", dict.fromkeys(check._TOLERANCE, 0.0))
    monkeypatch.setattr(check, "_AMPLIFIED", 0)
    with pytest.warns(PlainLoopWarning, match="of the kernel differs from the cell by"):
        compile_cell(nn.GRUCell(3, 9))(torch.randn(2, 4, 3))

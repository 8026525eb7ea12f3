"""The commands `seqhub cell show` and `seqhub cache clear`."""

from pathlib import Path

import pytest

from seqhub.cells import build
from seqhub.cells.show import generated_source
from seqhub.errors import InvalidConfigError

CELL = """
import torch
from torch import nn


class SmallCell(nn.Module):
    def __init__(self, input_size, hidden_size, rounded=False):
        super().__init__()
        self.hidden_size, self.rounded = hidden_size, rounded
        self.net = nn.Linear(input_size + hidden_size, hidden_size)

    def forward(self, x, h=None):
        h = x.new_zeros(len(x), self.hidden_size) if h is None else h
        candidate = torch.tanh(self.net(torch.cat([x, h], dim=1)))
        return candidate.lgamma() if self.rounded else 0.5 * (h + candidate)
"""


def test_generated_code_has_the_names_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(CELL)
    source = generated_source(f"{tmp_path}/small.py:SmallCell?hidden_size=4")
    assert "const V candidate_ = hyperbolic_tangent(" in source
    assert "// small.py:14: candidate = torch.tanh(self.net(torch.cat([x, h], dim=1)))" in source
    assert str(tmp_path) not in source


def test_reasons(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(CELL)
    with pytest.raises(InvalidConfigError, match=r"lgamma: not supported \(small.py:15: return candidate.lgamma\(\)"):
        generated_source(f"{tmp_path}/small.py:SmallCell?rounded=true")
    with pytest.raises(InvalidConfigError, match="neither a layer of torchrecurrent or ncps nor a cell"):
        generated_source("torch.nn:LSTM")
    with pytest.raises(InvalidConfigError, match="must be a cell"):
        generated_source("lstm")


def test_clear(empty_cache: Path) -> None:
    assert build.clear_cache() == (0, 0)
    empty_cache.mkdir()
    (empty_cache / "one.so").write_bytes(b"123")
    (empty_cache / "other").write_bytes(b"123")
    assert build.clear_cache() == (1, 3)
    assert [each.name for each in empty_cache.iterdir()] == ["other"]

"""Cells of the literature as users write them, compiled, against eager steps."""

import re
import warnings

import pytest
import torch

from seqhub.cells.compile import compile_cell
from seqhub.errors import PlainLoopWarning
from tests.cells.literature import CELLS
from tests.helpers.cell_cases import add_noise, compare

FEATURES, HIDDEN = 4, 6
PLAIN = {  # name -> the line
    "ConvolutionalCell": "convolution: not supported (literature.py:",
    "ClippedGradientCell": "requires_grad: a step that depends on gradients or changes them (literature.py:",
    "ComplexLRUCell": "view_as_complex: not supported (literature.py:",
}
COMPILED = [kind for kind in CELLS if kind.__name__ not in PLAIN]


def make(kind: type) -> torch.nn.Module:
    torch.manual_seed(0)
    return add_noise(kind(FEATURES, HIDDEN)).eval()


@pytest.mark.fast_cases("ClockworkCell", "DeltaNetCell")
@pytest.mark.parametrize("kind", COMPILED, ids=lambda kind: kind.__name__)
def test_float64(kind: type) -> None:
    compare(make(kind).double(), FEATURES, 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", COMPILED, ids=lambda kind: kind.__name__)
def test_float32(kind: type) -> None:
    compare(make(kind), FEATURES, 2e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_not_compiled(name: str) -> None:
    (kind,) = (each for each in CELLS if each.__name__ == name)
    layer, inputs = compile_cell(make(kind)), torch.randn(3, 5, FEATURES)
    with pytest.warns(PlainLoopWarning, match=re.escape(f"{name} runs as a plain loop: {PLAIN[name]}")) as caught:
        outputs, _ = layer(inputs)
    assert len(caught) == 1
    torch.testing.assert_close(outputs, layer.plain(inputs)[0])


def test_a_cell_in_training_mode() -> None:
    """Zoneout draws random numbers in training only."""
    from tests.cells.literature import ZoneoutCell

    cell = ZoneoutCell(FEATURES, HIDDEN)
    inputs = torch.randn(3, 5, FEATURES)
    with pytest.warns(PlainLoopWarning, match=r"rand_like: random numbers in a step \(literature\.py:"):
        compile_cell(cell)(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile_cell(cell.eval())(inputs)

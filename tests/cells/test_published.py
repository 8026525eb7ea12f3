"""All cells of torchrecurrent and those of torch, compiled, against eager steps."""

import pytest
import torch
from torch import nn

from seqhub.cards.cell_papers import PAPERS, entry
from seqhub.cells.compile import compile_cell
from tests.helpers.cell_cases import add_noise, compare

torchrecurrent = pytest.importorskip("torchrecurrent")
CELLS = [*sorted(name for name in torchrecurrent.__all__ if name.endswith("Cell")), "RNNCell", "GRUCell", "LSTMCell"]
HIDDEN, FEATURES = 8, 5
# the gradient of torch's hardsigmoid in float64 has a factor of 1/6 in float32
TOLERANCE = {"SGUCell": 1e-7, "DSGUCell": 1e-7}
# cells that amplify rounding, also that of torch
FLOAT32 = {"AntisymmetricRNNCell": 1e-4, "FastGRNNCell": 1e-4, "GatedAntisymmetricRNNCell": 5e-5}


def make(name: str, dtype: torch.dtype, hidden: int = HIDDEN) -> tuple[nn.Module, int]:
    torch.manual_seed(0)
    features = hidden if name == "IntersectionRNNCell" else FEATURES
    kind = getattr(torchrecurrent, name, None) or getattr(nn, name)
    return add_noise(kind(features, hidden).to(dtype)), features


def test_there_are_41() -> None:
    assert len(CELLS) == 44


def test_each_has_its_paper() -> None:
    layers = {name for name in torchrecurrent.__all__ if not name.endswith("Cell")}
    assert PAPERS.keys() == layers
    for name, paper in PAPERS.items():
        documented = (getattr(torchrecurrent, each).__doc__ or "" for each in (f"{name}Cell", name))
        assert any(paper.link in each for each in documented), name
        assert f"url    = {{{paper.link}}}" in entry(name)


@pytest.mark.fast_cases("LSTMCell", "GRUCell", "MGUCell", "SGUCell", "TLSTMCell", "IntersectionRNNCell", "BRCell")
@pytest.mark.parametrize("name", CELLS)
def test_float64(name: str) -> None:
    compare(*make(name, torch.float64), TOLERANCE.get(name, 1e-10))


@pytest.mark.fast_cases("LSTMCell", "RNNCell", "AntisymmetricRNNCell", "tauGRUCell", "MCLSTMCell")
@pytest.mark.parametrize("name", CELLS)
def test_float32(name: str) -> None:
    compare(*make(name, torch.float32), FLOAT32.get(name, 1e-5))


@pytest.mark.fast_cases("GRUCell", "MGUCell", "AntisymmetricRNNCell")
@pytest.mark.parametrize("name", CELLS)
def test_gradcheck(name: str) -> None:
    cell, features = make(name, torch.float64, 3)
    layer = compile_cell(cell)
    inputs = torch.randn(2, 3, features, dtype=torch.float64, requires_grad=True)
    form = layer.form(inputs)
    states = [torch.randn(1, 2, width, dtype=torch.float64, requires_grad=True) for width in form.widths]

    def run(inputs: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs, last = layer(inputs, form.pack(list(states)))
        return outputs, *(last if form.is_tuple else [last])

    # kinks are not differentiable, and the hardsigmoid of torch is in float32
    atol = 1e-6 if name in TOLERANCE else 1e-8
    assert torch.autograd.gradcheck(run, (inputs, *states), atol=max(atol, 1e-7))
    if name == "MGUCell":  # the plain form computes second derivatives
        assert torch.autograd.gradgradcheck(run, (inputs, *states))


@pytest.mark.parametrize("rows", [1, 2, 4, 5])
@pytest.mark.parametrize("name", ["LSTMCell", "MGUCell"])
def test_few_sequences(name: str, rows: int) -> None:
    compare(*make(name, torch.float64), 1e-10, rows=rows)
    compare(*make(name, torch.float32), 1e-5, rows=rows)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [1, 2, 17, 64])
@pytest.mark.parametrize("name", ["LSTMCell", "MGUCell", "PeepholeLSTMCell", "TGRUCell"])
def test_widths(name: str, hidden: int) -> None:
    for rows in (1, 3, 16, 33):
        compare(*make(name, torch.float64, hidden), 1e-10, rows=rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LSTMCell", "MGUCell", "AntisymmetricRNNCell"])
def test_long_sequences(name: str) -> None:
    cell, features = make(name, torch.float64)
    compare(cell, features, 1e-8, rows=17, steps=110)
    compare(cell, features, 1e-8, rows=17, steps=110, with_lengths=False)

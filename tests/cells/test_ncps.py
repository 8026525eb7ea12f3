"""Layers of ncps with kernels, against the package's own loop."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from seqhub.cards.cell_papers import NCPS, entry
from seqhub.cells import dispatch
from seqhub.cells.show import generated_source
from seqhub.models.registry import build_config, build_model

ncps = pytest.importorskip("ncps.torch", reason="the extra ncps is not installed")
wirings = pytest.importorskip("ncps.wirings")
FEATURES, UNITS = 3, 8
LAYERS: dict[str, Any] = {
    "CfC": lambda: ncps.CfC(FEATURES, UNITS, backbone_units=6),
    "CfC without gate": lambda: ncps.CfC(FEATURES, UNITS, mode="no_gate", backbone_units=6, backbone_layers=2),
    "pure CfC": lambda: ncps.CfC(FEATURES, UNITS, mode="pure", backbone_units=6, proj_size=2),
    "CfC with memory": lambda: ncps.CfC(FEATURES, UNITS, mixed_memory=True, backbone_layers=0),
    "wired CfC": lambda: ncps.CfC(FEATURES, wirings.AutoNCP(UNITS, 2)),
    "LTC": lambda: ncps.LTC(FEATURES, UNITS, ode_unfolds=2),
    "wired LTC": lambda: ncps.LTC(FEATURES, wirings.AutoNCP(UNITS, 2), ode_unfolds=2),
}


@pytest.mark.fast_cases("wired CfC")
@pytest.mark.parametrize("name", LAYERS)
def test_equal_to_its_own_loop(name: str) -> None:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)  # the layers make states of the default type
    try:
        layer = LAYERS[name]().double()
        inputs = torch.randn(5, 6, FEATURES, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = dispatch.run_layers(layer, inputs, None)
            assert found is not None
            again = dispatch.run_layers(layer, inputs, found[1])
        plain = layer(inputs)
        torch.testing.assert_close(found, plain, atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(again, layer(inputs, plain[1]), atol=1e-10, rtol=1e-10)
        sources = [inputs, *(each for each in layer.parameters() if each.requires_grad)]
        gradients = [torch.autograd.grad(each[0].square().sum(), sources, allow_unused=True) for each in (found, plain)]
        for one, two in zip(*gradients, strict=True):
            if two is not None:
                torch.testing.assert_close(one, two, atol=1e-10, rtol=1e-9)
        lengths = torch.tensor([6, 0, 3, 1, 5])
        outputs, _ = dispatch.run_layers(layer, inputs, None, lengths) or (None, None)
        assert outputs is not None
        torch.testing.assert_close(outputs[2, :3], plain[0][2, :3], atol=1e-10, rtol=1e-10)
        assert not outputs[2, 3:].any()
    finally:
        torch.set_default_dtype(torch.float32)


def test_as_a_model(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_id = "ncps.torch:CfC?hidden_size=8&backbone_units=6"
    torch.manual_seed(0)
    model = build_model(build_config(model_id, vocab_size=7, num_labels=3), "token").eval()
    ids, mask = torch.randint(1, 7, (3, 6)), torch.ones(3, 6, dtype=torch.long)
    mask[1, 4:] = mask[2, :3] = 0
    native = model(input_ids=ids, attention_mask=mask).logits
    assert len(list(empty_cache.iterdir())) == 1, "it was compiled"
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    torch.testing.assert_close(native, model(input_ids=ids, attention_mask=mask).logits, atol=1e-5, rtol=1e-5)
    assert "hyperbolic_tangent" in generated_source(model_id)


def test_papers() -> None:
    assert NCPS.keys() == {"CfC", "LTC"}
    for name, paper in NCPS.items():
        assert paper.link in (getattr(ncps, name).__init__.__doc__ or "")
        assert f"url    = {{{paper.link}}}" in entry(name, "ncps")

"""Conformance tests find what a model does wrong, and leave it and the random state unchanged."""

from pathlib import Path
from typing import Any

import pytest
import torch

from docs.model_types import TESTS, reason
from seqhub.models.conformance import check_conformance
from seqhub.models.registry import build_config, build_model
from seqhub.models.transformers_types import TYPES

MODULES = Path(__file__).parent / "modules.py"
ALL = {"causal", "right_padding", "left_padding", "batch", "cached", "chunked", "saved", "finite_gradients"}


def checked(model: str, **overrides: Any) -> Any:
    torch.manual_seed(0)
    return check_conformance(build_model(build_config(model, vocab_size=7, num_labels=3, **overrides), "token"))


def test_a_layer_of_torch_passes_all() -> None:
    found = checked("torch.nn:LSTM")
    assert set(found["passed"]) == ALL
    assert not found["failed"]


@pytest.mark.parametrize(
    ("model", "failed"),
    [
        ("LooksAhead", {"causal", "right_padding", "left_padding"}),
        ("ForgetsState", {"cached", "chunked"}),
        ("NotFinite", {"finite_gradients"}),
        ("Ids", set()),
    ],
)
def test_faults_are_found(model: str, failed: set[str]) -> None:
    assert set(checked(f"{MODULES}:{model}")["failed"]) == failed


def test_a_model_without_a_state() -> None:
    found = checked(f"{MODULES}:Ids")
    assert found["cached"] is None
    assert found["chunked"] is None


def test_nothing_is_changed() -> None:
    torch.manual_seed(3)
    model = build_model(build_config("torch.nn:GRU", vocab_size=7, num_labels=3), "token")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, training = torch.get_rng_state(), model.training
    check_conformance(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training == training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.fast_cases("llama", "mamba", "mamba2", "recurrent_gemma")
@pytest.mark.parametrize("name", sorted(TYPES))
def test_types_of_transformers(name: str) -> None:
    """Types that fail are listed with the reason; docs/model_types.md shows them."""
    found = checked(f"transformers:{name}")
    without = [test for test in TESTS if test not in found["passed"]]
    assert all(reason(name, test) for test in without), {test: found[test] for test in without}

"""Sizes of models, and the width for a given size."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.models.registry import build_config, build_model
from seqhub.models.sizing import count_sizes, match_size, measure_sizes

MODULES = Path(__file__).parent / "modules.py"


def build(model: str) -> Any:
    return build_model(build_config(model, vocab_size=7, num_labels=3), "token")


def test_counts_add_up() -> None:
    model = build("torch.nn:LSTM?hidden_size=8")
    sizes = measure_sizes(model)
    assert sizes["parameters"] == sum(each.numel() for each in model.parameters())
    assert (sizes["embedding"], sizes["head"]) == (7 * 8, 8 * 3 + 3)
    assert sizes["state"] == [16, 16]


def test_attention_has_a_growing_state() -> None:
    first, last = measure_sizes(build("transformers:llama?hidden_size=16"))["state"]
    assert (first, last) == (2 * 2 * 16, 2 * 2 * 16 * 256)


def test_a_module_without_a_state_has_no_size_of_it() -> None:
    assert "state" not in measure_sizes(build(f"{MODULES}:Ids?hidden_size=8"))


@pytest.mark.parametrize("model", ["lstm", "gru", "torch.nn:LSTM", "transformers:llama", f"{MODULES}:Vectors"])
@pytest.mark.parametrize("target", [5_000, 50_000])
def test_a_given_number_of_parameters_is_matched_within_5_percent(model: str, target: int) -> None:
    matched = match_size(model, target, build)
    sizes = count_sizes(build(str(matched)))
    assert abs(sizes["parameters"] - sizes["embedding"] - sizes["head"] - target) <= 0.05 * target
    assert {name for name, _ in matched.options} <= {"hidden_size", "intermediate_size"}


def test_a_given_state_is_matched() -> None:
    matched = match_size("torch.nn:LSTM?num_hidden_layers=2", 256, build, by="state")
    assert matched == ModelId.parse("torch.nn:LSTM?hidden_size=64&num_hidden_layers=2")
    with pytest.raises(InvalidConfigError, match="carries no state"):
        match_size(f"{MODULES}:Ids", 256, build, by="state")


def test_a_size_that_no_width_has() -> None:
    with pytest.raises(
        InvalidConfigError, match=r"no hidden_size has parameters=3 within 5%; the closest is lstm\?hidd"
    ):
        match_size("lstm", 3, build)


def test_the_size_of_a_state_does_not_change_the_model() -> None:
    model = build("lstm")
    model.train()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    measure_sizes(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)

"""Common arguments of transformers are accepted by every head of every family; misspelled ones are errors."""

import inspect
from typing import Any

import pytest
import torch

from seqhub.models.registry import build_config, build_model, list_heads, list_inputs, list_presets
from tests.helpers.model_families import family_of, shapes_of

COMMON_ARGUMENTS: dict[str, Any] = {
    "output_attentions": False,
    "token_type_ids": torch.zeros(2, 6, dtype=torch.long),
    "position_ids": torch.arange(6).expand(2, 6),
    "head_mask": None,
    "cache_position": torch.arange(6),
    "special_tokens_mask": torch.zeros(2, 6, dtype=torch.long),
    "output_hidden_states": None,
    "return_dict": True,
    "inputs_embeds": None,
}


def cases() -> list[Any]:
    found = []
    for preset in list_presets():
        family = family_of(preset)
        for head in list_heads(family):
            shapes = {} if "input_ids" in list_inputs(family) else shapes_of(family)
            settings = next((shape.settings for shape in shapes.values()), {})
            found.append(pytest.param(preset, head, settings, id=f"{preset}-{head}"))
    return found


def inputs(model: Any) -> dict[str, torch.Tensor]:
    if model.main_input_name == "input_ids":
        return {"input_ids": torch.ones(2, 6, dtype=torch.long)}
    config = model.config
    step = getattr(config, "step_shape", None) or (config.num_features,)
    return {"input_values": torch.randn(2, getattr(config, "num_steps", None) or 6, *step)}


@pytest.mark.parametrize(("preset", "head", "settings"), cases())
def test_common_arguments_are_ignored_and_misspelled_ones_are_errors(preset, head, settings):
    model = build_model(build_config(preset, **settings), head).eval()
    given = inputs(model)
    other = "input_values" if "input_ids" in given else "input_ids"
    expected, found = model(**given), model(**given, **COMMON_ARGUMENTS, **{other: None})
    assert found.keys() == expected.keys()
    assert torch.equal(next(iter(found.values())), next(iter(expected.values())))
    for true in ("output_attentions", "output_hidden_states"):
        model(**given, **{true: True})
    assert isinstance(model(**given, return_dict=False), tuple)
    for wrong in ("atention_mask", "lables", "inputs_ids"):
        with pytest.raises(TypeError, match=rf"{type(model).__name__}.*unexpected keyword argument '{wrong}'"):
            model(**given, **{wrong: None})
    with pytest.raises((TypeError, ValueError), match=other):
        model(**given, **{other: torch.ones(2, 6, dtype=torch.long)})
    assert not type(model).accepts_loss_kwargs  # otherwise Trainer would pass num_items_in_batch to every head
    assert "attention_mask" in inspect.signature(model.forward).parameters


def test_generation_with_a_tokenizer_of_bert():
    model = build_model(build_config("lstm"), "causal").eval()
    ids = torch.tensor([[1, 2, 3]])
    expected = model.generate(ids, max_new_tokens=3, do_sample=False)
    found = model.generate(
        input_ids=ids, token_type_ids=torch.zeros_like(ids), attention_mask=torch.ones_like(ids), max_new_tokens=3,
        do_sample=False,
    )  # fmt: skip
    assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="not used by the model"):
        model.generate(ids, atention_mask=torch.ones_like(ids), max_new_tokens=3)

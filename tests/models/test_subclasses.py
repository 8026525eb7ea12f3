"""Modules that a subclass adds are initialised as in transformers, and loaded weights do not change."""

from typing import Any

import pytest
import torch
from torch import nn

from seqhub.models.registry import build_config, build_model, list_heads, list_inputs, list_presets
from tests.helpers.model_families import family_of, shapes_of


def cases() -> list[Any]:
    found = []
    for preset in list_presets():
        family = family_of(preset)
        for head in list_heads(family):
            shapes = {} if "input_ids" in list_inputs(family) else shapes_of(family)
            settings = next((shape.settings for shape in shapes.values()), {})
            found.append(pytest.param(preset, head, settings, id=f"{preset}-{head}"))
    return found


@pytest.mark.parametrize(("preset", "head", "settings"), cases())
def test_added_modules_are_initialised_and_loaded_weights_do_not_change(tmp_path, preset, head, settings):
    if preset in ("gru", "lstm"):
        settings = {"initialization": "chrono", "chrono_max_steps": 9, **settings}
    base = build_model(build_config(preset, **settings), head)
    base.save_pretrained(tmp_path)

    class Extended(type(base)):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.added = nn.ModuleDict(
                {
                    "layer": nn.LayerNorm(7), "group": nn.GroupNorm(2, 6), "batch": nn.BatchNorm1d(7),
                    "linear": nn.Linear(5, 7), "bare": nn.Linear(5, 7, bias=False), "embedding": nn.Embedding(9, 7),
                    "padded": nn.Embedding(9, 7, padding_idx=2), "conv": nn.Conv1d(3, 5, 2),
                    "conv2": nn.Conv2d(3, 5, 2),
                    "lstm": nn.LSTM(3, 4), "attention": nn.MultiheadAttention(8, 2),
                }
            )  # fmt: skip
            self.post_init()

    released = [torch.full((n,), 7e7) for n in (5, 7, 8, 16, 32, 35, 63, 64, 256)]
    del released  # so that uninitialised memory has large values
    loaded = Extended.from_pretrained(tmp_path)
    for name, weights in base.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weights), name
    for model in (loaded, Extended(base.config)):
        added = model.added
        for norm in ("layer", "group", "batch"):
            assert added[norm].weight.eq(1).all(), norm
            assert added[norm].bias.eq(0).all(), norm
        assert added["batch"].running_mean.eq(0).all()
        assert added["batch"].running_var.eq(1).all()
        assert added["batch"].num_batches_tracked == 0
        assert added["padded"].weight[2].eq(0).all()
        for name, weights in added.state_dict().items():
            assert weights.isfinite().all(), name
            assert weights.abs().max() < 6, name
            if name.endswith("weight"):
                assert weights.ne(0).any(), name


def test_a_subclass_may_add_a_recurrence_with_another_cell(tmp_path):
    base = build_model(build_config("gru", initialization="chrono", chrono_max_steps=9), "sequence")
    base.save_pretrained(tmp_path)

    class Extended(type(base)):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            self.rnn, self.lstm = nn.RNN(3, 4, 2, bidirectional=True), nn.LSTM(3, 4, proj_size=2)
            self.post_init()

    model = Extended.from_pretrained(tmp_path)
    for weights in (*model.rnn.parameters(), *model.lstm.parameters()):
        assert 0 < weights.abs().max() <= 0.5

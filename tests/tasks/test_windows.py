"""Windows: peaks, votes, and the locally connected model."""

from pathlib import Path

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.tasks.splits import Split
from seqhub.tasks.windows import TASK, WindowsConfig
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

each_config = pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)


@each_config
def test_each_window_has_one_peak_and_most_votes_agree(config):
    batch = Split(f"windows/{config.name}").blocks(0, 1)
    values = np.sort(batch.inputs.reshape(len(batch), config.windows, config.window), axis=2)
    assert values[..., -1].min() >= 0.75
    assert values[..., -1].max() < 1
    assert values[..., -2].max() < 0.5
    places = batch.inputs.reshape(values.shape).argmax(axis=2)
    votes = (places + np.arange(config.windows)) % config.window
    assert ((votes == batch.labels[:, None]).sum(axis=1) == config.windows // 2 + 1).all()
    assert (
        np.bincount(places.ravel()) > 0.8 * places.size / config.window
    ).all()  # a position alone carries no information


@each_config
def test_moving_by_a_window_gives_the_next_class(config):
    rows = Split(f"windows/{config.name}")
    for example in rows.examples(rows.blocks(0, 1)[:100]):
        moved = np.roll(example.inputs, config.window, axis=0)
        assert int(TASK.solve(moved, config.window)) == (int(example.target) + 1) % config.window


@each_config
def test_moving_by_a_position_gives_the_next_class(config):
    rows = Split(f"windows/{config.name}")
    for example in rows.examples(rows.blocks(0, 1)[:100]):
        turned = np.roll(example.inputs.reshape(config.windows, config.window), 1, axis=1).reshape(-1, 1)
        assert int(TASK.solve(turned, config.window)) == (int(example.target) + 1) % config.window


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((6, 1)), r"values of shape \(6, 1\): must be finite and one or more whole windows of 4 values"),
        (np.ones((8, 2)), "whole windows of 4"),
        (np.ones((0, 1)), "whole windows of 4"),
        ([np.inf, 1, 1, 1], "finite"),
        ([1, 0, 0, 0, 1, 0, 0, 0], "class 0 has 1 of 2 votes: one class must have more than half"),
    ],
)
def test_invalid_rows_are_errors(values, message):
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(values, 4)


@pytest.mark.parametrize(("length", "window"), [((8, 12), 4), ((10, 10), 4), ((0, 0), 4), ((8, 8), 1)])
def test_invalid_lengths_are_errors(length, window):
    with pytest.raises(InvalidConfigError, match="a fixed length that is a multiple of window"):
        WindowsConfig(name="x", length=length, window=window)


def test_locally_connected_model_solves_it_with_an_eighth_of_the_dense_weights(tmp_path: Path):
    counts = {}
    for model in ("locally_connected", "fully_connected"):
        task_id, folder = "windows/k4-n8", tmp_path / model
        settings = recipe(task_id, model) | {"max_sequences": 20_000}
        record = train(TrainConfig(task=task_id, output_dir=folder, model=model, **settings))
        assert record is not None
        assert evaluate(folder, num_examples=2000, sibling_examples=0).evaluation["test"]["accuracy"] >= 0.98
        counts[model] = load_model(folder).model.hidden.weight.numel(), record.num_parameters
    assert counts == {"locally_connected": (256, 580), "fully_connected": (2048, 2372)}
    assert recipe("windows/k4-n8")["model"] == "locally_connected"

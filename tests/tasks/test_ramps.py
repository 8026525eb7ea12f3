"""Ramps: the example of the source, exact float32 values, and reconstruction."""

from pathlib import Path

import numpy as np
import pytest
import torch

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.tasks.ramps import GRID, TASK, TOLERANCE, RampsConfig
from seqhub.tasks.splits import SPLITS, Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train


def test_the_example_of_the_source_is_in_every_split():
    for split in SPLITS:
        whole, cut = Split("ramps/tutorial", split).blocks(0, 1).inputs
        np.testing.assert_array_equal(whole, np.float32([[0, 0], [0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]]))
        np.testing.assert_array_equal(cut[:3], whole[:3])


@pytest.mark.parametrize("name", ["scalar", "pair", "image"])
def test_ramps_are_exact_and_exceed_the_range_of_lstm_states(name):
    rows = Split(f"ramps/{name}")
    batch = rows.blocks(0, 4)
    np.testing.assert_array_equal(batch.inputs.astype(np.float64) * GRID % 1, 0)
    for example in rows.examples(batch[:200]):
        assert not np.diff(example.inputs, n=2, axis=0).any()
    assert batch.inputs.min() < -1.2
    assert batch.inputs.max() > 1.2


def test_images_are_tilted_planes():
    batch = Split("ramps/image").blocks(0, 1)
    films = batch.inputs.reshape(*batch.inputs.shape[:2], 4, 4)
    assert not np.diff(films, n=2, axis=2).any()
    assert not np.diff(films, n=2, axis=3).any()
    assert np.diff(films, axis=3).std() > 0.05


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.0], [0.1], [0.3]], "step 2 rises by 0.2, step 1 by 0.1"),
        ([[0.0, 0.0], [0.1, 0.1], [0.2, 0.1]], "step 2 rises by 0, step 1 by 0.1"),
        ([[0.0]], r"values of shape \(1, 1\): must be finite and \(steps, F\) with 2 or more steps"),
        ([0.0, 0.1], r"values of shape \(2,\)"),
        ([[0.0], [np.nan]], "finite"),
    ],
)
def test_other_sequences_are_errors(values, message):
    with pytest.raises(InvalidInputError, match=message):
        TASK.solve(values)


@pytest.mark.parametrize(
    "wrong", [{"length": (1, 5)}, {"length": (5, 3)}, {"image": True, "step_shape": (4,)}], ids=str
)
def test_invalid_configs_are_errors(wrong):
    with pytest.raises(InvalidConfigError):
        RampsConfig(**{"name": "x", "length": (3, 5), "step_shape": (2,), **wrong})


@pytest.mark.parametrize("name", ["solve", "tutorial"])
def test_example_is_reconstructed_in_a_batch_and_alone(tmp_path: Path, name: str):
    settings = recipe("ramps/tutorial", name=name)
    train(TrainConfig(task="ramps/tutorial", output_dir=tmp_path / "run", **settings))
    metrics = evaluate(tmp_path / "run", sibling_examples=0).evaluation["test"]
    assert (metrics["examples"], metrics["accuracy"]) == (2, 1)
    assert metrics["worst_mse"] < TOLERANCE == 1e-4

    model = load_model(tmp_path / "run")
    batch = Split("ramps/tutorial").blocks(0, 1)
    values, lengths = torch.from_numpy(batch.inputs), batch.lengths.tolist()
    mask = torch.arange(values.size(1)) < torch.tensor(lengths).unsqueeze(1)
    with torch.inference_mode():
        together = model(input_values=values, attention_mask=mask).logits
        for row, length in enumerate(lengths):
            alone = model(input_values=values[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(together[row, :length], alone, atol=1e-6, rtol=0)
            assert not together[row, length:].any()
    assert lengths == [5, 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scalar", "pair", "image"])
def test_recipe_reconstructs_test_ramps(tmp_path: Path, name: str):
    task_id = f"ramps/{name}"
    train(TrainConfig(task=task_id, output_dir=tmp_path / "run", **recipe(task_id)))
    assert evaluate(tmp_path / "run", num_examples=2000, sibling_examples=0).evaluation["test"]["mse"] < 1e-4

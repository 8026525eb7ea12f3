"""`square` with the recipe of its book, compared with a plain PyTorch program for the same seeds."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import RESULTS
from benchmarks.square import CELLS, SEEDS, TASK_ID, PlainModel, ours, plain
from seqhub.errors import InvalidConfigError
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.model_setup import create_model
from seqhub.training.recipes import recipe
from seqhub.training.train import train


def test_the_books_seeds_give_the_books_result() -> None:
    assert ours("rnn_tanh", 21) == plain("rnn_tanh", 21) == (50, 75)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 7])
def test_other_seeds_equal_a_plain_program(seed: int) -> None:
    """The published results agree too."""
    assert ours("rnn_tanh", seed) == plain("rnn_tanh", seed)
    rows = {row["case"]: row for row in json.loads((RESULTS / "square.json").read_text())["rows"]}
    each = [rows[f"rnn_tanh: {name}"]["each"] for name in ("counter-clockwise", "clockwise")]
    assert ours("rnn_tanh", seed) == tuple(counts[SEEDS.index(seed)] for counts in each)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_gated_cells_have_no_errors(cell: str, seed: int) -> None:
    assert ours(cell, seed) == (53, 75)


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_equal_those_of_plain_modules(tmp_path: Path, cell: str) -> None:
    settings = recipe(TASK_ID, cell, "tutorial")
    with torch.random.fork_rng():
        model = create_model(
            TrainConfig(task=TASK_ID, model=cell, output_dir=tmp_path, **settings), Split(TASK_ID).schema
        )
        torch.manual_seed(21)
        expected = PlainModel(CELLS[cell])
    pairs = zip(model.parameters(), expected.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("model", ["rnn_tanh", "rnn_relu", "gru", "lstm", "cnn"])
@pytest.mark.parametrize("task_id", ["square/fixed", "square/variable", "square/tutorial"])
def test_every_config_is_solved(tmp_path: Path, task_id: str, model: str) -> None:
    settings: dict[str, Any] = recipe(task_id, model) | {"evaluate_size": 2048}
    train(TrainConfig(task=task_id, model=model, output_dir=tmp_path / "run", **settings))
    (met, _) = RunRecord.load(tmp_path / "run").criteria.values()
    assert met is not None


def test_the_convolution_of_the_book_has_nine_weights(tmp_path: Path) -> None:
    train(TrainConfig(task=TASK_ID, model="cnn", output_dir=tmp_path / "run", **recipe(TASK_ID, "cnn", "tutorial")))
    record = RunRecord.load(tmp_path / "run")
    assert record.num_parameters == 9
    assert record.criteria["accuracy>=0.999"] is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights_seed": 1, "initialization": "identity"}, "weights_seed=1: must be used with initialization=default"),
        ({"order_seed": 1}, "order_seed=1: must be used with data=splits or a folder"),
        ({"order_seed": 2**63, "data": "splits"}, "order_seed=.*: must be a number of 64 bits"),
    ],
)
def test_seeds_without_effect_are_rejected(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        TrainConfig(**{"task": TASK_ID, "model": "rnn_tanh", "output_dir": tmp_path, **settings})

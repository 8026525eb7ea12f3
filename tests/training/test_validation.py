"""Validation during training: its rows, their number and the accuracy threshold."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st

from seqhub.data.source import DataSource
from seqhub.data.vectors import VectorRow, write_vectors
from seqhub.metrics.classification import reaches, share_of_rows
from seqhub.native.loader import reason
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import ValidationRows
from seqhub.training.history import read_history
from seqhub.training.native_loop import train_native
from seqhub.training.runtime import own_accelerate_state
from seqhub.training.stopping import Accuracy
from seqhub.training.torch_loop import validate
from seqhub.training.train import train
from tests.helpers.example_configs import model_for
from tests.helpers.training_processes import run_processes
from tests.training.test_resume import StopError, stop_after

COINS = 1_025  # one validation row beyond a batch


@pytest.fixture(scope="module")
def coins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write vectors with random labels, which no model can predict."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("coins") / "coins.parquet"
    rows = [
        VectorRow(random.normal(size=(2, 1)).astype("float32"), str(random.integers(2)), split)
        for split, count in (("train", 200), ("validation", COINS), ("test", 100))
        for _ in range(count)
    ]
    write_vectors(path, rows)
    return path


def on_coins(coins: Path, folder: Path, **changes: Any) -> TrainConfig:
    settings = {"hidden_size": 2, "evaluate_every": 16, "max_sequences": 160, "epochs": 20, "data": str(coins)}
    return TrainConfig(task="documents/custom", output_dir=folder, **settings | changes)


def validations(config: TrainConfig) -> list[tuple[float, int]]:
    rows = read_history(config.output_dir)
    return [(row["validation_accuracy"], row["validation_examples"]) for row in rows]


def test_random_labels_are_never_solved(tmp_path: Path, coins: Path) -> None:
    """A validation that ended early is not continued by the next one, which would see the last row alone."""
    config = on_coins(coins, tmp_path / "run")
    record = train(config)
    assert record is not None
    assert record.criteria["accuracy>=0.999"] is None
    assert {rows for _, rows in validations(config)} == {128}  # each ends early, at the same row
    with pytest.raises(StopError):
        train(on_coins(coins, tmp_path / "stopped"), callback=stop_after(80))
    train(on_coins(coins, tmp_path / "stopped"), resume=True)
    assert validations(on_coins(coins, tmp_path / "stopped")) == validations(config)


@pytest.mark.skipif(reason() is not None, reason="no native library")
@pytest.mark.parametrize("task_id", ["qrsu/easy", "echo/step1"])
def test_the_first_rows_decide_like_whole_batches(
    tmp_path: Path, task_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the results of validations that fail differ: they are those of fewer rows."""
    settings = {"hidden_size": 8, "initialization": "forget_bias", "learning_rate": 0.02, "max_grad_norm": 1.0}
    config = TrainConfig(
        task=task_id, output_dir=tmp_path / "run", batch_size=16, evaluate_every=320, accuracy=0.999, **settings
    )
    runs = []
    for first in (128, 0):
        monkeypatch.setattr("seqhub.training.dataloaders._FIRST_ROWS", first)
        runs.append(train_native(config))
    few, whole = runs
    assert few.record.criteria == whole.record.criteria
    assert few.record.sequences_seen == whole.record.sequences_seen < config.max_sequences
    assert all((few.model.weights[name] == each).all() for name, each in whole.model.weights.items())
    pairs = list(zip(few.history, whole.history, strict=True))
    assert [one["loss"] for one, _ in pairs] == [other["loss"] for _, other in pairs]
    examples = [(one["validation_examples"], other["validation_examples"]) for one, other in pairs]
    assert examples[0] == (128, 1_024)
    assert examples[-1] == (config.evaluate_size, config.evaluate_size)
    last = [each[-1]["validation_accuracy"] for each in (few.history, whole.history)]
    assert last[0] == pytest.approx(last[1], abs=1e-12)  # the order of sums of shares differs


@pytest.mark.parametrize("size", [1, 7, 1_000, 1_024, COINS, 5_000])
def test_a_validation_has_all_requested_rows_up_to_the_split_size(tmp_path: Path, coins: Path, size: int) -> None:
    config = on_coins(coins, tmp_path / "run", evaluate_size=size, accuracy=1e-9, max_sequences=48, stop_at="none")
    train(config)
    assert [rows for _, rows in validations(config)] == [min(size, COINS)] * 3


@pytest.mark.skipif(reason() is not None, reason="no native library")
@pytest.mark.parametrize("settings", [{}, {"evaluate_size": 1_030, "accuracy": 0.001, "stop_at": "none"}])
def test_native_runs_validate_the_same_rows(tmp_path: Path, coins: Path, settings: dict[str, Any]) -> None:
    config = on_coins(coins, tmp_path / "run", **settings)
    train(config)
    native = train_native(config)
    assert native.record.criteria["accuracy>=0.999" if not settings else "accuracy>=0.001"] == (
        16 if settings else None
    )
    rows = [(row["validation_accuracy"], row["validation_examples"]) for row in native.history]
    assert [examples for _, examples in rows] == [examples for _, examples in validations(config)]
    for ours, theirs in zip(rows, validations(config), strict=True):
        assert ours[0] == pytest.approx(theirs[0], abs=0.01)


@pytest.mark.slow  # processes import torch; a test below compares ranks in one process
@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_validate_the_same_rows_as_one(tmp_path: Path, coins: Path, processes: int) -> None:
    settings = {"evaluate_size": 1_025, "accuracy": 0.3, "stop_at": "none", "max_sequences": 32}
    config = on_coins(coins, tmp_path / "one", **settings)
    train(config)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    rest = ["--data", str(coins), "--hidden-size=2", "--evaluate-every=16", "--epochs=20", "--quiet"]
    run_processes(processes, ["documents/custom", "--output-dir=all", *rest, *options], folder=tmp_path)
    found, wanted = validations(on_coins(coins, tmp_path / "all")), validations(config)
    assert [rows for _, rows in found] == [rows for _, rows in wanted] == [1_025, 1_025]
    assert [share for share, _ in found] == pytest.approx([share for share, _ in wanted], abs=0.01)


FIXED = ["char_completion/tutorial", "embedded_reber/hs97", "ramps/tutorial", "row_images/digits8", "square/tutorial"]


@pytest.mark.parametrize("task_id", [*FIXED, "qrsu/easy", "echo/step3-ragged"])
@pytest.mark.parametrize("size", [1, 2, 5, 1_030, 2_048])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_slices_of_processes_are_the_rows_of_one_process(
    tmp_path: Path, task_id: str, size: int, processes: int
) -> None:
    """After a validation that ended early, fixed rows start again and generated rows continue."""
    source = DataSource(task_id)
    fixed = source.split("validation").size
    model = model_for(task_id)
    data = "stream" if fixed is None else "splits"
    config = TrainConfig(task=task_id, output_dir=tmp_path, evaluate_size=size, model=model, data=data)
    alone = ValidationRows(config, source)
    ranks = [ValidationRows(config, source, rank, processes) for rank in range(processes)]
    seen = []
    for ends_early in (True, False, False):
        count = 0
        batches = zip(alone.batches(), *(each.batches() for each in ranks), strict=True)
        for (whole, rows), *parts in batches:
            count += rows
            assert {each for _, each in parts} == {rows}
            for name, tensor in whole.items():
                assert torch.equal(torch.cat([part[name] for part, _ in parts]), tensor)
            seen.append(next(iter(whole.values()))[0])
            if ends_early:
                break
        assert ends_early or count == (size if fixed is None else min(size, fixed))
        for each in ranks:
            assert each.state_dict() == alone.state_dict()
    width = min(len(row) for row in seen)
    assert bool((seen[0][:width] == seen[1][:width]).all()) == (fixed is not None)
    counts = [len(rows) for rows in alone.arrays()]
    assert sum(counts) == (size if fixed is None else min(size, fixed))


@given(st.integers(1, 400), st.integers(0, 1_000))
def test_a_threshold_is_compared_as_a_decimal_fraction_of_rows(rows: int, thousandths: int) -> None:
    threshold = max(1, thousandths) / 1_000
    needed = -(-max(1, thousandths) * rows // 1_000)
    assert [reaches(threshold, right, rows) for right in range(rows + 1)] == [
        right >= needed for right in range(rows + 1)
    ]
    assert share_of_rows(threshold, rows) == Fraction(max(1, thousandths), 1_000) * rows


@pytest.mark.parametrize(
    ("threshold", "right", "met"), [(0.9, 9, True), (0.9, 8, False), (0.7, 7, True), (1.0, 9, False)]
)
def test_accuracy_counts_in_whole_rows(threshold: float, right: int, met: bool) -> None:
    rule = Accuracy(threshold)
    rule.check(32, float(right), 10)
    assert rule.met_at == (32 if met else None)


def test_shares_of_steps_are_compared_up_to_their_rounding() -> None:
    rule = Accuracy(0.9)
    rule.check(32, sum([float(np.float32(0.9))] * 10), 10)
    assert rule.met_at == 32


class FixedAnswers(torch.nn.Module):
    """Model that predicts the correct class except for the first `wrong` rows."""

    def __init__(self, labels: torch.Tensor, wrong: int) -> None:
        super().__init__()
        self.labels, self.wrong, self.seen = labels, wrong, 0
        self.config = None

    def forward(self, input_values: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        predicted = self.labels[self.seen : self.seen + len(input_values)].clone()
        first = max(0, min(self.wrong - self.seen, len(predicted)))
        predicted[:first] = 1 - predicted[:first]
        self.seen += len(predicted)
        return type("Output", (), {"logits": torch.nn.functional.one_hot(predicted, 2).float()})


@pytest.mark.parametrize(
    ("size", "accuracy", "wrong", "rows"),
    [
        (10, 0.9, 1, 10),
        (10, 0.9, 2, 10),
        (1_025, 0.9, 102, 1_025),  # the largest allowed number
        (1_025, 0.9, 103, 128),
        (5_000, 0.9, 102, 1_025),  # of the rows of the split, fewer than requested
        (5_000, 0.9, 103, 128),
    ],
)
def test_a_validation_ends_early_only_below_the_threshold(
    tmp_path: Path, coins: Path, size: int, accuracy: float, wrong: int, rows: int
) -> None:
    config = on_coins(coins, tmp_path, evaluate_size=size, accuracy=accuracy)
    source = DataSource(config.task, coins)
    labels = source.table("validation")["label"].to_numpy()
    model = FixedAnswers(torch.from_numpy(labels.copy()), wrong)
    with own_accelerate_state():
        found = validate(Accelerator(cpu=True), model, source.schema, ValidationRows(config, source), config)[:2]
    assert found == (rows - wrong, rows)
    assert reaches(accuracy, *found) == (wrong <= share_of_rows(round(1 - accuracy, 9), min(size, COINS)))

"""Gradient accumulation, balanced sampling, and the schedules one_cycle and plateau."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from seqhub.data.loader import DatasetLoader
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.load import load_model
from seqhub.records import RunRecord
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.vocabulary import Vocabulary
from seqhub.training.config import TrainConfig
from seqhub.training.configure import configure
from seqhub.training.dataloaders import data_source
from seqhub.training.history import read_history
from seqhub.training.native_loop import reason_not_native, train_native
from seqhub.training.state import TrainerState, learning_rate
from seqhub.training.torch_loop import train_in_torch
from seqhub.training.train import TrainingInterrupted, train
from tests.helpers.own_files import reviews, write_csv

FEW = {"hidden_size": 8, "epochs": 4, "seed": 3}


def rare(folder: Path) -> Path:
    """Return a table of 200 texts; every eighth is of the class `pos`."""
    rows = [(f"{text} {n}", "pos" if n % 8 == 0 else "neg") for n, (text, _) in enumerate(reviews(200))]
    return write_csv(folder / "rows.csv", ("text", "label"), rows)


@pytest.mark.parametrize(
    "task", ["qrsu/easy", "adding/hs97-t100", "echo/step3-ragged", "embedded_reber/hs97", "number_words/to-words"]
)
def test_accumulated_gradients_equal_those_of_a_larger_batch(tmp_path: Path, task: str) -> None:
    """For each kind of target; the numbers of counted steps differ between the parts of a batch."""
    settings: dict[str, Any] = {
        "max_sequences": 60, "evaluate_every": 60, "evaluate_size": 16, "chunk_steps": 0, "seed": 5, "stop_at": "none",
        "optimizer": "sgd", "learning_rate": 0.5,
    }  # fmt: skip
    whole = configure(task, output_dir=tmp_path / "whole", batch_size=20, **settings)
    divided = replace(whole, output_dir=tmp_path / "parts", batch_size=5, accumulation_steps=4)
    one, other = train(whole), train(divided)
    assert one is not None
    assert other is not None
    assert one.optimizer_steps == other.optimizer_steps == 3
    first, second = (load_model(tmp_path / name).state_dict() for name in ("whole", "parts"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-5)
    assert "accumulation_steps" not in one.training
    assert other.training["accumulation_steps"] == 4


def test_accumulation_in_the_native_loop(tmp_path: Path) -> None:
    config = configure("qrsu/easy", output_dir=tmp_path, batch_size=8, max_sequences=64, evaluate_size=16)
    whole = train_native(replace(config, batch_size=16))
    divided = train_native(replace(config, accumulation_steps=2))
    for name, weights in whole.model.weights.items():
        assert np.array_equal(weights, divided.model.weights[name])


def balanced_loader(labels: list[int], seed: int = 0) -> DatasetLoader:
    schema = TaskSchema(vocabulary=Vocabulary("ab"), labels=("x", "y", "z"))
    rows = pa.table({"text": ["a"] * len(labels), "label": pa.array(labels, pa.int64())})
    return DatasetLoader(rows, schema, 4, shuffle=True, seed=seed, balanced=True)


@pytest.mark.parametrize("rows", [7, 30, 101])
def test_balanced_epochs_have_equally_many_rows_of_each_class(rows: int) -> None:
    random = np.random.default_rng(rows)
    labels = np.concatenate([[0, 1, 2], random.choice(3, rows - 3, p=[0.8, 0.15, 0.05])])
    loader = balanced_loader(labels.tolist())
    seen = np.zeros(rows, np.int64)
    for epoch in range(60):
        order = loader._new_order(epoch)
        counts = np.bincount(labels[order], minlength=3)
        assert counts.sum() == rows
        assert counts.max() - counts.min() <= 1
        seen += np.bincount(order, minlength=rows)
    for label in range(3):  # all rows of a class take turns
        own = seen[labels == label]
        assert own.max() - own.min() <= 1
    assert not np.array_equal(loader._new_order(0), loader._new_order(1))


def test_balanced_sampling_finds_more_rows_of_a_rare_class(tmp_path: Path) -> None:
    record = train(configure(str(rare(tmp_path)), output_dir=tmp_path / "run", balanced_sampling=True, **FEW))
    assert record is not None
    assert RunRecord.load(tmp_path / "run").training["balanced_sampling"] is True
    confusion = np.array(record.evaluation["test"]["confusion"])
    assert confusion[:, record.schema.labels.index("pos")].sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"balanced_sampling": True, "class_weights": True}, "has the same purpose"),
        ({"balanced_sampling": True, "order_seed": 1}, "order_seed"),
        ({"accumulation_steps": 0}, "at least 1"),
        ({"plateau_patience": 0}, "at least 1"),
        ({"schedule": "one_cycle", "warmup": 3}, "a rise of its own"),
        ({"schedule": "oncycle"}, "one_cycle"),
    ],
)
def test_settings_that_exclude_each_other(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message) as error:
        configure(str(rare(tmp_path)), output_dir=tmp_path / "run", **settings)
    assert "\n" not in str(error.value)


def test_balanced_sampling_needs_a_class_for_each_row(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="balanced_sampling"):
        TrainConfig(task="qrsu/easy", output_dir=tmp_path, balanced_sampling=True)
    with pytest.raises(InvalidConfigError, match="accumulation_steps"):
        TrainConfig(task="echo/step3", output_dir=tmp_path, chunk_steps=5, accumulation_steps=2)


def test_one_cycle_is_the_schedule_of_torch() -> None:
    config = TrainConfig(task="qrsu/easy", output_dir=Path(), schedule="one_cycle", learning_rate=0.3)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    steps = 1001  # torch's first and last rates are those of the steps 0 and 1,000
    torch_schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=steps, cycle_momentum=False)
    for step in range(steps):
        if step in (0, 1000):
            assert learning_rate(config, step, 1000, 0) == pytest.approx(torch_schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        if step < steps - 1:
            torch_schedule.step()
    rates = [learning_rate(config, step, 1000, 0) for step in range(1001)]
    assert int(np.argmax(rates)) == 300
    assert max(rates) == pytest.approx(0.3)
    assert np.all(np.diff(rates[:300]) > 0)
    assert np.all(np.diff(rates[300:]) < 0)


def test_the_rate_falls_on_a_plateau(tmp_path: Path) -> None:
    config = configure(
        str(rare(tmp_path)), output_dir=tmp_path / "run", hidden_size=8, schedule="plateau", plateau_patience=2,
        decay=0.5, patience=0, epochs=14, learning_rate=0.05,
    )  # fmt: skip
    train(config)
    history = read_history(tmp_path / "run")
    losses, rates = [row["validation_loss"] for row in history], [row["learning_rate"] for row in history]
    state, expected = TrainerState(), []
    for loss in losses:
        expected.append(0.05 * state.plateau)
        state.is_best(loss, config)
    assert rates == pytest.approx(expected)
    assert rates[-1] < rates[0]


def test_a_plateau_run_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def config_of(name: str) -> TrainConfig:
        settings: dict[str, Any] = {"schedule": "plateau", "plateau_patience": 1, "accumulation_steps": 2}
        settings |= {"balanced_sampling": True, "learning_rate": 0.05, "patience": 20, "epochs": 8, "hidden_size": 8}
        return replace(configure(str(rare(tmp_path)), output_dir=tmp_path / name, **settings), checkpoint_every=1)

    whole = train(config_of("whole"))
    seen = 0

    def stop(_: TrainerState) -> None:
        nonlocal seen
        seen += 1
        if seen == 4:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(config_of("parts"), callback=stop)
    parts = train(config_of("parts"), resume=True)
    assert whole is not None
    assert parts is not None
    assert whole.best == parts.best
    one, other = (load_model(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_native_loop_has_validation_loss_patience_and_plateau(tmp_path: Path) -> None:
    config = configure(
        "qrsu/easy", output_dir=tmp_path / "run", max_sequences=640, evaluate_every=64, evaluate_size=64, patience=2,
        schedule="plateau", plateau_patience=1, learning_rate=0.05, stop_at="none",
    )  # fmt: skip
    assert reason_not_native(config) is None
    native, record = train_native(config), train_in_torch(config, data_source(config), False, None)
    assert record is not None
    assert native.record.best is not None
    assert record.best is not None
    assert native.record.best["sequences"] == record.best["sequences"]
    assert native.record.best["loss"] == pytest.approx(record.best["loss"], rel=1e-3)
    history = read_history(tmp_path / "run")
    assert [row["learning_rate"] for row in native.history] == pytest.approx([row["learning_rate"] for row in history])
    losses = [row["validation_loss"] for row in native.history]
    assert losses == pytest.approx([row["validation_loss"] for row in history], rel=1e-3)
    for name, tensor in load_model(tmp_path / "run").state_dict().items():
        torch.testing.assert_close(torch.from_numpy(native.model.weights[name]), tensor, rtol=1e-3, atol=1e-4)

"""Patience, the best weights and class weights of runs on fixed rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError
from seqhub.evaluation.load import load_model
from seqhub.records import RunRecord
from seqhub.tasks.schema import NO_LABEL
from seqhub.training.class_weights import class_weights
from seqhub.training.config import TrainConfig
from seqhub.training.configure import configure
from seqhub.training.history import read_history
from seqhub.training.loss_scale import LossScale
from seqhub.training.model_setup import create_model
from seqhub.training.native_loop import reason_not_native
from seqhub.training.train import TrainingInterrupted, train
from tests.helpers.own_files import reviews, write_csv


def config_of(folder: Path, output: str = "run", **changes: Any) -> TrainConfig:
    """Return a run that overfits: the labels are random."""
    random = np.random.default_rng(0)
    rows = [(f"{text} {n % 50}", ("pos", "neg")[random.integers(2)]) for n, (text, _) in enumerate(reviews(150))]
    file = write_csv(folder / "rows.csv", ("text", "label"), rows)
    settings = {"hidden_size": 8, "learning_rate": 0.03, "patience": 3, "epochs": 40, "output_dir": folder / output}
    return configure(str(file), **(settings | changes))


def test_a_run_ends_after_the_patience_with_the_best_weights(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    record = train(config)
    history = read_history(tmp_path / "run")
    losses = [row["validation_loss"] for row in history]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert record is not None
    assert len(losses) == best + 1 + 3 < 40
    assert record.best == {"loss": losses[best], "sequences": history[best]["sequences"]}
    assert record.evaluation["validation"]["loss"] == pytest.approx(losses[best], abs=1e-6)
    assert losses[-1] > losses[best]
    shorter = replace(config, output_dir=tmp_path / "shorter", patience=0, max_sequences=history[best]["sequences"])
    train(shorter)
    one, other = (load_model(tmp_path / name).state_dict() for name in ("run", "shorter"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert RunRecord.load(tmp_path / "shorter").best is None
    assert "patience" not in RunRecord.load(tmp_path / "shorter").training


def test_a_resumed_run_has_the_same_best_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(config_of(tmp_path, "whole"))
    config = replace(config_of(tmp_path, "parts"), checkpoint_every=1)
    seen = 0

    def stop(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == len(read_history(tmp_path / "whole")) - 1:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(config, callback=stop)
    resumed = train(config, resume=True)
    assert whole is not None
    assert resumed is not None
    assert resumed.best == whole.best
    assert resumed.probe == whole.probe
    assert resumed.sequences_seen == whole.sequences_seen


def test_class_weights_give_all_classes_the_same_influence(tmp_path: Path) -> None:
    rows = [(f"text {'good' if n % 10 == 0 else 'bad'} {n % 40} of {n}", "ab"[n % 10 == 0]) for n in range(200)]
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), rows)
    config = configure(str(file), class_weights=True, output_dir=tmp_path / "run")
    source = DataSource(config.task, config.file, config.data_options)
    loss = class_weights(config, source, create_model(config, source.schema))
    labels = torch.from_numpy(source.split("train").blocks(0, 1).labels)
    logits = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(0))
    by_class = [cross_entropy(logits[labels == number], labels[labels == number]) for number in (0, 1)]
    assert loss(logits, labels, LossScale({}, 1, True)) == pytest.approx(float(sum(by_class) / 2), rel=1e-5)
    steps, targets = torch.randn(1, 3, 2), torch.tensor([[0, NO_LABEL, 1]])
    weights = [len(labels) / (2 * int((labels == number).sum())) for number in (0, 1)]
    each = cross_entropy(steps[0, [0, 2]], torch.tensor([0, 1]), reduction="none")
    expected = (each * torch.tensor(weights)).sum() / 2
    assert loss(steps, targets, LossScale({"num_items_in_batch": 2}, 1, True)) == pytest.approx(
        float(expected), rel=1e-5
    )
    record = train(replace(config, epochs=1))
    assert record is not None
    assert record.training["class_weights"] is True


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"^patience=-1: must be at least 0"):
        config_of(tmp_path, patience=-1)
    with pytest.raises(InvalidConfigError, match=r"^class_weights=True: must be False without classes"):
        TrainConfig(task="qrsu/easy", output_dir=tmp_path, class_weights=True)
    plain = {"task": "qrsu/easy", "output_dir": tmp_path, "data": "splits"}
    assert reason_not_native(TrainConfig(**plain, patience=2)) is None
    assert reason_not_native(TrainConfig(**plain, class_weights=True)) == "class_weights True"

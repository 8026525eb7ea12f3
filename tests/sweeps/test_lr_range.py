"""Learning-rate range test: rates, losses, the end at a diverging loss, and no remaining files."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from seqhub.errors import InvalidConfigError
from seqhub.sweeps.lr_range import RangeStep, lr_range, steepest
from seqhub.training.config import TrainConfig
from seqhub.training.configure import configure
from seqhub.training.history import read_history
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from tests.helpers.cli_calls import assert_user_error, call
from tests.helpers.own_files import reviews, write_csv


def config(task_id: str = "qrsu/easy", **settings: Any) -> TrainConfig:
    return TrainConfig(**{"task": task_id, "output_dir": Path("never-made"), **recipe(task_id), **settings})


def test_rates_rise_by_a_constant_factor_from_lowest_to_highest() -> None:
    steps = lr_range(config(), lowest=1e-6, highest=1e-3, steps=31)
    assert len(steps) == 31
    assert steps[0].learning_rate == 1e-6
    assert steps[-1].learning_rate == pytest.approx(1e-3)
    factors = [after.learning_rate / before.learning_rate for before, after in pairwise(steps)]
    assert factors == pytest.approx([1000 ** (1 / 30)] * 30)


def test_losses_equal_those_of_the_training_loop(tmp_path: Path) -> None:
    """With tiny rates the weights do not change, so a run of the same batches has the same losses."""
    steps = lr_range(config(), lowest=1e-12, highest=2e-12, steps=10)
    still = config(
        output_dir=tmp_path / "run", learning_rate=1e-12, max_sequences=160, stop_at="none", evaluate_every=1
    )
    train(still)
    assert [step.loss for step in steps] == pytest.approx([row["loss"] for row in read_history(tmp_path / "run")])
    assert steps[0].smoothed == pytest.approx(steps[0].loss)


def test_the_test_ends_when_the_loss_diverges() -> None:
    steps = lr_range(config(max_grad_norm=0, optimizer="sgd"), lowest=1e-3, highest=1e9, steps=100)
    assert 10 <= len(steps) < 100
    assert all(step.loss < float("inf") for step in steps)


@pytest.mark.parametrize("task_id", ["square/tutorial", "char_completion/tutorial", "echo/step3"])
def test_range_tests_of_other_targets(task_id: str) -> None:
    steps = lr_range(config(task_id), lowest=1e-4, highest=1e-2, steps=12)
    assert len(steps) == 12


def test_no_files_remain_and_the_state_of_the_caller_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = torch.get_rng_state()
    lr_range(config(), steps=10)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowest": 0.0}, "^lowest=0, highest=10: must be finite, with 0 < lowest < highest$"),
        ({"lowest": 10.0}, "^lowest=10, highest=10: must be"),
        ({"highest": float("inf")}, "^lowest=1e-05, highest=inf: must be"),
        ({"lowest": float("nan")}, "^lowest=nan, highest=10: must be"),
        ({"steps": 9}, "^steps=9: must be 10 to 100,000$"),
    ],
)
def test_numbers_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        lr_range(config(), **settings)


def test_a_loss_that_never_falls_has_no_steepest_step() -> None:
    rising = [RangeStep(10.0**n, float(n), float(n)) for n in range(20)]
    assert steepest(rising) is None
    assert steepest(rising[:1]) is None


def test_the_command_writes_a_picture_and_prints_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("lr-range", "qrsu/easy", "--steps", 40, "--quiet")
    assert (ended.code, ended.out) == (0, "lr-range-qrsu-easy-lstm.png\n"), ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["lr-range-qrsu-easy-lstm.png"]
    assert (tmp_path / "lr-range-qrsu-easy-lstm.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("line", "about"),
    [
        ("lr-range qrsu/eazy", "no config of qrsu 'eazy'"),
        ("lr-range qrsu/easy --steps 3", "--steps 3: must be 10 to 100,000"),
        ("lr-range qrsu/easy --lowest 20", "with 0 < lowest < highest"),
        ("lr-range qrsu/easy --model cnn", "as the task has symbols"),
        ("lr-range qrsu/easy --learning-rate 1", "No such option: --learning-rate"),
    ],
)
def test_mistakes_at_the_command_line_leave_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, about: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_user_error(lambda: call(*line.split()), about=about, folder=tmp_path)


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    assert_user_error(
        lambda: call("lr-range", "qrsu/easy", "--steps", 10, "--picture", tmp_path / "no" / "folder.png"),
        about="folder.png", folder=tmp_path,
    )  # fmt: skip


def test_patience_and_accumulation_do_not_change_the_steps(tmp_path: Path) -> None:
    """The recipe for files has a patience, which would end the test after a few validations."""
    file = write_csv(tmp_path / "reviews.csv", ("text", "label"), reviews(60))
    config = configure(str(file), hidden_size=4, batch_size=4, accumulation_steps=2)
    found = lr_range(config, lowest=1e-5, highest=1e-3, steps=20)
    assert len(found) >= 20  # the last batch of an epoch has fewer rows
    assert found[-1].learning_rate == pytest.approx(1e-3, rel=0.4)

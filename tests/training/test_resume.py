"""Stopping and going on: bit by bit as if never stopped, whatever stopped it."""

import errno
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError, SaveError
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.course import Progress
from seqhub.training.history import read_history
from seqhub.training.train import TrainingInterrupted, train
from tests.training.processes import finish, run, start, wait_for

SETTINGS: dict[str, Any] = {
    "address": "qrsu/easy",
    "initialization": "chrono",
    "chrono_max_steps": 8,
    "num_hidden_layers": 2,
    "optimizer": "adamw",
    "learning_rate": 0.02,
    "schedule": "cosine",
    "max_sequences": 9600,
    "evaluate_every": 160,
    "checkpoint_every": 640,
    "evaluate_size": 1024,
    "stop_at": "none",
}


def arguments(folder: str, **changes: Any) -> list[str]:
    settings = {**SETTINGS, **changes}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if name != "address"]
    return [settings["address"], "--output-dir", folder, "--quiet", *flags]


def what_was_learnt(folder: Path) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
    """Weights, history and record without what a clock says."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder)]
    record = json.loads((folder / "run.json").read_text())
    return (
        (folder / "model.safetensors").read_bytes(),
        rows,
        {k: record[k] for k in ("criteria", "data", "files", "probe")},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    code, _, errors = run(arguments("run"), folder=folder)
    assert code == 0, errors
    return folder / "run"


class StopError(Exception):
    pass


def stop_after(sequences: int) -> Any:
    def report(now: Progress) -> None:
        if now.sequences >= sequences:
            raise StopError

    return report


def test_killed_between_checkpoints_goes_on_from_the_last_one(tmp_path: Path, whole: Path) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", **SETTINGS)
    with pytest.raises(StopError):
        train(config, report=stop_after(1600))
    code, _, errors = run([*arguments("run"), "--resume"], folder=tmp_path)
    assert code == 0, errors
    assert what_was_learnt(tmp_path / "run") == what_was_learnt(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_says_how_to_go_on_and_loses_nothing(tmp_path: Path, whole: Path, number: int) -> None:
    process = start([*arguments("run")], folder=tmp_path)
    wait_for(tmp_path / "run" / "history.jsonl", process)  # after the first check: in the middle of training
    process.send_signal(number)
    code, _, errors = finish(process)
    assert code == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "run" / checkpoints.FILE_NAME).exists()
    assert not (tmp_path / "run" / "run.json").exists()

    code, _, errors = run([*arguments("run"), "--resume"], folder=tmp_path)
    assert code == 0, errors
    assert what_was_learnt(tmp_path / "run") == what_was_learnt(whole)
    assert not (tmp_path / "run" / checkpoints.FILE_NAME).exists()


def test_without_resume_a_stopped_run_is_not_overwritten(tmp_path: Path) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", **SETTINGS)
    with pytest.raises(StopError):
        train(config, report=stop_after(1600))
    with pytest.raises(OutputExistsError, match="--resume"):
        train(config)


def test_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), report=stop_after(1600))
    other = TrainConfig(output_dir=tmp_path, **SETTINGS | {"seed": 3, "learning_rate": 0.5})
    with pytest.raises(InvalidConfigError, match=r"learning_rate=0\.02 there and 0\.5 here; seed=0 there and 3 here"):
        train(other, resume=True)


@pytest.mark.parametrize("damage", ["truncated", "not safetensors", "other tensors"])
def test_damaged_checkpoint_is_one_clear_error(tmp_path: Path, damage: str) -> None:
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), report=stop_after(1600))
    path = tmp_path / checkpoints.FILE_NAME
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "not safetensors":
        path.write_bytes(b"\x80\x04" + content)
    else:
        import torch
        from safetensors.torch import save_file

        save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CorruptFileError, match=r"checkpoint\.safetensors is truncated or no checkpoint"):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), resume=True)


def test_resume_of_nothing_starts(tmp_path: Path) -> None:
    settings = SETTINGS | {"max_sequences": 160}
    record = train(TrainConfig(output_dir=tmp_path / "run", **settings), resume=True)
    assert record is not None
    assert record.sequences_seen == 160


def test_disk_that_fills_up_leaves_the_last_checkpoint(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third checkpoint meets a full disk: the second is whole, and the run goes on from it."""
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:  # a file and its folder each
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left on device"):
        train(TrainConfig(output_dir=tmp_path / "run", **SETTINGS))
    monkeypatch.setattr(os, "fsync", fsync)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {checkpoints.FILE_NAME, "history.jsonl"}
    train(TrainConfig(output_dir=tmp_path / "run", **SETTINGS), resume=True)
    assert what_was_learnt(tmp_path / "run") == what_was_learnt(whole)


def test_full_disk_at_the_very_end_keeps_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import PreTrainedModel

    def full(self: PreTrainedModel, folder: Path) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    settings = SETTINGS | {"max_sequences": 1280, "checkpoint_every": 320}
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(SaveError, match="its checkpoint is still there"):
        train(TrainConfig(output_dir=tmp_path, **settings))
    assert {path.name for path in tmp_path.iterdir()} == {checkpoints.FILE_NAME, "history.jsonl"}
    monkeypatch.undo()
    record = train(TrainConfig(output_dir=tmp_path, **settings), resume=True)
    assert record is not None


def test_interruption_is_a_keyboard_interrupt() -> None:
    assert issubclass(TrainingInterrupted, KeyboardInterrupt)

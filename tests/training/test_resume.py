"""Resumed runs, which equal uninterrupted ones exactly, and damaged or missing checkpoints."""

import errno
import json
import os
import signal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from seqhub.errors import CorruptFileError, InvalidConfigError, OutputExistsError, SaveError
from seqhub.records import RunRecord
from seqhub.training import checkpoints, native_files
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.random_state import seed_process
from seqhub.training.state import TrainerState
from seqhub.training.train import TrainingInterrupted, train
from tests.helpers.training_processes import finish, run, start, wait_for

SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy",
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
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if name != "task"]
    return [settings["task"], "--output-dir", folder, "--quiet", *flags]


def run_results(folder: Path) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
    """Return weights, history and record, without times."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_history(folder)]
    record = json.loads((folder / "run.json").read_text())
    return (
        (folder / "model.safetensors").read_bytes(),
        rows,
        {k: record[k] for k in ("criteria", "data", "files", "probe")},
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole")
    code, _, errors = run(arguments("run"), folder=folder)
    assert code == 0, errors
    return folder / "run"


class StopError(Exception):
    pass


def stop_after(sequences: int) -> Any:
    def callback(now: TrainerState) -> None:
        if now.sequences >= sequences:
            raise StopError

    return callback


def test_a_run_stopped_between_checkpoints_resumes_from_the_last_one(tmp_path: Path, whole: Path) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", **SETTINGS)
    with pytest.raises(StopError):
        train(config, callback=stop_after(1600))
    code, _, errors = run([*arguments("run"), "--resume"], folder=tmp_path)
    assert code == 0, errors
    assert run_results(tmp_path / "run") == run_results(whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_the_message_names_resume(tmp_path: Path, whole: Path, number: int) -> None:
    process = start([*arguments("run")], folder=tmp_path)
    wait_for(tmp_path / "run" / "history.jsonl", process)  # written at the first validation, in the middle of training
    process.send_signal(number)
    code, _, errors = finish(process)
    assert code == 130, errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "run" / checkpoints.FILE_NAME).exists()
    assert not (tmp_path / "run" / "run.json").exists()

    code, _, errors = run([*arguments("run"), "--resume"], folder=tmp_path)
    assert code == 0, errors
    assert run_results(tmp_path / "run") == run_results(whole)
    assert not (tmp_path / "run" / checkpoints.FILE_NAME).exists()


def test_without_resume_a_stopped_run_is_not_overwritten(tmp_path: Path) -> None:
    config = TrainConfig(output_dir=tmp_path / "run", **SETTINGS)
    with pytest.raises(StopError):
        train(config, callback=stop_after(1600))
    with pytest.raises(OutputExistsError, match="--resume"):
        train(config)


def test_checkpoint_of_another_run_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), callback=stop_after(1600))
    other = TrainConfig(output_dir=tmp_path, **SETTINGS | {"seed": 3, "learning_rate": 0.5})
    with pytest.raises(InvalidConfigError, match=r"learning_rate=0\.02 there and 0\.5 here; seed=0 there and 3 here"):
        train(other, resume=True)


@pytest.mark.parametrize("damage", ["truncated", "not safetensors", "other tensors"])
def test_a_damaged_checkpoint_is_an_error(tmp_path: Path, damage: str) -> None:
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), callback=stop_after(1600))
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
    with pytest.raises(CorruptFileError, match=r"checkpoint\.safetensors is truncated or not a checkpoint"):
        train(TrainConfig(output_dir=tmp_path, **SETTINGS), resume=True)


def test_resume_without_a_checkpoint_starts_a_run(tmp_path: Path) -> None:
    settings = SETTINGS | {"max_sequences": 160}
    record = train(TrainConfig(output_dir=tmp_path / "run", **settings), resume=True)
    assert record is not None
    assert record.sequences_seen == 160


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third checkpoint cannot be saved; the second one is complete, and the run resumes from it."""
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:  # two calls for each checkpoint: file and folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left on device"):
        train(TrainConfig(output_dir=tmp_path / "run", **SETTINGS))
    monkeypatch.setattr(os, "fsync", fsync)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {checkpoints.FILE_NAME, "history.jsonl"}
    train(TrainConfig(output_dir=tmp_path / "run", **SETTINGS), resume=True)
    assert run_results(tmp_path / "run") == run_results(whole)


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(model: Any, folder: Path) -> None:
    (Path(folder) / "model.safetensors").write_bytes(b"half")
    full()


ENDS: dict[str, dict[str, Any]] = {
    "long": {"max_sequences": 1280, "checkpoint_every": 320},
    "shorter than a checkpoint": {"max_sequences": 480},
    "solved": {"max_sequences": 96_000, "accuracy": 0.3, "stop_at": "accuracy", "schedule": "constant"},
    "long, in torch": {"threads": 2},
}


@pytest.mark.parametrize("end", ENDS)
def test_a_full_disk_at_the_end_keeps_the_checkpoint(tmp_path: Path, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message describes the checkpoint, and the resumed run equals an uninterrupted one."""
    settings = SETTINGS | ENDS[end]
    record = train(TrainConfig(output_dir=tmp_path / "whole", **settings))
    assert record is not None
    monkeypatch.setattr(native_files, "write_native_model", half_written)
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", half_written)
    with pytest.raises(SaveError, match=f"the checkpoint after {record.sequences_seen:,} sequences is kept; "):
        train(TrainConfig(output_dir=tmp_path / "run", **settings))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {checkpoints.FILE_NAME, "history.jsonl"}
    monkeypatch.undo()
    again = train(TrainConfig(output_dir=tmp_path / "run", **settings), resume=True)
    assert again is not None
    assert (again.sequences_seen, again.optimizer_steps) == (record.sequences_seen, record.optimizer_steps)
    assert run_results(tmp_path / "run") == run_results(tmp_path / "whole")


def test_a_failure_to_write_the_record_keeps_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SETTINGS | {"max_sequences": 480}
    monkeypatch.setattr(RunRecord, "save", full)
    with pytest.raises(SaveError, match=r"run: No space left on device; the checkpoint after 480 sequences is kept"):
        train(TrainConfig(output_dir=tmp_path / "run", **settings))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {checkpoints.FILE_NAME, "history.jsonl"}
    monkeypatch.undo()
    assert train(TrainConfig(output_dir=tmp_path / "run", **settings), resume=True) is not None


def test_a_full_disk_at_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The artifacts, which are smaller, are saved nevertheless; the message names the existing checkpoint."""
    save = checkpoints.save

    def save_first_only(folder: Path, tensors: Any, metadata: Any) -> Path:
        if metadata["progress"]["sequences"] > 640:
            raise SaveError("cannot write it")
        return save(folder, tensors, metadata)

    settings = SETTINGS | {"max_sequences": 1120}
    monkeypatch.setattr(checkpoints, "save", save_first_only)
    assert train(TrainConfig(output_dir=tmp_path / "well", **settings)) is not None
    monkeypatch.setattr(native_files, "write_native_model", full)
    with pytest.raises(SaveError, match="the checkpoint after 640 sequences is kept"):
        train(TrainConfig(output_dir=tmp_path / "early", **settings))
    with pytest.raises(SaveError, match="no checkpoint could be saved either, so the run is lost"):
        train(TrainConfig(output_dir=tmp_path / "none", **settings | {"checkpoint_every": 6400}))
    assert {path.name for path in (tmp_path / "none").iterdir()} == {"history.jsonl"}


DROPOUT: dict[str, Any] = {"model_options": {"dropout": 0.5}, "max_sequences": 1120, "checkpoint_every": 320}


def test_dropout_is_resumed_exactly(tmp_path: Path) -> None:
    """There are dropout masks between the two layers; the run is stopped between two checkpoints."""
    settings = SETTINGS | DROPOUT
    train(TrainConfig(output_dir=tmp_path / "whole", **settings))
    with pytest.raises(StopError):
        train(TrainConfig(output_dir=tmp_path / "run", **settings), callback=stop_after(800))
    torch.manual_seed(99)  # the state of the resuming process does not matter
    train(TrainConfig(output_dir=tmp_path / "run", **settings), resume=True)
    assert run_results(tmp_path / "run") == run_results(tmp_path / "whole")
    train(TrainConfig(output_dir=tmp_path / "without", **settings | {"model_options": {}}))
    assert run_results(tmp_path / "without")[0] != run_results(tmp_path / "whole")[0]


def test_masks_of_processes_differ() -> None:
    masks = []
    with torch.random.fork_rng(devices=[]):
        for seed, rank in ((5, 0), (5, 1), (5, 2), (6, 1)):
            torch.manual_seed(5)
            seed_process(seed, rank)
            masks.append(torch.nn.functional.dropout(torch.ones(64), 0.5))
        torch.manual_seed(5)
        assert torch.equal(
            masks[0], torch.nn.functional.dropout(torch.ones(64), 0.5)
        )  # a single process keeps its generator
    assert not any(torch.equal(one, other) for one, other in combinations(masks, 2))


def test_interruption_is_a_keyboard_interrupt() -> None:
    assert issubclass(TrainingInterrupted, KeyboardInterrupt)

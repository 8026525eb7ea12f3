"""Resumed runs and sweeps compare the content of the data, not names or modification times."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqhub.data.parquet import write_folder
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.native.loader import reason
from seqhub.records import RunRecord
from seqhub.sweeps.sweep import SweepPlan, sweep, train_one
from seqhub.training import checkpoints
from seqhub.training.config import TrainConfig
from seqhub.training.dataloaders import content_identity, data_source
from seqhub.training.train import train
from seqhub.verification.verify import verify

native = pytest.mark.skipif(reason() is not None, reason="no native library")

SIZES = {"train_size": 320, "validation_size": 32, "test_size": 32}
SMALL: dict[str, Any] = {"hidden_size": 2, "epochs": 3, "evaluate_every": 160, "evaluate_size": 32, "stop_at": "none"}
SMALL |= {"checkpoint_every": 160, "batch_size": 8, "cpu": True}


class StopError(Exception):
    pass


def stop(now: Any) -> None:
    raise StopError


def text(seed: int, lines: int = 300) -> str:
    chosen = random.Random(seed)
    return "\n".join("".join(chosen.choice("abcd") for _ in range(12)) for _ in range(lines)) + "\n"


def on_file(folder: Path, name: str = "a.txt", **changes: Any) -> TrainConfig:
    given = {"task": "char_completion/custom", "output_dir": folder / "run", "data": str(folder / name)}
    return TrainConfig(**{**given, **SMALL, "evaluate_every": 160, "checkpoint_every": 80, **changes})


def on_folder(folder: Path, **changes: Any) -> TrainConfig:
    given = {"task": "qrsu/easy", "output_dir": folder / "run", "data": str(folder / "data")}
    return TrainConfig(**{**given, **SMALL, **changes})


def stopped(config: TrainConfig) -> None:
    """Leave the checkpoint of a run that was stopped at its second validation."""
    calls: list[Any] = []

    def second(now: Any) -> None:
        calls.append(now)
        if len(calls) == 2:
            raise StopError

    with pytest.raises(StopError):
        train(config, callback=second)
    assert (config.output_dir / checkpoints.FILE_NAME).exists()


def test_a_folder_rebuilt_with_another_seed_is_rejected(tmp_path: Path) -> None:
    write_folder("qrsu", tmp_path / "data", configs=["easy"], **SIZES)
    config = on_folder(tmp_path)
    stopped(config)
    before = data_source(config)
    write_folder("qrsu", tmp_path / "data", configs=["easy"], seed=7, overwrite=True, **SIZES)
    with pytest.raises(InvalidConfigError, match="belongs to another run: its data were data with content") as caught:
        train(config, resume=True)
    now = data_source(config)
    assert content_identity(now)[:16] in str(caught.value)
    write_folder("qrsu", tmp_path / "data", configs=["easy"], overwrite=True, **SIZES)
    assert content_identity(data_source(config))[:16] in str(caught.value)
    (tmp_path / "data").rename(tmp_path / "moved")
    record = train(replace(config, data=str(tmp_path / "moved")), resume=True)
    assert record is not None
    assert record.data["source"] == "moved"
    assert record.data["rows"] == 320
    assert before.kind == "folder"


def test_a_touched_moved_or_copied_file_is_the_same_but_not_with_an_additional_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text(0))
    config = on_file(tmp_path)
    stopped(config)
    shutil.copytree(tmp_path / "run", tmp_path / "kept")
    (tmp_path / "a.txt").write_text(text(0) + "abcdabcd\n")
    with pytest.raises(InvalidConfigError, match=r"its data were a\.txt with content \w{16}, a\.txt here has \w{16}$"):
        train(config, resume=True)
    (tmp_path / "b.txt").write_text("\r\n".join(text(0).splitlines()))
    (tmp_path / "a.txt").unlink()
    train(on_file(tmp_path, "b.txt"), resume=True)
    (tmp_path / "a.txt").write_text(text(0))
    train(on_file(tmp_path, output_dir=tmp_path / "kept"), resume=True)
    one, two = (RunRecord.load(tmp_path / name) for name in ("run", "kept"))
    assert one.data["identity"] == two.data["identity"]
    assert one.files["model.safetensors"] == two.files["model.safetensors"]


@pytest.mark.parametrize("part", ["validation", "test"])
def test_the_identity_of_a_file_covers_validation_and_test(part: str, tmp_path: Path) -> None:
    import csv

    rows = [(f"text number {n} end", "ab"[n % 2], ["train", "validation", "test"][n % 3]) for n in range(60)]
    identities = []
    for changed in (False, True):
        given = [
            (f"another {text}" if changed and split == part else text, label, split) for text, label, split in rows
        ]
        with (tmp_path / "a.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label", "split"), *given])
        identities.append(data_source(on_file(tmp_path, "a.csv", task="sentiment/custom")).identity)
    assert identities[0] != identities[1]


def test_a_file_replaced_during_a_run_does_not_change_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text(0))
    config = on_file(tmp_path)
    expected = data_source(config)
    record = train(config, callback=lambda now: (tmp_path / "a.txt").write_text(text(1)) and None)
    assert record is not None
    assert (record.data["digest"], record.data["identity"]) == (expected.training_digest, expected.identity)


def test_a_folder_replaced_during_a_run_does_not_change_the_record(tmp_path: Path) -> None:
    write_folder("qrsu", tmp_path / "data", configs=["easy"], **SIZES)
    config = on_folder(tmp_path, epochs=1)
    digest = data_source(config).training_digest

    def replaced(now: Any) -> None:
        write_folder("qrsu", tmp_path / "data", configs=["easy"], seed=3, overwrite=True, **SIZES)

    record = train(config, callback=replaced)
    assert record is not None
    assert (record.data["digest"], record.data["seed"]) == (digest, 0)


def test_streams_and_published_splits_have_an_identity_that_no_seed_changes() -> None:
    found = {}
    for task_id in ("qrsu/easy", "qrsu/hard", "echo/step3", "row_images/digits8"):
        for data in ("stream", "splits"):
            if (task_id, data) in (("qrsu/hard", "splits"), ("row_images/digits8", "stream")):
                continue  # many rows, so they are not generated
            model = "lstm"
            configs = [TrainConfig(task=task_id, output_dir=Path("x"), data=data, model=model, seed=n) for n in (0, 1)]
            one, two = (content_identity(data_source(config)) for config in configs)
            assert one == two
            found[task_id, data] = one
    assert len(set(found.values())) == len(found)


def test_a_checkpoint_of_an_earlier_seqhub_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text(text(0))
    save = checkpoints.save
    monkeypatch.setattr(checkpoints, "save", lambda folder, tensors, metadata: save(folder, tensors, old(metadata)))

    def old(metadata: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in metadata.items() if name != "data"}

    stopped(on_file(tmp_path))
    with pytest.raises(
        InvalidConfigError, match="was saved by an earlier seqhub, without the identity of its data; give"
    ):
        train(on_file(tmp_path), resume=True)


def test_a_run_whose_rate_depends_on_its_length_keeps_its_length(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"task": "qrsu/easy", "output_dir": tmp_path / "run", "max_sequences": 640, **SMALL}
    config = TrainConfig(**settings | {"schedule": "cosine"})
    stopped(config)
    with pytest.raises(InvalidConfigError, match="max_sequences=640 there and 960 here"):
        train(replace(config, max_sequences=960), resume=True)
    train(replace(config, checkpoint_every=3200), resume=True)


def test_a_run_on_a_file_with_the_old_split_rule_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text(0))
    train(on_file(tmp_path, epochs=1))
    record = RunRecord.load(tmp_path / "run")
    for name in ("split_rule", "identity", "statistics"):
        del record.data[name]
    record.save(tmp_path / "run")
    for evaluation in (lambda: evaluate(tmp_path / "run", data=tmp_path / "a.txt"),
                    lambda: verify(tmp_path / "run", dataset=tmp_path / "a.txt")):  # fmt: skip
        with pytest.raises(
            InvalidInputError, match=r"^run on a\.txt with split_rule 1 of an earlier seqhub; this one has"
        ):
            evaluation()


def test_a_run_on_another_version_of_its_task_is_not_evaluated(tmp_path: Path) -> None:
    train(TrainConfig(task="qrsu/easy", output_dir=tmp_path, **SMALL | {"max_sequences": 32}))
    record = RunRecord.load(tmp_path)
    record.data["task_version"] = 0
    record.save(tmp_path)
    with pytest.raises(InvalidInputError, match=r"^run on version 0 of qrsu; this seqhub has version"):
        evaluate(tmp_path)


def seed_record(folder: Path, seed: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"seed-{seed}" / "run.json").read_text())
    return found


@native
def test_a_resumed_sweep_rejects_other_data_and_other_test_rows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text(0))
    config = on_file(tmp_path, output_dir=tmp_path / "sweep", epochs=1)
    sweep(config, [0], threads=1, test_rows=3)
    (tmp_path / "a.txt").write_text(text(1))
    with pytest.raises(
        InvalidConfigError, match=r"seed-0/run\.json belongs to another run: its data were a\.txt with content"
    ):
        sweep(config, [0, 1], threads=1, test_rows=3, resume=True)
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").write_text(text(0))
    config = replace(config, data=str(tmp_path / "b.txt"))
    for rows in (0, 6):
        with pytest.raises(InvalidConfigError, match=f"test_rows=3 there and {rows} here"):
            sweep(config, [0, 1], threads=1, test_rows=rows, resume=True)
    record = sweep(config, [0, 1], threads=1, test_rows=3, resume=True)
    assert [run["seed"] for run in record.runs] == [0, 1]
    assert not (tmp_path / "sweep" / ".seed-0").exists()


@native
def test_a_sweep_without_test_rows_is_not_resumed_with_test_rows(tmp_path: Path) -> None:
    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path / "sweep", **SMALL | {"max_sequences": 160})
    sweep(config, [0], threads=1, test_rows=0)
    with pytest.raises(InvalidConfigError, match="test_rows=0 there and 16 here"):
        sweep(config, [0], threads=1, test_rows=16, resume=True)


@native
def test_a_sweep_does_not_mix_torch_and_native_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path / "sweep", **SMALL | {"max_sequences": 160})
    sweep(config, [0], threads=1, test_rows=16)
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    with pytest.raises(InvalidConfigError, match="native=True there and False here"):
        sweep(config, [0, 1], threads=1, test_rows=16, resume=True)


def measured(folder: Path, seed: int) -> dict[str, Any]:
    record = seed_record(folder, seed)
    return {name: record[name] for name in ("criteria", "data", "evaluation", "sequences_seen", "training")}


@pytest.mark.parametrize("kernels", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_models_that_were_not_saved_are_trained_again_for_keep_models(
    kernels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "1" and reason() is not None:
        pytest.skip("no native library")
    monkeypatch.setenv("SEQHUB_KERNELS", kernels)
    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path / "sweep", **SMALL | {"max_sequences": 160})
    first = sweep(config, [0], threads=1, test_rows=16)
    before = measured(tmp_path / "sweep", 0)
    again = sweep(config, [0], threads=1, test_rows=16, keep_models=True, resume=True)
    assert measured(tmp_path / "sweep", 0) == before
    assert again.summary == first.summary
    assert {"model.safetensors", "config.json", "run.json"} <= {
        p.name for p in (tmp_path / "sweep" / "seed-0").iterdir()
    }
    made = (tmp_path / "sweep" / "seed-0" / "run.json").stat().st_mtime_ns
    sweep(config, [0], threads=1, test_rows=16, resume=True)
    assert (tmp_path / "sweep" / "seed-0" / "run.json").stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "sweep").iterdir() if path.name.startswith(".")] == []


def test_a_torch_run_without_a_saved_model_is_repeated_in_a_temporary_folder(tmp_path: Path) -> None:
    config = TrainConfig(task="qrsu/easy", output_dir=tmp_path, **SMALL | {"max_sequences": 160})
    plan = SweepPlan(config=config, seeds=(0,), threads=1, test_rows=16, identity=data_source(config).identity)
    train_one(plan, 0)
    before = measured(tmp_path, 0)
    assert sorted(path.name for path in (tmp_path / "seed-0").iterdir()) == ["history.jsonl", "run.json"]
    train_one(replace(plan, keep_models=True), 0)
    assert measured(tmp_path, 0) == before
    assert (tmp_path / "seed-0" / "model.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["seed-0"]
    with pytest.raises(InvalidConfigError, match=r"^stream was replaced during the sweep: content 0{16} before"):
        train_one(replace(plan, identity="0" * 64, keep_models=True), 0)


@native
def test_a_sweep_of_an_earlier_seqhub_continues_with_known_rows(tmp_path: Path) -> None:
    write_folder("qrsu", tmp_path / "data", configs=["easy"], **SIZES)
    for name, config in (
        ("stream", TrainConfig(task="qrsu/easy", output_dir=tmp_path / "stream", **SMALL | {"max_sequences": 160})),
        ("folder", on_folder(tmp_path, output_dir=tmp_path / "folder", epochs=1)),
    ):
        sweep(config, [0], threads=1, test_rows=16)
        record = RunRecord.load(tmp_path / name / "seed-0")
        for key in ("identity", "statistics"):
            del record.data[key]
        del record.environment["native"]
        record.save(tmp_path / name / "seed-0")
        sweep(config, [0, 1], threads=1, test_rows=16, resume=True)
        record.data["digest"] = "0" * 64
        record.save(tmp_path / name / "seed-0")
        if name == "folder":
            with pytest.raises(InvalidConfigError, match="its training rows differ from those of data"):
                sweep(config, [0, 1], threads=1, test_rows=16, resume=True)

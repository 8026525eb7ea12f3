"""Sweeps: one run for each seed, natively and by torch, interrupted and resumed."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from seqhub.errors import InvalidConfigError, OutputExistsError, SaveError
from seqhub.evaluation.evaluate import evaluate
from seqhub.native.loader import reason
from seqhub.records import RunRecord, SweepRecord
from seqhub.sweeps.pool import StoppedError, Worker, WorkerDiedError
from seqhub.sweeps.slurm import Cluster
from seqhub.sweeps.sweep import FAILURE, SweepInterrupted, SweepProgress, sweep
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.train import train
from tests.helpers.cli_calls import call
from tests.helpers.training_processes import finish

native = pytest.mark.skipif(reason() is not None, reason="no native library")

SETTINGS: dict[str, Any] = {
    "task": "qrsu/easy",
    "initialization": "chrono",
    "chrono_max_steps": 8,
    "learning_rate": 0.02,
    "max_sequences": 6400,
    "evaluate_size": 1024,
    "cpu": True,
}


def config(folder: Path, **changes: Any) -> TrainConfig:
    return TrainConfig(output_dir=folder, **SETTINGS | changes)


def numbers(record: SweepRecord) -> list[dict[str, Any]]:
    """Return the result of each seed, without times."""
    return [{name: value for name, value in run.items() if name != "seconds"} for run in record.runs]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@native
def test_each_seed_equals_a_run_by_train_and_the_summary_has_all(tmp_path: Path) -> None:
    progress: list[SweepProgress] = []
    record = sweep(config(tmp_path / "all"), range(3, 7), threads=2, callback=progress.append)
    assert names(tmp_path / "all") == ["seed-3", "seed-4", "seed-5", "seed-6", "sweep.json"]
    assert names(tmp_path / "all" / "seed-4") == ["history.jsonl", "run.json"]
    assert SweepRecord.load(tmp_path / "all") == record
    assert progress[-1] == SweepProgress(total=4, done=4, solved=4, failed=0)

    runs = [RunRecord.load(tmp_path / "all" / f"seed-{seed}") for seed in range(3, 7)]
    counts = sorted(run.criteria["accuracy>=0.999"] or 0 for run in runs)
    assert record.summary["solved"] == 4
    assert record.summary["criteria"]["accuracy>=0.999"] == {
        "count": 4,
        "median": (counts[1] + counts[2]) / 2,
        "mean": sum(counts) / 4,
        "least": counts[0],
        "most": counts[3],
    }
    assert [each["seed"] for each in record.runs] == [run.seed for run in runs] == [3, 4, 5, 6]
    assert [each["test"]["accuracy"] for each in record.runs] == [run.evaluation["test"]["accuracy"] for run in runs]

    alone = train(config(tmp_path / "alone", seed=4))
    assert alone is not None
    for name in ("data", "criteria", "sequences_seen", "optimizer_steps", "num_parameters", "model_config", "training"):
        assert getattr(runs[1], name) == getattr(alone, name), name
    assert len(read_history(tmp_path / "all" / "seed-4")) == len(read_history(tmp_path / "alone"))


@native
def test_results_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    one, three = (sweep(config(tmp_path / str(n)), range(7), threads=n, test_rows=100) for n in (1, 3))
    assert numbers(one) == numbers(three)
    assert one.summary == three.summary


@native
def test_test_metrics_of_saved_models_equal_those_of_evaluate(tmp_path: Path) -> None:
    sweep(config(tmp_path), [0, 1], test_rows=500, keep_models=True)
    for seed in (0, 1):
        folder = tmp_path / f"seed-{seed}"
        ours = RunRecord.load(folder)
        assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(ours.files) <= set(names(folder))
        theirs = evaluate(folder, num_examples=500, sibling_examples=0).evaluation["test"]
        assert theirs.keys() == ours.evaluation["test"].keys()
        for name, value in theirs.items():
            close = pytest.approx(value, rel=1e-5) if isinstance(value, float) else value
            assert ours.evaluation["test"][name] == close, name


@native
def test_a_finished_sweep_is_returned_and_additional_seeds_are_added(tmp_path: Path) -> None:
    first = sweep(config(tmp_path), range(2), test_rows=0)
    modified = (tmp_path / "seed-0" / "run.json").stat().st_mtime_ns
    assert sweep(config(tmp_path), range(2), test_rows=0, resume=True) == first
    more = sweep(config(tmp_path), range(4), test_rows=0, resume=True)
    assert [run["seed"] for run in more.runs] == [0, 1, 2, 3]
    assert numbers(more)[:2] == numbers(first)
    assert (tmp_path / "seed-0" / "run.json").stat().st_mtime_ns == modified
    assert "wall" in first.timings
    assert "wall" not in more.timings  # it did not train all seeds


@pytest.mark.slow
@native
def test_an_interrupted_sweep_keeps_finished_seeds_and_trains_the_others(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from seqhub.cli import main; main()", "sweep", "qrsu/easy", "--seeds", "60"]
    program += ["--threads", "2", "--output-dir", "all", "--stop-at", "none", "--quiet"]
    program += ["--max-sequences", "32000", "--evaluate-every", "3200", "--evaluate-size", "16"]
    process = subprocess.Popen(
        program, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    limit = time.monotonic() + 100
    while not list((tmp_path / "all").glob("seed-*/run.json")) and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "of 60 seeds" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    finished = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "all").glob("seed-*/run.json")}
    assert 0 < len(finished) < 60
    assert set(names(tmp_path / "all")) == set(finished)  # no incomplete folders, and no summary

    ended = subprocess.run([*program, "--resume"], cwd=tmp_path, text=True, capture_output=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    record = SweepRecord.load(tmp_path / "all")
    assert [run["seed"] for run in record.runs] == list(range(60))
    for name, modified in finished.items():
        assert (tmp_path / "all" / name / "run.json").stat().st_mtime_ns == modified


@native
def test_a_seed_that_ended_before_the_interruption_is_included(tmp_path: Path) -> None:
    """Ctrl-C during the callback of one seed, while the other seed ends: there is nothing to interrupt."""
    others = set(threading.enumerate())
    progress: list[SweepProgress] = []

    def callback(now: SweepProgress) -> None:
        progress.append(now)
        if now.done == 1:
            signal.raise_signal(signal.SIGINT)
            for thread in set(threading.enumerate()) - others:
                thread.join(60)

    try:
        record = sweep(config(tmp_path), [0, 1], threads=1, test_rows=0, callback=callback)
    except SweepInterrupted as stop:  # a KeyboardInterrupt, which would end pytest
        pytest.fail(str(stop))
    assert [run["seed"] for run in record.runs] == [0, 1]
    assert [now.done for now in progress] == [1, 2]


@native
def test_diverging_seeds_are_failed_seeds_of_a_finished_sweep(tmp_path: Path) -> None:
    wild = {"initialization": "default", "chrono_max_steps": None, "model": "rnn_relu", "optimizer": "sgd"}
    wild |= {"learning_rate": 12.0, "max_grad_norm": 0.0, "max_sequences": 640, "stop_at": "none"}
    progress: list[SweepProgress] = []
    record = sweep(config(tmp_path, **wild), range(24), test_rows=64, callback=progress.append)
    failed = sorted(int(seed) for seed in record.failed)
    assert 0 < len(failed) < 24
    assert progress[-1].failed == len(failed)
    assert sorted([run["seed"] for run in record.runs] + failed) == list(range(24))
    for seed in failed:
        assert names(tmp_path / f"seed-{seed}") == [FAILURE]
        assert "loss is" in record.failed[str(seed)]

    with pytest.raises(InvalidConfigError, match=r"^all 2 seeds failed; seed 0: loss is .*lower learning_rate"):
        sweep(config(tmp_path / "none", **wild | {"learning_rate": 3e38}), range(2))


@native
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, "seeds=0: must be 1 to 1,000,000"),
        ({"seeds": [1, 1]}, "seeds: must be different; given several times: 1"),
        ({"seeds": [2**63]}, "must be a number of 64 bits"),
        ({"test_rows": -1}, "test_rows=-1: must be 0 to"),
        ({"threads": 2000}, "threads=2000: must be 1 to 1,024"),
        ({"threads": 0}, "threads=0: must be 1 to 1,024"),
    ],
)
def test_invalid_settings_are_rejected_before_a_folder_is_made(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        sweep(config(tmp_path / "all"), **{"seeds": [0], **changes})
    assert not (tmp_path / "all").exists()


@native
def test_folders_with_other_files_or_settings_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"notes is not empty"):
        sweep(config(tmp_path / "notes"), [0], resume=True)
    sweep(config(tmp_path / "all"), [0], test_rows=0)
    with pytest.raises(OutputExistsError, match="--resume"):
        sweep(config(tmp_path / "all"), [0], test_rows=0)
    with pytest.raises(InvalidConfigError, match=r"learning_rate=0\.02 there and 0\.01 here"):
        sweep(config(tmp_path / "all", learning_rate=0.01), [0, 1], test_rows=0, resume=True)
    assert names(tmp_path / "all") == ["seed-0", "sweep.json"]


@native
def test_an_incomplete_record_is_replaced(tmp_path: Path) -> None:
    whole = sweep(config(tmp_path), [0, 1], test_rows=64)
    path = tmp_path / "seed-1" / "run.json"
    path.write_text(path.read_text()[:100])
    assert numbers(sweep(config(tmp_path), [0, 1], test_rows=64, resume=True)) == numbers(whole)


@native
def test_a_folder_that_cannot_be_made_is_an_error_and_finished_seeds_are_kept(tmp_path: Path) -> None:
    whole = sweep(config(tmp_path), [0], test_rows=64)
    (tmp_path / ".seed-1").write_text("in the way")
    with pytest.raises(SaveError, match=r"cannot write .*seed-1: File exists"):
        sweep(config(tmp_path), [0, 1], threads=1, test_rows=64, resume=True)
    assert RunRecord.load(tmp_path / "seed-0").criteria == whole.runs[0]["criteria"]


@native
def test_the_command_prints_a_table_json_or_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["sweep", "qrsu/easy", "--seeds", 2, "--first-seed", 5, "--test-rows", 64]
    table = call(*command)
    assert table.code == 0, table.err
    assert "2 of 2 seeds solved (accuracy>=0.999)" in table.out
    assert names(tmp_path / "runs" / "qrsu-easy-lstm-sweep") == ["seed-5", "seed-6", "sweep.json"]
    assert json.loads(call(*command, "--resume", "--json").out)["summary"]["seeds"] == 2
    assert call(*command, "--resume", "--quiet").out == "runs/qrsu-easy-lstm-sweep\n"
    for wrong, message in (
        (["--seeds", 0], "seeds 0"),
        (["--engine", "ray"], "no engine 'ray'; known: local, submitit"),
        (["--jobs", "3"], "--jobs with --engine local: only for --engine submitit"),
        (["--job-option", "slurm_partition=cpu"], "--job-option with --engine local: only for --engine submitit"),
    ):
        ended = call(*command, *wrong)
        assert ended.code == 2
        assert message in ended.err


@pytest.mark.slow
def test_without_the_native_library_processes_train_the_same_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(tmp_path / "torch", max_sequences=640, stop_at="none")
    monkeypatch.setenv("SEQHUB_KERNELS", "0")
    record = sweep(settings, [0, 1], threads=1, test_rows=64)
    assert not record.native
    assert names(tmp_path / "torch" / "seed-1") == ["history.jsonl", "run.json"]
    monkeypatch.delenv("SEQHUB_KERNELS")
    if reason() is None:
        same = sweep(replace(settings, output_dir=tmp_path / "native"), [0, 1], test_rows=64)
        assert same.native
        for ours, theirs in zip(same.runs, record.runs, strict=True):
            assert ours["criteria"] == theirs["criteria"]
            assert ours["test"] == pytest.approx(theirs["test"], rel=0.05, abs=0.05)


def test_a_worker_that_ends_unexpectedly_is_restarted() -> None:
    worker = Worker()
    try:
        with pytest.raises(WorkerDiedError, match="exit code 3"):
            worker.run(os._exit, 3)
        with pytest.raises(WorkerDiedError, match="signal SIGKILL"):
            worker.run(signal.raise_signal, signal.SIGKILL)
        with pytest.raises(WorkerDiedError, match="ZeroDivisionError"):
            worker.run(divmod, 1, 0)
        with pytest.raises(StoppedError):
            worker.run(time.sleep, 60, stopped=lambda: True)
        worker.run(divmod, 1, 1)
    finally:
        worker.close()


@native
@pytest.mark.slow
def test_jobs_of_submitit_train_the_same_runs(tmp_path: Path) -> None:
    jobs = Cluster(jobs=2, options={"timeout_min": 5}, cluster="local")
    far = sweep(config(tmp_path / "far"), range(5), threads=1, test_rows=64, run=jobs)
    near = sweep(config(tmp_path / "near"), range(5), test_rows=64)
    assert numbers(far) == numbers(near)


@native
@pytest.mark.slow
def test_seeds_of_a_killed_job_are_failed(tmp_path: Path) -> None:
    settings = config(tmp_path, stop_at="none", max_sequences=100_000_000)
    found: list[BaseException] = []

    def make() -> None:
        try:
            sweep(settings, range(2), threads=1, run=Cluster(options={"timeout_min": 5}, cluster="local"))
        except InvalidConfigError as error:
            found.append(error)

    thread = threading.Thread(target=make)
    before = set(psutil.Process().children(recursive=True))
    thread.start()
    limit = time.monotonic() + 60
    while thread.is_alive():
        assert time.monotonic() < limit
        for process in set(psutil.Process().children(recursive=True)) - before:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.05)
    assert "all 2 seeds failed; seed 0: job" in str(found[0])
    assert "without this seed" in (tmp_path / "seed-1" / FAILURE).read_text()


def test_unknown_options_of_submitit_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"job options \{'nope': 1\}"):
        sweep(config(tmp_path), range(2), run=Cluster(options={"nope": 1}, cluster="local"))


WITHOUT_GUARD = """
from pathlib import Path
from seqhub.training.config import TrainConfig
from seqhub.{module} import {function}

{call}
"""
SETTINGS_OF_A_SCRIPT = "output_dir=Path('runs'), hidden_size=2, max_sequences=32, evaluate_size=32, precision='bf16'"
CALLS = {
    "sweep": ("sweeps.sweep", f"sweep(TrainConfig(task='qrsu/easy', {SETTINGS_OF_A_SCRIPT}), range(2), threads=2)"),
    "train": ("training.train", f"train(TrainConfig(task='qrsu/easy', {SETTINGS_OF_A_SCRIPT}))"),
}


def script(folder: Path, *names: str) -> tuple[int, str, str]:
    """Run a script without a main guard that calls these functions, one after the other."""
    text = "".join(
        WITHOUT_GUARD.format(module=CALLS[n][0], function=n, call=CALLS[n][1].replace("runs", n)) for n in names
    )
    (folder / "script.py").write_text(text)
    command = [sys.executable, "script.py"]
    with subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        return finish(process)


@pytest.mark.slow  # three processes import torch; the test below is fast
@pytest.mark.parametrize("names", [("sweep",), ("train", "sweep")], ids=" and ".join)
def test_a_script_without_a_main_guard_is_an_error(tmp_path: Path, names: tuple[str, ...]) -> None:
    code, _, errors = script(tmp_path, *names)
    assert code != 0
    assert errors.count("MissingGuardError: ") == 1
    assert errors.splitlines()[-1].endswith(
        'put the statements of the script under a line `if __name__ == "__main__":`'
    )
    assert errors.count("Traceback") == 1  # in the script itself, not in its processes
    assert not (tmp_path / "sweep").exists()


def test_a_process_that_imports_its_script_does_not_start_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    for start in (lambda: sweep(config(tmp_path / "run"), range(2)), lambda: train(config(tmp_path / "run"))):
        with pytest.raises(SystemExit, match="87"):
            start()
    assert not any(tmp_path.iterdir())


@native
def test_a_full_disk_keeps_finished_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native run does not have a checkpoint, so --resume repeats it."""
    from seqhub.training import native_files

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    config = TrainConfig(
        task="qrsu/easy", output_dir=tmp_path / "run", hidden_size=2, max_sequences=32, evaluate_size=32
    )
    monkeypatch.setattr(native_files, "write_native_model", full)
    with pytest.raises(SaveError, match="No space left on device; finished seeds are kept; --resume repeats this one"):
        sweep(config, range(2), threads=1, test_rows=32, keep_models=True)
    monkeypatch.undo()
    record = sweep(config, range(2), threads=1, test_rows=32, keep_models=True, resume=True)
    assert record.summary["seeds"] == 2

"""Launchers: rejected launches, settings that apply, and the lock of a folder."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seqhub.errors import InvalidConfigError, OutputExistsError, UnknownNameError
from seqhub.sweeps.lr_range import lr_range
from seqhub.sweeps.sweep import sweep
from seqhub.training.config import TrainConfig
from seqhub.training.folder_lock import folder_lock
from seqhub.training.launch import Launch, launch, notes_on_settings
from seqhub.training.train import train
from tests.helpers.training_processes import finish, launch_two, start_processes
from tests.training.test_resume import arguments

SHORT: dict[str, Any] = {"hidden_size": 2, "max_sequences": 32, "evaluate_size": 32, "stop_at": "none"}
TORCH = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
ACCELERATE = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_USE_CPU": "True"}
VARIABLES = {*TORCH, *ACCELERATE, "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}


def config(folder: Path, **settings: Any) -> TrainConfig:
    return TrainConfig(task="qrsu/easy", output_dir=folder, **SHORT | settings)


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, Launch(1, 0)),
        (TORCH, Launch(2, 1)),
        ({"PMI_SIZE": "3", "PMI_RANK": "2"}, Launch(3, 2)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, Launch(2, 1)),
        ({"RANK": "1", "WORLD_SIZE": "1"}, Launch(1, 0)),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "8"}, Launch(1, 0)),  # a job with one task, or its batch script
        (ACCELERATE, Launch(1, 0)),
        (TORCH | ACCELERATE, Launch(2, 1)),
    ],
)
def test_processes_of_the_launcher_are_detected(
    variables: dict[str, str], found: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launch() == found


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"WORLD_SIZE": "2", "RANK": "0"},
            "^invalid variables of a launcher in the environment: RANK=0, WORLD_SIZE=2, LOCAL_RANK=, ",
        ),
        (ACCELERATE | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}, "^accelerate launch started one process"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "^SLURM_STEP_NUM_TASKS=4: srun started 4 processes, and each would"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "^ACCELERATE_USE_DEEPSPEED=true of the launcher: not supported"),
        ({"ACCELERATE_USE_FSDP": "true"}, "^ACCELERATE_USE_FSDP=true of the launcher: not supported"),
        ({"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, "^ACCELERATE_DYNAMO_BACKEND=INDUCTOR of the launcher"),
        (
            {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"},
            "_STEPS=4 of the launcher: not supported by seqhub; use --accumulation-steps instead$",
        ),
    ],
)
def test_launches_that_would_train_otherwise_are_rejected(
    tmp_path: Path, variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfigError, match=message) as caught:
        train(config(tmp_path / "run"))
    assert "\n" not in str(caught.value)
    with pytest.raises(InvalidConfigError, match=message):
        sweep(config(tmp_path / "run"), range(2))
    assert not any(tmp_path.iterdir())


def test_programs_of_one_process_are_rejected_in_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCH.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidConfigError, match=r"^a sweep in 2 processes: must be one process"):
        sweep(config(tmp_path / "run"), range(2))
    with pytest.raises(InvalidConfigError, match=r"^a learning.rate range test in 2 processes"):
        lr_range(config(tmp_path / "run"))
    assert not any(tmp_path.iterdir())


def test_settings_of_the_launcher_apply_and_are_in_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    record = train(config(tmp_path / "run"))
    assert record is not None
    assert (record.training["precision"], record.training["cpu"]) == ("bf16", True)
    record = train(config(tmp_path / "other", precision="no", cpu=False))  # settings of the user take precedence
    assert record is not None
    assert (record.training["precision"], record.training["cpu"]) == ("no", False)
    losses = [json.loads((tmp_path / each / "history.jsonl").read_text())["loss"] for each in ("run", "other")]
    assert losses[0] != losses[1]
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(UnknownNameError, match="no precision 'fp16'; known: no, bf16"):
        config(tmp_path / "third")


def test_settings_that_override_the_launcher_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes_on_settings("bf16", cpu=False, threads=1) == []
    for name, value in {"ACCELERATE_MIXED_PRECISION": "bf16", "ACCELERATE_USE_CPU": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert notes_on_settings("bf16", cpu=True, threads=1) == []
    assert notes_on_settings("no", cpu=True, threads=1) == ["precision no overrides bf16 of the launcher"]
    assert notes_on_settings("bf16", cpu=False, threads=1) == ["cpu False overrides --cpu of the launcher"]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert notes_on_settings("bf16", cpu=True, threads=1) == [
        "threads 1 overrides 4 of the launcher; use them by --threads 4"
    ]
    assert notes_on_settings("bf16", cpu=True, threads=2) == []


HOLDER = """
import sys
from pathlib import Path
from seqhub.training.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start another process that locks the folder `run`."""
    (tmp_path / "run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_folder_has_one_writer(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    """The lock ends with its process, also if this is killed, and there is no lock file."""
    for resume in (False, True):
        with pytest.raises(OutputExistsError, match="run is in use by another process; wait for its end, or give"):
            train(config(tmp_path / "run"), resume=resume)
        with pytest.raises(OutputExistsError, match="run is in use by another process"):
            sweep(config(tmp_path / "run"), range(2), resume=resume)
    assert not any((tmp_path / "run").iterdir())
    holder.kill()
    holder.wait(60)
    assert train(config(tmp_path / "run")) is not None


def test_a_run_locks_its_folder_until_its_end(tmp_path: Path) -> None:
    def check(now: Any) -> None:
        with pytest.raises(OutputExistsError), folder_lock(tmp_path / "run"):
            raise AssertionError("the folder is not locked")

    assert train(config(tmp_path / "run"), callback=check) is not None
    with folder_lock(tmp_path / "run"):
        pass


def test_a_sweep_locks_its_folder(tmp_path: Path) -> None:
    def check(now: Any) -> None:
        with pytest.raises(OutputExistsError), folder_lock(tmp_path / "run"):
            raise AssertionError("the folder is not locked")

    sweep(config(tmp_path / "run"), range(2), threads=1, test_rows=32, callback=check)


@pytest.mark.slow  # each process imports torch; the variables of launchers are tested above
@pytest.mark.parametrize("mistake", ["fp16", "unknown option", "taken folder"])
def test_processes_that_fail_together_print_one_message(tmp_path: Path, mistake: str) -> None:
    wrong = {
        "fp16": ["--precision=fp16"],
        "unknown option": ["--precison=no"],
        "taken folder": [],
    }
    if mistake == "taken folder":
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("...")
    process = launch_two("torchrun", [*arguments("run", max_sequences=640), *wrong[mistake], "--cpu"], folder=tmp_path)
    code, _, errors = finish(process)
    assert code != 0
    messages = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1, errors


@pytest.mark.slow  # as above
def test_torchrun_without_cpu_trains_one_run(tmp_path: Path) -> None:
    """On a machine without a GPU both processes use the CPU, and one line reports it."""
    import torch

    if torch.accelerator.is_available():
        pytest.skip("this machine has a GPU, so torchrun needs no --cpu")
    code, _, errors = finish(launch_two("torchrun", arguments("run", max_sequences=640), folder=tmp_path))
    assert code == 0, errors
    assert errors.count("note: no GPU was found; 2 processes train on the CPU") == 1
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["processes"], record["training"]["cpu"]) == (2, True)


@pytest.mark.slow  # as above
def test_accelerate_launch_of_two_processes_that_starts_one_is_rejected(tmp_path: Path) -> None:
    command = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=2", "--num_machines=1"]
    rest = ["--mixed_precision=no", "--dynamo_backend=no", "-m", "seqhub.training", *arguments("run")]
    with closing(_Program([sys.executable, *command, *rest], tmp_path)) as program:
        code, errors = program.end()
    assert code != 0
    messages = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1
    assert "accelerate launch started one process instead of several" in messages[0]
    assert not (tmp_path / "run").exists()


class _Program:
    def __init__(self, command: list[str], folder: Path) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def end(self) -> tuple[int, str]:
        code, _, errors = finish(self.process)
        return code, errors

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)


def test_processes_without_a_launcher_end_when_one_fails(tmp_path: Path) -> None:
    """Only the first process checks the folder, which is not empty: the other one ends too, without a message."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("...")
    both = start_processes(2, arguments("run", max_sequences=640), folder=tmp_path)
    ended = [finish(each, seconds=60) for each in both]
    assert all(code != 0 for code, _, _ in ended)
    assert sum(errors.count("error: ") for _, _, errors in ended) == 1
    assert not any("Traceback" in errors for _, _, errors in ended)

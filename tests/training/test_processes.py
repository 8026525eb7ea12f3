"""Two real processes over gloo on the CPU."""

import json
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqhub.training import checkpoints
from tests.training.processes import end_group, finish, free_port, run, run_two, start_two, wait_for
from tests.training.test_resume import arguments, what_was_learnt

SHORT = {"max_sequences": 1280, "checkpoint_every": 320}


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    code, _, errors = run(arguments("one", **SHORT), folder=tmp_path)
    assert code == 0, errors
    run_two(arguments("two", **SHORT), folder=tmp_path)
    one, two = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("one", "two"))
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["data"] == two["data"]
    assert one["optimizer_steps"] == two["optimizer_steps"]
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, tensor in weights[0].items():  # the same global batches give the same gradients, to rounding
        torch.testing.assert_close(tensor, weights[1][name], rtol=1e-3, atol=1e-3)


LONGER = SHORT | {"max_sequences": 9600}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that nothing stops."""
    folder = tmp_path_factory.mktemp("whole")
    run_two(arguments("run", **LONGER), folder=folder)
    return folder / "run"


@pytest.mark.parametrize("how", ["Ctrl-C", pytest.param("power cut", marks=pytest.mark.slow)])  # slow: a minute each
def test_two_processes_are_stopped_and_go_on_bit_by_bit(tmp_path: Path, whole: Path, how: str) -> None:
    process = start_two(arguments("run", **LONGER), folder=tmp_path)
    wait_for(tmp_path / "run" / checkpoints.FILE_NAME, process)
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)  # torchrun passes it on, and waits
        _, _, errors = finish(process)
        assert "--resume goes on from there" in errors
    else:
        end_group(process)
        finish(process)
    assert (tmp_path / "run" / checkpoints.FILE_NAME).exists()
    assert not (tmp_path / "run" / "run.json").exists()

    run_two([*arguments("run", **LONGER), "--resume"], folder=tmp_path)
    assert what_was_learnt(tmp_path / "run") == what_was_learnt(whole)


def test_accelerate_launch_runs_two_processes(tmp_path: Path) -> None:
    """Plain `accelerate launch --cpu --num_processes 2` would run one; so the record is asked, not the command."""
    import subprocess
    import sys

    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    options = [
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        str(free_port()),
    ]
    command = [*launcher, *options, "-m", "seqhub.training", *arguments("run", **SHORT), "--cpu"]
    process = subprocess.Popen(
        command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    code, _, errors = finish(process)
    assert code == 0, errors
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2

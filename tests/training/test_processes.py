"""Runs of two processes on the CPU, connected by gloo."""

import json
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqhub.training import checkpoints
from tests.helpers.training_processes import end_group, finish, launch_two, run, run_two, wait_for
from tests.training.test_resume import arguments, run_results

SHORT = {"max_sequences": 1280, "checkpoint_every": 320}


def test_two_processes_learn_the_same_as_one(tmp_path: Path) -> None:
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
    """Return the folder of an uninterrupted run of two processes."""
    folder = tmp_path_factory.mktemp("whole")
    run_two(arguments("run", **LONGER), folder=folder)
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "how"),
    [("accelerate", "Ctrl-C"), ("torchrun", "kill")],
)
def test_a_resumed_run_of_two_processes_equals_an_uninterrupted_one(
    tmp_path: Path, whole: Path, launcher: str, how: str
) -> None:
    process = launch_two(launcher, [*arguments("run", **LONGER), "--cpu"], folder=tmp_path)
    wait_for(tmp_path / "run" / checkpoints.FILE_NAME, process)
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)  # the launcher forwards it and waits
        _, _, errors = finish(process)
        assert "run the same command with --resume" in errors
    else:
        end_group(process)
        finish(process)
    assert (tmp_path / "run" / checkpoints.FILE_NAME).exists()
    assert not (tmp_path / "run" / "run.json").exists()
    _, metadata = checkpoints.load(tmp_path / "run")
    assert metadata["config"]["processes"] == 2  # plain `accelerate launch --cpu --num_processes 2` would run one

    run_two([*arguments("run", **LONGER), "--resume"], folder=tmp_path)
    assert run_results(tmp_path / "run") == run_results(whole)


@pytest.mark.slow  # each process imports torch; the tests above cover both parts
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_a_launcher_runs_two_processes_to_the_end(tmp_path: Path, launcher: str) -> None:
    code, _, errors = finish(launch_two(launcher, [*arguments("run", **SHORT), "--cpu"], folder=tmp_path))
    assert code == 0, errors
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2

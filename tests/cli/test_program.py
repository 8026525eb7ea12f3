"""The installed program in processes of its own: signals, pipes and streams."""

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import Made
from tests.helpers.cli_calls import PROGRAM, SECONDS, default_interrupt, finish, program, start, tree

MANY = "1000000"  # rows that take longer than the time limit of a test


def wait_for(pattern: str, folder: Path, process: subprocess.Popen[str]) -> None:
    """Return as soon as the running process has made a file of that name."""
    deadline = time.monotonic() + SECONDS
    while not any(folder.glob(pattern)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
            raise AssertionError(f"exit code {process.returncode} before there was a file {pattern}")
        assert time.monotonic() < deadline, f"no {pattern} after {SECONDS} s"


def test_the_program_is_installed_and_runs(tmp_path: Path) -> None:
    ended = program("tasks", "ls", "--quiet", folder=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "qrsu/hard" in ended.out.splitlines()


def test_ctrl_c_during_a_build_leaves_no_files(tmp_path: Path) -> None:
    process = start("data", "build", "qrsu", "--out", "new", "--train-size", MANY, folder=tmp_path)
    wait_for(".new.part-*", tmp_path, process)
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "", "error: stopped\n")
    assert tree(tmp_path) == {}


@pytest.mark.slow
def test_a_killed_build_leaves_no_dataset_and_the_next_build_cleans_up(tmp_path: Path) -> None:
    process = start("data", "build", "qrsu", "--out", "new", "--train-size", MANY, folder=tmp_path)
    wait_for(".new.part-*", tmp_path, process)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    sizes = ["--train-size", "5", "--validation-size", "5", "--test-size", "5"]
    ended = program("data", "build", "qrsu", "--config", "easy", "--out", "new", *sizes, "--quiet", folder=tmp_path)
    assert ended == (0, "new\n", "")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


@pytest.mark.slow
def test_ctrl_c_during_an_evaluation_does_not_change_the_record(run: Path) -> None:
    before = tree(run)
    log = run.parent / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [PROGRAM, "evaluate", run, "--num-examples", MANY], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            start_new_session=True, env={"FORCE_COLOR": "1", "PATH": ""}, preexec_fn=default_interrupt,
        )  # fmt: skip
        deadline = time.monotonic() + SECONDS
        while "evaluating on" not in log.read_text(
            errors="replace"
        ):  # with FORCE_COLOR the spinner is drawn into the file
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
                raise AssertionError(log.read_text())
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=SECONDS) == 130
    assert log.read_text().endswith("error: stopped\n")
    assert "Traceback" not in log.read_text()
    assert tree(run) == before


def test_a_closed_pipe_ends_a_command_without_a_message(tmp_path: Path) -> None:
    for arguments in ("tasks ls", "tasks ls --json", "tasks show qrsu/hard -q", "--help", "train --help"):
        process = start(*arguments.split(), folder=tmp_path)
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        assert finish(process) == (141, None, ""), arguments


def test_a_full_disk_behind_standard_output_is_an_error(tmp_path: Path) -> None:
    for arguments in ("tasks ls", "tasks ls --json", "--version"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [PROGRAM, *arguments.split()],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        assert (done.returncode, done.stderr) == (2, "error: [Errno 28] No space left on device\n")


def test_commands_run_with_closed_streams(tmp_path: Path) -> None:
    for line in ("tasks ls >&-", "tasks ls >&- 2>&-", "nonsense 2>&-"):
        done = subprocess.run(["sh", "-c", f"'{PROGRAM}' {line}"], capture_output=True, timeout=SECONDS, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (2 if "nonsense" in line else 0, b"", b"")


@pytest.mark.slow
def test_errors_are_one_line_also_if_libraries_print(made: Made, tmp_path: Path) -> None:
    """transformers reports missing weights on standard error by handlers that a test in this process cannot see."""
    import json
    import shutil

    folder = Path(shutil.copytree(made.run, tmp_path / "run"))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 1}))
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"files": {}}))
    ended = program("evaluate", "run", folder=tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "do not fit together" in ended.err

"""Runs of the training command in processes of their own, with a time limit for each process group."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.helpers import forked_process

SECONDS = 120
Run = subprocess.Popen[str] | forked_process.Process


def start(arguments: list[str], *, folder: Path, **variables: str) -> forked_process.Process:
    """Start `seqhub train`."""
    return forked_process.Process(["-m", "seqhub.training", *arguments], cwd=folder, env=os.environ | variables)


def launch_two(launcher: str, arguments: list[str], *, folder: Path) -> subprocess.Popen[str]:
    """Start two processes of `seqhub train` with torchrun or `accelerate launch`, in one process group."""
    launchers = {
        "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node=2"],
        "accelerate": [
            *("accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"),
            *("--mixed_precision=no", "--dynamo_backend=no", f"--main_process_port={free_port()}"),
        ],
    }
    return subprocess.Popen(
        [sys.executable, "-m", *launchers[launcher], "-m", "seqhub.training", *arguments], cwd=folder,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def free_port() -> int:
    """Return an unused port of the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def finish(process: Run, seconds: int = SECONDS) -> tuple[int, str, str]:
    """Return exit code and output; the whole process group is killed at the limit or afterwards."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end_group(process)
        output, errors = process.communicate(timeout=seconds)
        raise AssertionError(f"no end after {seconds} s; standard error:\n{errors}") from None
    end_group(process)
    return process.returncode, output, errors


def end_group(process: Run) -> None:
    """Kill the processes of one `start`; torchrun gives each of its workers a session of its own."""
    with suppress(psutil.NoSuchProcess):
        for descendant in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                descendant.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(path: Path, process: Run, seconds: int = SECONDS) -> None:
    """Return as soon as the running process has written to `path`."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
            raise AssertionError(f"exit code {process.returncode} before there was {path.name}")
        assert time.monotonic() < deadline, f"no {path.name} after {seconds} s"


def run(arguments: list[str], *, folder: Path) -> tuple[int, str, str]:
    """Run `seqhub train` to its end."""
    return finish(start(arguments, folder=folder))


def run_two(arguments: list[str], *, folder: Path) -> None:
    """Run two processes of `seqhub train` to a successful end; see `run_processes`."""
    run_processes(2, arguments, folder=folder)


def run_processes(number: int, arguments: list[str], *, folder: Path) -> None:
    """Run several processes of `seqhub train` to a successful end, in the environment of torchrun and accelerate."""
    try:
        for code, _, errors in map(finish, (processes := start_processes(number, arguments, folder=folder))):
            assert code == 0, errors
    finally:
        for each in processes:
            end_group(each)


def start_processes(number: int, arguments: list[str], *, folder: Path) -> list[forked_process.Process]:
    """Start several processes of `seqhub train`; see `run_processes`."""
    size = str(number)
    place = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        start([*arguments, "--cpu"], folder=folder, RANK=str(rank), LOCAL_RANK=str(rank), **place)
        for rank in range(number)
    ]

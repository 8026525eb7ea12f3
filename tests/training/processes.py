"""Runs of the training command in processes of their own, each group with a time limit."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

SECONDS = 120


def start(arguments: list[str], *, folder: Path, processes: int = 1) -> subprocess.Popen[str]:
    """Start `seqhub train` alone, or under torchrun; with its own process group."""
    command = [sys.executable, "-m", "seqhub.training"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command = [sys.executable, *launcher, "-m", "seqhub.training"]
        arguments = [*arguments, "--cpu"]
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def finish(process: subprocess.Popen[str], seconds: int = SECONDS) -> tuple[int, str, str]:
    """Exit code and output; the whole group is ended at the limit, and whatever is left of it afterwards."""
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end_group(process)
        output, errors = process.communicate()
        raise AssertionError(f"no end after {seconds} s; standard error:\n{errors}") from None
    end_group(process)
    return process.returncode, output, errors


def end_group(process: subprocess.Popen[str]) -> None:
    """Kill what one `start` began, and nothing else; torchrun gives each of its workers a session of its own."""
    with suppress(psutil.NoSuchProcess):
        for descendant in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                descendant.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def wait_for(path: Path, process: subprocess.Popen[str], seconds: int = SECONDS) -> None:
    """Return as soon as the running process has written something to `path`."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.stat().st_size):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
            raise AssertionError(f"ended with {process.returncode} before it wrote {path.name}")
        assert time.monotonic() < deadline, f"no {path.name} after {seconds} s"


def run(arguments: list[str], *, folder: Path, processes: int = 1) -> tuple[int, str, str]:
    return finish(start(arguments, folder=folder, processes=processes))

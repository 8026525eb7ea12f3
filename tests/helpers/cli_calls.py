"""Calls of the command line in this process and in others, and comparison of folders before and after."""

import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from seqhub.cli import main

SECONDS = 60
PROGRAM = Path(sys.executable).with_name("seqhub")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def call(*arguments: object) -> Ended:
    """Run `seqhub ARGUMENTS` in this process, at 80 columns."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["seqhub", *map(str, arguments)]),
        patch.object(sys.modules["__main__"], "__package__", ""),  # otherwise help names `python -m pytest`
        patch.dict(os.environ, {"COLUMNS": "80", "TERM": "dumb"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() returned without an exit code")


def output_of(*arguments: object) -> str:
    """Return the standard output of a command that must succeed."""
    ended = call(*arguments)
    assert ended.code == 0, ended.err
    return ended.out


def program(*arguments: object, folder: Path, seconds: int = SECONDS, **variables: str) -> Ended:
    """Run the installed program in a process of its own, as `start` does."""
    return finish(start(*arguments, folder=folder, **variables), seconds)


def default_interrupt() -> None:
    """Let Ctrl-C interrupt a child even if the tests run with SIGINT ignored, as under `nohup`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(*arguments: object, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the installed program in a process group of its own."""
    environment = os.environ | {"COLUMNS": "80", "HF_HUB_OFFLINE": "0", **variables}
    return subprocess.Popen(
        [PROGRAM, *(part if isinstance(part, bytes) else str(part) for part in arguments)],
        cwd=folder, env=environment, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=default_interrupt,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], seconds: int = SECONDS) -> Ended:
    """Return exit code and output; at the time limit the whole process group is killed."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"no end after {seconds} s: {process.communicate()[1]}") from None
    return Ended(process.returncode, out, err)


def assert_user_error(run: Callable[[], Ended], *, about: str, folder: Path, code: int = 2) -> None:
    """Check that a user error is one line on standard error that names it, and that no file changes.

    Args:
        run: The command.
        about: Fragments of the message, separated by " ... ".
        folder: Folder that must not change.
        code: Exit code.
    """
    before = tree(folder)
    ended = run()
    assert ended.code == code, ended
    assert ended.out == ""
    assert ended.err.startswith("error: "), ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    assert all(fragment in ended.err for fragment in about.split(" ... ")), (about, ended.err)
    assert tree(folder) == before


def user_error_faults(lines: Iterable[tuple[str, str]], command: Callable[[str], Ended], folder: Path) -> list[str]:
    """Return the faults of `assert_user_error` for many command lines and the fragments of their messages."""
    faults = []
    for line, about in lines:
        try:
            assert_user_error(partial(command, line), about=about, folder=folder)
        except AssertionError as fault:
            faults.append(f"{line}: {fault}")
    return faults


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and time of everything in a folder; of folders only the mode."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        size_and_time = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
        found[str(path)] = (status.st_mode, *size_and_time)
    return found


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Limit the size of files, like a full disk; the limit also holds for root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

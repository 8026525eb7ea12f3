"""The command line in this process and in one of its own; what a folder holds, before and after."""

import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
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
    """`seqhub ARGUMENTS` here, at 80 columns."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["seqhub", *map(str, arguments)]),
        patch.object(sys.modules["__main__"], "__package__", ""),  # or help would call itself `python -m pytest`
        patch.dict(os.environ, {"COLUMNS": "80", "TERM": "dumb"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            return Ended(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main must end with an exit code")


def well(*arguments: object) -> str:
    """Standard output of a command that must end well."""
    ended = call(*arguments)
    assert ended.code == 0, ended.err
    return ended.out


def program(*arguments: object, folder: Path, seconds: int = SECONDS, **variables: str) -> Ended:
    """The installed program in a process of its own, as `start` starts it."""
    return finish(start(*arguments, folder=folder, **variables), seconds)


def start(*arguments: object, folder: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the installed program, with a process group of its own."""
    environment = os.environ | {"COLUMNS": "80", "HF_HUB_OFFLINE": "0", **variables}
    return subprocess.Popen(
        [PROGRAM, *(part if isinstance(part, bytes) else str(part) for part in arguments)],
        cwd=folder, env=environment, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], seconds: int = SECONDS) -> Ended:
    """Exit code and output; at the limit the whole group is ended."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"no end after {seconds} s: {process.communicate()[1]}") from None
    return Ended(process.returncode, out, err)


def refused(run: Callable[[], Ended], *, about: str, folder: Path, code: int = 2) -> None:
    """A mistake is one line on standard error that names what is wrong, and leaves everything as it was."""
    before = tree(folder)
    ended = run()
    assert ended.code == code, ended
    assert ended.out == ""
    assert ended.err.startswith("error: "), ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.err
    assert about in ended.err
    assert tree(folder) == before


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Kind, size and time of everything in a folder; of folders only the kind."""
    found = {}
    for path in folder.rglob("*"):
        facts = path.lstat()
        known = (0, 0) if path.is_dir() else (facts.st_size, facts.st_mtime_ns)
        found[str(path)] = (facts.st_mode, *known)
    return found


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full after `size` bytes of a file; it stops root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

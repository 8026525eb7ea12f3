"""Process without the modules, functions and signals that Windows lacks, to run programs of seqhub in.

`python -m tests.helpers.without_posix -c PROGRAM` hides them from all libraries where this is possible, else from
seqhub, and then runs the text of a program.
"""

import argparse
import builtins
import os
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

MODULES = {"fcntl", "grp", "posix", "pwd", "resource", "termios", "tty"}
_OS = """chown fchmod fchown fdatasync fork forkpty getegid geteuid getgid getloadavg getpgid getpriority getuid killpg
lchown mkfifo mknod nice posix_fadvise pread preadv pwrite pwritev sched_getaffinity sched_setaffinity sendfile setpgid
setsid setuid sync sysconf uname wait WNOHANG O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_CLOEXEC"""
_SIGNAL = "alarm getitimer pthread_kill pthread_sigmask setitimer sigwait ITIMER_REAL SIGKILL SIGHUP SIGUSR1"
FUNCTIONS = {os: _OS.split(), signal: _SIGNAL.split(), socket: ["AF_UNIX", "recv_fds", "send_fds"]}


def hide() -> None:
    """Hide what Windows lacks from modules of seqhub."""
    real_import, real_open = builtins.__import__, os.open

    def checked_import(name: str, *rest: Any, **options: Any) -> ModuleType:
        given = rest[0] if rest else options.get("globals")
        if name in MODULES and _is_seqhub(given):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real_import(name, *rest, **options)

    def checked_open(path: Any, *rest: Any, **options: Any) -> int:
        if _is_seqhub(sys._getframe(1).f_globals) and Path(path).is_dir():
            raise PermissionError(13, "Permission denied", path)
        return real_open(path, *rest, **options)

    builtins.__import__ = checked_import
    os.open = checked_open
    for module, names in FUNCTIONS.items():
        _hide_from_seqhub(module, names)

    import seqhub.io  # loaded last, since it asks for fcntl

    seqhub.io.IS_WINDOWS = True


def _is_seqhub(values: dict[str, Any] | None) -> bool:
    return str((values or {}).get("__name__", "")).partition(".")[0] == "seqhub"


def _hide_from_seqhub(module: ModuleType, names: list[str]) -> None:
    """Replace the class of a module, so that seqhub does not find some of its names."""
    hidden = {name: module.__dict__.pop(name) for name in names if name in module.__dict__}

    class WithoutPosix(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name not in hidden or _is_seqhub(sys._getframe(1).f_globals):
                _missing(module, name)
            return hidden[name]

    module.__class__ = WithoutPosix


def _missing(module: ModuleType, name: str) -> NoReturn:
    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a program without what Windows lacks.")
    parser.add_argument("-c", dest="program", required=True, help="text of the program; its arguments follow")
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    sys.argv[1:] = given.arguments
    hide()
    exec(compile(given.program, "<program>", "exec"), {"__name__": "__main__"})

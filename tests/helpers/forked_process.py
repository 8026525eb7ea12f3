"""Processes that start quickly: forks of a process that has loaded the libraries, but not seqhub.

Each has memory, signals, streams, folder, environment and exit code of its own, but need not load torch and
transformers, which takes five seconds. Use `subprocess` to test a start without loaded libraries, with a launcher, or
with another home of the Hub's client.
"""

import atexit
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

LIBRARIES = [
    "accelerate.utils",
    "datasets",
    "jinja2",
    "matplotlib.pyplot",
    "torch._dynamo",
    "torch.distributed.tensor",
    "torch.utils.data",
    "transformers.distributed.fsdp",
    "transformers.generation.utils",
    "transformers.masking_utils",
    "transformers.modeling_utils",
    "transformers.pipelines",
]
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(LIBRARIES)


class Process:
    """`python ARGUMENTS` for `-c CODE ...` and `-m MODULE ...`, with the part of `subprocess.Popen` that tests need."""

    def __init__(self, arguments: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        self._streams = Path(tempfile.mkdtemp(dir=os.environ["HF_HOME"]))  # deleted with the home of the tests
        self._process = _CONTEXT.Process(target=_python, args=(arguments, cwd, env, self._streams))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs at the time limit.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the process and return its standard output and standard error."""
        self.wait(timeout)
        out, err = ((self._streams / name).read_text(errors="replace") for name in ("out", "err"))
        return out, err

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _python(arguments: list[str], folder: Path, environment: dict[str, str], streams: Path) -> None:
    assert "seqhub" not in sys.modules, "each process loads seqhub itself"
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, name in enumerate(("out", "err"), start=1):
        with (streams / name).open("w") as file:
            os.dup2(file.fileno(), number)
    kind, what, *rest = arguments
    sys.argv = [kind, *rest]
    sys.path.insert(0, "")
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()  # a fork of multiprocessing does not run them

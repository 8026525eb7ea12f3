"""Worker processes that train one run after the other, for runs that cannot train natively in threads."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from seqhub.errors import SeqhubError
from seqhub.training.main_guard import GUARD_CODE, MissingGuardError

_SECONDS = 0.1  # interval at which `stopped` is called


class WorkerDiedError(SeqhubError):
    """Worker process that ended during a call, or raised an error of another library."""


class StoppedError(Exception):
    """Call that was stopped before its end."""


class Worker:
    """Worker process, started with the first call and restarted after it has ended unexpectedly.

    Ctrl-C in the caller does not reach the process. It is stopped by SIGTERM, at which `train` saves a checkpoint.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None

    def run(self, work: Callable[..., None], *arguments: Any, stopped: Callable[[], bool] = lambda: False) -> None:
        """Call a function in the process, and wait until it returns.

        Args:
            work: Function of a module; it and its arguments are pickled.
            arguments: Positional arguments of the function.
            stopped: Called at intervals; once it returns True, the process gets SIGTERM.

        Raises:
            WorkerDiedError: The process ended, or the function raised an error of another library.
            MissingGuardError: The process could not start, because the calling script does not have a main guard.
            StoppedError: `stopped` returned True.
            SeqhubError: The function raised this error.
        """
        if self._process is None:
            self._start()
        with suppress(OSError):  # a process that has already ended is detected below
            self._connection.send((work, arguments))
        terminated = False
        while not wait([self._connection, self._process.sentinel], timeout=_SECONDS):
            if stopped() and not terminated:
                self._process.terminate()
                terminated = True
        try:
            error = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code, self._process = self._process.exitcode, None
            if terminated:
                raise StoppedError from None
            if code == GUARD_CODE:
                raise MissingGuardError from None
            raise WorkerDiedError(f"the process of this run ended with {_exit_text(code)}") from None
        if terminated:
            raise StoppedError
        if error is not None:
            raise error

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._connection.close()  # ends the loop of `_serve`
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks of torch's threads
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_serve, args=(remote,), daemon=True)
        self._process.start()
        remote.close()


def _serve(connection: Connection) -> None:
    """Run calls until the connection closes."""
    if hasattr(os, "setsid"):
        os.setsid()
    while True:
        try:
            work, arguments = connection.recv()
        except EOFError:
            return
        try:
            work(*arguments)
        except BaseException as error:  # reported to the caller, also SystemExit and KeyboardInterrupt
            connection.send(_sendable(error))
        else:
            connection.send(None)


def _sendable(error: BaseException) -> Exception:
    """Return an error of seqhub unchanged; for others, whose class may not unpickle, the text of the traceback."""
    import traceback

    if isinstance(error, SeqhubError):
        return error
    return WorkerDiedError("".join(traceback.format_exception(error)))


def _exit_text(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

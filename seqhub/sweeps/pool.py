"""Processes that train one run after the other, for what does not train natively in threads."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any

from seqhub.errors import SeqhubError
from seqhub.training.main_guard import GUARD_CODE, MissingGuardError

_SECONDS = 0.1  # from one look at whether to stop to the next


class WorkerDiedError(SeqhubError):
    """A process ended in the midst of its work."""


class StoppedError(Exception):
    """The work was told to stop before its end."""


class Worker:
    """One process; it is started with the first work, and again after its death.

    A caller's Ctrl-C does not reach it: it is told to stop by SIGTERM, upon which `train` leaves a checkpoint.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Any = None

    def run(self, work: Callable[..., None], *arguments: Any, stopped: Callable[[], bool] = lambda: False) -> None:
        """Call a function of a module in the process, and wait until it is done.

        Args:
            work: The function; it and its arguments are pickled.
            arguments: What it is called with.
            stopped: Asked now and then; when it says so, the process gets SIGTERM.

        Raises:
            WorkerDiedError: The process ended.
        MissingGuardError: It could not start, as the script that called this has no main guard.
            StoppedError: `stopped` said so.
            Exception: What the function raised.
        """
        if self._process is None:
            self._start()
        with suppress(OSError):  # a process that is dead already is noticed below
            self._connection.send((work, arguments))
        told = False
        while not wait([self._connection, self._process.sentinel], timeout=_SECONDS):
            if stopped() and not told:
                self._process.terminate()
                told = True
        try:
            error = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code, self._process = self._process.exitcode, None
            if told:
                raise StoppedError from None
            if code == GUARD_CODE:
                raise MissingGuardError from None
            raise WorkerDiedError(f"the process of this run ended with {_wording(code)}") from None
        if told:
            raise StoppedError
        if error is not None:
            raise error

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._connection.close()  # upon which it ends
            self._process.join()
            self._process = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks of torch's threads
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(connection: Connection) -> None:
    """Do what is asked until nobody asks any more."""
    os.setsid()
    while True:
        try:
            work, arguments = connection.recv()
        except EOFError:
            return
        try:
            work(*arguments)
        except BaseException as error:  # whatever it is, the caller is to know
            connection.send(_sendable(error))
        else:
            connection.send(None)


def _sendable(error: BaseException) -> Exception:
    """The error with its traceback as a note; of a kind that nobody else may know, only the words."""
    import traceback

    if isinstance(error, SeqhubError):
        return error
    return WorkerDiedError("".join(traceback.format_exception(error)))


def _wording(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

"""The end of all processes of a run when one of them fails, with one message.

A process that fails would leave the others in a collective operation, waiting: for ever on a GPU, and on the CPU until
a closed connection makes each of them fail in its own words. The first one to fail notes it in the store through which
the processes met. The others find the note, and end without a message.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from seqhub.errors import SeqhubError

_FAILED, _SEEN = "seqhub/failed", "seqhub/seen"
_SECONDS = 0.2  # from one look at the store to the next
_MOST_SECONDS = 5.0  # that the first one waits for the others to know, and they for the end of what they are doing
_EXIT_CODE = 1  # of a process whose peer has failed
_CONNECTION = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe")


class PeerFailedError(SeqhubError):
    """Another process of the run has failed. Without a message where that process has said why."""


@contextmanager
def failing_together(*passing: type[BaseException]) -> Iterator[None]:
    """End every process of a run when the block fails in one of them; nothing where there is one process.

    Args:
        passing: Errors that all processes raise by agreement; they are not failures.

    Raises:
        PeerFailedError: Another process has failed, or ended without a note.
    """
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        yield
        return
    peers = _Peers()
    try:
        yield
    except passing:
        raise
    except BaseException as error:
        if not peers.is_first():
            raise PeerFailedError("") from None
        if _is_of_the_connection(error):
            raise PeerFailedError(f"a process of this run ended without a message ({_first_line(error)})") from error
        raise
    finally:
        peers.stop()


class _Peers:
    """The note in the store, and a thread that looks for it."""

    def __init__(self) -> None:
        store: Any = torch.distributed.distributed_c10d._get_default_store()
        self._store = store.clone()  # a connection of its own, as the thread may wait in it
        self._others = torch.distributed.get_world_size() - 1
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failed_here = self._failed_elsewhere = False
        self._thread = threading.Thread(target=self._watch, name="seqhub peers", daemon=True)
        self._thread.start()

    def is_first(self) -> bool:
        """Note that this process fails. Return whether it is the first one, once the others know."""
        with self._lock:
            if self._failed_elsewhere:
                return False
            try:
                self._failed_here = self._store.add(_FAILED, 1) == 1
            except RuntimeError:  # the process that has the store is gone, and has not noted why
                return True
            if not self._failed_here:
                self._see()
                return False
        until = time.monotonic() + _MOST_SECONDS
        with suppress(RuntimeError):
            while self._store.add(_SEEN, 0) < self._others and time.monotonic() < until:
                self._stop.wait(_SECONDS / 4)
        return True

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SECONDS):
            with self._lock:
                if self._failed_here or self._failed_elsewhere:
                    break
                try:
                    if not self._store.check([_FAILED]):
                        continue
                except RuntimeError:  # the run is over, or the process that has the store is gone
                    return
                self._see()
                break
        if self._failed_elsewhere and not self._stop.wait(_MOST_SECONDS):
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(_EXIT_CODE)  # the main thread waits for a process that will never answer

    def _see(self) -> None:
        self._failed_elsewhere = True
        with suppress(RuntimeError):
            self._store.add(_SEEN, 1)


def _is_of_the_connection(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and (
        isinstance(error, torch.distributed.DistError) or any(each in text for each in _CONNECTION)
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

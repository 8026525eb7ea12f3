"""Failure handling across processes: if one process fails, all processes of the run end, with one message.

Otherwise the other processes would wait in a collective operation: on a GPU without end, on the CPU until the closed
connection makes each of them fail with another message. The first process that fails sets a key in the store of the
process group. The others detect the key, and end without a message.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from seqhub.training.launch import PeerFailedError

_FAILED, _SEEN = "seqhub/failed", "seqhub/seen"
_SECONDS = 0.2  # interval at which the store is polled
_MAX_SECONDS = 5.0  # longest wait of the first process for the others, and of these for their own main threads
_EXIT_CODE = 1  # exit code after the failure of another process
_CONNECTION = ("gloo", "Connection closed by peer", "Connection reset by peer", "Broken pipe")


@contextmanager
def failing_together(*passing: type[BaseException]) -> Iterator[None]:
    """End all processes of a run if the block fails in one of them. No effect with one process.

    Args:
        passing: Exceptions that all processes raise together, which are not failures.

    Raises:
        PeerFailedError: Another process has failed, or ended without a message.
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
        if _is_connection_error(error):
            raise PeerFailedError(f"a process of this run ended without a message ({_first_line(error)})") from error
        raise
    finally:
        peers.stop()


class _Peers:
    """Key of a failure in the store, and a thread that polls it."""

    def __init__(self) -> None:
        store: Any = torch.distributed.distributed_c10d._get_default_store()
        self._store = store.clone()  # a separate connection, because the thread may block on it
        self._others = torch.distributed.get_world_size() - 1
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failed_here = self._failed_elsewhere = False
        self._thread = threading.Thread(target=self._watch, name="seqhub peers", daemon=True)
        self._thread.start()

    def is_first(self) -> bool:
        """Report the failure of this process. Return True if it is the first one, after the others have seen it."""
        with self._lock:
            if self._failed_elsewhere:
                return False
            try:
                self._failed_here = self._store.add(_FAILED, 1) == 1
            except RuntimeError:  # the process with the store has ended without reporting a failure
                return True
            if not self._failed_here:
                self._acknowledge()
                return False
        until = time.monotonic() + _MAX_SECONDS
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
                except RuntimeError:  # the run, or the process with the store, has ended
                    return
                self._acknowledge()
                break
        if self._failed_elsewhere and not self._stop.wait(_MAX_SECONDS):
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(_EXIT_CODE)  # the main thread waits for a process that has ended

    def _acknowledge(self) -> None:
        self._failed_elsewhere = True
        with suppress(RuntimeError):
            self._store.add(_SEEN, 1)


def _is_connection_error(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and (
        isinstance(error, torch.distributed.DistError) or any(each in text for each in _CONNECTION)
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

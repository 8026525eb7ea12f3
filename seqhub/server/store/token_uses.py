"""Times of last use of tokens, written in a separate thread, so that read requests do not wait for writers."""

import os
import threading
from collections.abc import Callable, Mapping

from seqhub.server.errors import HubHTTPError

RETRY_SECONDS = 60.0  # after a failed write, for example on a full disk
CLOSE_SECONDS = 2.0  # maximum time for the last write; a lost time of use is not critical


class TokenUses:
    """Times of last use, written in the background.

    Args:
        write: Function that writes token id -> microseconds; it may block, and may raise HubHTTPError.
    """

    def __init__(self, write: Callable[[Mapping[int, int]], None]) -> None:
        self._write = write
        self._changed = threading.Condition()
        self._waiting: dict[int, int] = {}
        self._noted: dict[int, int] = {}  # including written ones, since a snapshot may be older
        self._closed = False
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def note(self, token: int, time: int) -> None:
        """Record a use without blocking."""
        with self._changed:
            if self._closed:
                return
            self._waiting[token] = self._noted[token] = time
            if self._thread is None or self._process != os.getpid():  # a fork has no copy of the thread
                self._process = os.getpid()
                self._thread = threading.Thread(target=self._run, name="seqhub-token-uses", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def last(self, token: int) -> int | None:
        """Return the last use recorded by this process, in microseconds; None without one."""
        with self._changed:
            return self._noted.get(token)

    def close(self) -> None:
        """Write the remaining times, within `CLOSE_SECONDS`."""
        with self._changed:
            self._closed = True
            thread = self._thread if self._process == os.getpid() else None
            self._changed.notify_all()
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                uses = dict(self._waiting)
            if not uses:
                return
            try:
                self._write(uses)
            except HubHTTPError:
                with self._changed:
                    if self._changed.wait_for(lambda: self._closed, RETRY_SECONDS):
                        return
                continue
            with self._changed:
                self._waiting = {id: time for id, time in self._waiting.items() if uses.get(id) != time}

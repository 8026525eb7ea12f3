"""Queries of the viewer in child processes, with limits on memory and time."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from seqhub.server.viewer.errors import ViewerError

logger = logging.getLogger(__name__)

MAX_SECONDS: Final = 30  # for one query
MEMORY_BYTES: Final = 192 * 2**20  # of one query, besides the libraries
MODULE: Final = "seqhub.server.viewer.child"


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a query."""

    content_type: str
    body: bytes


class ViewerProcess:
    """Process with pyarrow that forks for each query; it is started with the first one.

    Args:
        seconds: Time limit of a query.
        memory_bytes: Memory limit of a query.
    """

    def __init__(self, seconds: int = MAX_SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id; None before the first query."""
        return self._process.pid if self._process is not None else None

    def run(self, operation: str, arguments: dict[str, Any]) -> Found:
        """Run a query; blocks until it has a result.

        Args:
            operation: Name in `engine.OPERATIONS`, or "asset".
            arguments: Arguments of the operation.

        Raises:
            ViewerError: The query or the data are not valid, or exceed a limit.
        """
        limits = {"seconds": self._seconds, "memory_bytes": self._memory_bytes}
        query = json.dumps({"operation": operation, "arguments": arguments, **limits}).encode()
        received = self._received(query)
        if not received and self._has_ended():  # the process itself, so the query is not the reason
            received = self._received(query)
        head, found, body = received.partition(b"\n")
        if not found:
            raise ViewerError(
                503, "ViewerProcessError", f"The query took more than {self._seconds} s, or its data ended the reader."
            )
        return self._result(json.loads(head), body)

    def close(self) -> None:
        """End the process and its queries."""
        with self._lock:
            self._closed = True
            self._end()

    def _result(self, head: dict[str, Any], body: bytes) -> Found:
        if head["status"] == 200:
            return Found(head["type"], body)
        message = head["message"]
        if body:
            logger.error("a query of the viewer failed\n%s", body.decode())
        if head["code"] == "TooBigContentError":
            message = f"The query needs more than {self._memory_bytes // 2**20} MiB of memory."
        raise ViewerError(head["status"], head["code"], message)

    def _received(self, query: bytes) -> bytes:
        """Return what the process of a query sends; nothing if it ended before."""
        received = bytearray()
        with self._connected() as line, suppress(OSError):
            line.settimeout(self._seconds + 5)  # the process ends by itself before
            line.sendall(query)
            line.shutdown(socket.SHUT_WR)
            while piece := line.recv(2**18):
                received += piece
        return bytes(received)

    def _has_ended(self) -> bool:
        with self._lock:
            if self._process is None:
                return not self._closed
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                return False
            return True

    def _connected(self) -> socket.socket:
        """Return a socket to a new process for one query."""
        with self._lock:
            if self._closed:
                raise ViewerError(503, "ViewerProcessError", "The Hub is stopping.")
            for attempt in range(2):
                if self._process is None or self._process.poll() is not None:
                    self._end()
                    self._start()
                assert self._control is not None
                mine, other = socket.socketpair()
                try:
                    with other:
                        socket.send_fds(self._control, [b"q"], [other.fileno()])
                    return mine
                except OSError:
                    mine.close()
                    self._end()
                    if attempt:
                        raise ViewerError(503, "ViewerProcessError", "The viewer did not start.") from None
        raise AssertionError

    def _start(self) -> None:
        control, other = socket.socketpair()
        with other:
            environment = {
                **os.environ,
                "ARROW_DEFAULT_MEMORY_POOL": "system",  # bounded by the limits of malloc
                "MALLOC_ARENA_MAX": "1",
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            }
            line = [sys.executable, "-P", "-m", MODULE]
            self._process = subprocess.Popen(
                line, stdin=other.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
            )
        self._control = control

    def _end(self) -> None:
        process, self._process = self._process, None
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()

"""Queries of the viewer in child processes, with limits on memory and time."""

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Final

from seqhub.server.viewer.errors import ViewerError

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
        with self._connected() as line:
            line.settimeout(self._seconds + 5)  # the child ends by itself
            try:
                line.sendall(query)
                line.shutdown(socket.SHUT_WR)
                received = bytearray()
                while piece := line.recv(2**18):
                    received += piece
            except TimeoutError:
                raise self._too_slow() from None
            except OSError:
                received = bytearray()
        head, found, body = bytes(received).partition(b"\n")
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
        if head["code"] == "TooBigContentError":
            message = f"The query needs more than {self._memory_bytes // 2**20} MiB of memory."
        raise ViewerError(head["status"], head["code"], message)

    def _too_slow(self) -> ViewerError:
        return ViewerError(503, "ViewerTimeoutError", f"The query took more than {self._seconds} s.")

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
                line, stdin=other, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
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

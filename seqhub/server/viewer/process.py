"""Queries of the viewer in child processes, with limits on memory and time."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from seqhub.server.viewer.child import Pipes, Stream, receive, send
from seqhub.server.viewer.errors import ViewerError

logger = logging.getLogger(__name__)

MAX_SECONDS: Final = 30  # for one query
MEMORY_BYTES: Final = 192 * 2**20  # of one query, besides the libraries
MAX_IDLE: Final = 2  # workers that are kept for further queries
MODULE: Final = "seqhub.server.viewer.child"


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a query."""

    content_type: str
    body: bytes


class ViewerProcess:
    """Process with pyarrow that forks workers for queries; it is started with the first one.

    Args:
        seconds: Time limit of a query.
        memory_bytes: Memory limit of a query.
    """

    def __init__(self, seconds: float = MAX_SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._idle: list[_Worker] = []  # workers without a query
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
        started = time.monotonic()
        with self._lock:
            idle = self._idle.pop() if self._idle else None
        answer = None if idle is None else self._ask(idle, query)
        if answer is None and time.monotonic() - started < self._seconds:
            answer = self._ask(self._new_worker(), query)
        if answer is None and self._has_ended():  # the process itself, so the query is not the reason
            answer = self._ask(self._new_worker(), query)
        if answer is None and time.monotonic() - started < self._seconds:
            message = "The data ended the process that reads them; a file may be damaged."
            raise ViewerError(422, "UnreadableFileError", message)
        if answer is None:
            raise ViewerError(503, "ViewerTimeoutError", f"The query took more than {self._seconds} s.")
        return self._result(*answer)

    def close(self) -> None:
        """End the process and its workers."""
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

    def _ask(self, worker: "_Worker", query: bytes) -> tuple[dict[str, Any], bytes] | None:
        """Return the answer of a worker; None if it ended before. A worker that stays is used again."""
        answer = worker.ask(query, self._seconds + 5)  # the worker ends by itself before, if it can
        if answer is None:
            worker.close()
            return None
        found: dict[str, Any] = json.loads(answer[0])
        with self._lock:
            stays = found["stays"] and not self._closed and len(self._idle) < MAX_IDLE
            if stays:
                self._idle.append(worker)
        if not stays:
            worker.close()
        return found, answer[1]

    def _has_ended(self) -> bool:
        with self._lock:
            if self._process is None:
                return not self._closed
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                return False
            return True

    def _new_worker(self) -> "_Worker":
        with self._lock:
            if self._closed:
                raise ViewerError(503, "ViewerProcessError", "The Hub is stopping.")
            if not hasattr(os, "fork"):
                return _StartedWorker()
            for attempt in range(2):
                if self._process is None or self._process.poll() is not None:
                    self._end()
                    self._start()
                assert self._control is not None
                mine, other = socket.socketpair()
                try:
                    with other:
                        socket.send_fds(self._control, [b"q"], [other.fileno()])
                    return _ForkedWorker(mine)
                except OSError:
                    mine.close()
                    self._end()
                    if attempt:
                        raise ViewerError(503, "ViewerProcessError", "The viewer did not start.") from None
        raise AssertionError

    def _start(self) -> None:
        control, other = socket.socketpair()
        with other:
            self._process = _start(stdin=other.fileno(), stdout=subprocess.DEVNULL)
        self._control = control

    def _end(self) -> None:
        process, self._process = self._process, None
        control, self._control = self._control, None
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()


class _Worker(ABC):
    """Process that answers one query at a time."""

    @abstractmethod
    def ask(self, query: bytes, seconds: float) -> tuple[bytes, bytes] | None:
        """Return head and body of the answer; None if the process ended, or did not answer in time."""

    @abstractmethod
    def close(self) -> None:
        """Let the process end."""


class _ForkedWorker(_Worker):
    """Worker that the process of the viewer has forked."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._stream = line.makefile("rwb")

    def ask(self, query: bytes, seconds: float) -> tuple[bytes, bytes] | None:
        self._line.settimeout(seconds)
        try:
            return _exchange(self._stream, query)
        except OSError:
            return None

    def close(self) -> None:
        with suppress(OSError):  # of a query that was not sent
            self._stream.close()
        self._line.close()


class _StartedWorker(_Worker):
    """Worker in a process of its own, for systems whose processes cannot fork."""

    def __init__(self) -> None:
        self._process = _start("worker", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, query: bytes, seconds: float) -> tuple[bytes, bytes] | None:
        timer = threading.Timer(seconds, self._process.kill)
        timer.start()
        try:
            return _exchange(Pipes(self._process.stdout, self._process.stdin), query)
        except OSError:
            return None
        finally:
            timer.cancel()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _exchange(stream: Stream, query: bytes) -> tuple[bytes, bytes] | None:
    send(stream, query)
    head, body = receive(stream), receive(stream)
    return None if head is None or body is None else (head, body)


def _start(*arguments: str, stdin: int, stdout: int) -> "subprocess.Popen[bytes]":
    environment = {
        **os.environ,
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # bounded by the limits of malloc
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    line = [sys.executable, "-P", "-m", MODULE, *arguments]
    return subprocess.Popen(line, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, env=environment)

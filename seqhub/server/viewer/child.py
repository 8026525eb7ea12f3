"""Process that loads pyarrow once and forks workers, which answer viewer queries.

Started by `seqhub.server.viewer.process`, which sends a socket for each new worker over the socket on standard input. A
worker answers one query at a time, with limits on memory and time, so that a file that crashes the reader, or takes too
much of either, ends only its own query. It ends after an error, and when it has grown. Each process ends with its
parent.

Where processes cannot fork (Windows), the server starts this module with the argument `worker` for each worker, which
reads queries from standard input and writes responses to standard output, without a limit on memory.
"""

import argparse
import ctypes
import gc
import json
import os
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, Final, Protocol

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MAX_ANSWER: Final = 16 * 2**20  # bytes of a response; the server holds it in memory
MAX_GROWTH: Final = 48 * 2**20  # bytes; a worker that has grown by more ends after its answer
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG
_LENGTH: Final = struct.Struct("<Q")
_PAGE_BYTES: Final = 4096 if resource is None else resource.getpagesize()


class _WithoutPandas(MetaPathFinder):
    """Finder that hides pandas from pyarrow, which would load it: it takes 60 MiB and 0.3 s, and is not needed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


class Stream(Protocol):
    """Binary stream in both directions."""

    def read(self, size: int, /) -> bytes: ...

    def write(self, content: bytes, /) -> object: ...

    def flush(self) -> None: ...


class Pipes:
    """Stream of two pipes."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.read, self.write, self.flush = reader.read, writer.write, writer.flush


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer queries of the dataset viewer.")
    parser.add_argument("worker", nargs="?", choices=["worker"], help="serve standard input and output")
    is_worker = parser.parse_args().worker is not None
    _limit_process()
    sys.meta_path.insert(0, _WithoutPandas())
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if is_worker:
        stream = Pipes(sys.stdin.buffer, sys.stdout.buffer)
        sys.stdout = sys.stderr
        _serve(stream)
    else:
        _warm_up()
        _fork_workers()


def _fork_workers() -> None:
    """Fork a worker for each socket that is received, until standard input is closed."""
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        with suppress(ChildProcessError):  # workers that ended
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                with socket.socket(fileno=descriptor) as line, suppress(ConnectionError):
                    _serve(line.makefile("rwb"))
                os._exit(0)
            os.close(descriptor)


def _warm_up() -> None:
    """Run queries on a small file, so that no worker has to load modules."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from seqhub.server.viewer import engine

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/warm-up.parquet"
        columns = {"text": ["a", "b"], "label": [0, 1], "score": [0.5, 1.5], "list": [[1], []], "is": [True, False]}
        pq.write_table(pa.table(columns), path)
        file = {"name": "warm-up", "path": path, "copy": f"{path}.copy", "format": "parquet", "separator": None}
        arguments = {
            "files": [file],
            "features": [],
            "partial": False,
            "assets": "",
            "names": {},
            "offset": 0,
            "length": 2,
        }
        filtered = {"where": '"label" = 1 AND "text" LIKE \'a%\' OR "score" > 0', "orderby": '"score"', "query": "a"}
        for operation in ("rows", "first-rows", "search", "filter", "statistics"):
            json.dumps(engine.OPERATIONS[operation](arguments | filtered))
    engine.forget()
    gc.collect()
    gc.freeze()  # so that collections do not write to memory that the processes share


def _serve(line: Stream) -> None:
    """Answer queries until the other side closes the connection."""
    _die_with_parent()
    start = _pages()
    is_limited = False
    while (received := receive(line)) is not None:
        query = json.loads(received)
        if resource is not None and not is_limited:
            limit = start[0] * _PAGE_BYTES + query["memory_bytes"]
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            is_limited = True
        _end_after(query["seconds"])
        head, body = _computed(query)
        _end_after(0)
        head["stays"] = "fatal" not in head and _pages()[1] - start[1] < MAX_GROWTH // _PAGE_BYTES
        send(line, json.dumps(head).encode())
        send(line, body)
        if not head["stays"]:
            return


def _end_after(seconds: float) -> None:
    """End this process after some seconds, or cancel this with 0; without timer signals the server does it."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def send(line: Stream, message: bytes) -> None:
    """Send a message with its length."""
    line.write(_LENGTH.pack(len(message)))
    line.write(message)
    line.flush()


def receive(line: Stream) -> bytes | None:
    """Receive a message; None if the connection was closed before its end."""
    head = line.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(head)[0]
    message = line.read(size)
    return message if len(message) == size else None


def _computed(query: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    import pyarrow as pa

    from seqhub.server.viewer import engine
    from seqhub.server.viewer.errors import ViewerError

    try:
        if query["operation"] == "asset":
            content_type, content = engine.asset(query["arguments"])
            return {"status": 200, "type": content_type}, content
        run: Callable[[dict[str, Any]], dict[str, Any]] = engine.OPERATIONS[query["operation"]]
        found = run(query["arguments"])
        body = json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(body) > MAX_ANSWER:
            raise ViewerError(422, "TooBigContentError", f"The response has more than {MAX_ANSWER // 2**20} MiB.")
        return {"status": 200, "type": "application/json"}, body
    except ViewerError as error:
        engine.forget()
        return {"status": error.status, "code": error.code, "message": error.message}, b""
    except (MemoryError, pa.ArrowMemoryError):
        return {"status": 422, "code": "TooBigContentError", "message": "", "fatal": True}, b""
    except (pa.ArrowException, OSError, ValueError) as problem:
        engine.forget()
        text = " ".join(str(problem).split())[:300]
        return {"status": 422, "code": "UnreadableFileError", "message": f"The data cannot be read: {text}"}, b""
    except Exception as problem:  # a defect of the viewer, which the parent logs
        text = f"The viewer cannot show these data ({type(problem).__name__})."
        head = {"status": 422, "code": "UnexpectedError", "message": text, "fatal": True}
        return head, traceback.format_exc().encode()


def _limit_process() -> None:
    _die_with_parent()
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError, TypeError):  # on other systems the process ends with its socket
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _pages() -> tuple[int, int]:
    """Return the size of the address space and of the resident part of this process in pages; a bound without /proc."""
    try:
        size, resident, *_ = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 2**30 // _PAGE_BYTES, 0
    return int(size), int(resident)


if __name__ == "__main__":
    main()

"""Process that answers viewer queries: it loads pyarrow once and forks for each query.

Started by `seqhub.server.viewer.process`, which sends a socket for each query over the socket on standard input. A
query runs in a process of its own with limits on memory and time, so that a file that crashes the reader, or takes too
much of either, ends only its own query. Each process ends with its parent.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class _WithoutPandas(MetaPathFinder):
    """Finder that hides pandas from pyarrow, which would load it: it takes 60 MiB and 0.3 s, and is not needed."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def main() -> None:
    _limit_process()
    sys.meta_path.insert(0, _WithoutPandas())
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    _warm_up()
    control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                with socket.socket(fileno=descriptor) as line:
                    _answer(line)
                os._exit(0)
            os.close(descriptor)


def _warm_up() -> None:
    """Run queries on a small file, so that no process of a query has to load modules."""
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
    gc.collect()
    gc.freeze()  # so that collections do not write to memory that the processes share


def _answer(line: socket.socket) -> None:
    """Answer one query: a line of JSON with status and type, and the body."""
    _die_with_parent()
    received = bytearray()
    while piece := line.recv(2**16):
        received += piece
    query = json.loads(received)
    del received
    signal.setitimer(signal.ITIMER_REAL, query["seconds"])  # ends this process
    resource.setrlimit(resource.RLIMIT_CPU, (query["seconds"] + 1, query["seconds"] + 1))
    limit = _address_space() + query["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    head, body = _computed(query)
    line.sendall(json.dumps(head).encode() + b"\n")
    line.sendall(body)


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
        return {"status": 200, "type": "application/json"}, body
    except ViewerError as error:
        return {"status": error.status, "code": error.code, "message": error.message}, b""
    except (MemoryError, pa.ArrowMemoryError):
        return {"status": 422, "code": "TooBigContentError", "message": ""}, b""
    except (pa.ArrowException, OSError, ValueError) as problem:
        text = " ".join(str(problem).split())[:300]
        return {"status": 422, "code": "UnreadableFileError", "message": f"The data cannot be read: {text}"}, b""
    except Exception as problem:  # a defect of the viewer, which the parent logs
        text = f"The viewer cannot show these data ({type(problem).__name__})."
        return {"status": 422, "code": "UnexpectedError", "message": text}, traceback.format_exc().encode()


def _limit_process() -> None:
    _die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # processes of queries are not waited for
    os.umask(0o077)


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):  # on other systems the process ends with its socket
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _address_space() -> int:
    """Return the size of the address space of this process in bytes; a general bound on systems without /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**30


if __name__ == "__main__":
    main()

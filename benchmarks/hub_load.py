"""The embedded Hub under load: memory of 64 clients, delay of others, longest write transactions.

The server is `seqhub serve` in a process of its own. The longest transactions are measured in this process, on the
store.
"""

import hashlib
import http.client
import json
import os
import random
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.hub import Server, serving
from benchmarks.timing import Row

CLIENTS = 64
LIMIT = 300  # seconds for one request


def run(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        parts = (mixed, _holds)
        return [row for number, part in enumerate(parts) for row in part(Path(folder) / str(number), rounds)]


def mixed(folder: Path, rounds: int) -> Iterator[Row]:
    """Run clients of every kind at once, as fast as the server allows, and measure `whoami` of another client."""
    header = json.dumps(
        {f"w{n}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in range(60_000)}
    ).encode()
    shard = len(header).to_bytes(8, "little") + header + bytes(4)
    index = {"weight_map": {f"w{n}": f"s{n}.safetensors" for n in range(4)}}
    files = {"file.bin": os.urandom(60_000_000), "model.safetensors.index.json": json.dumps(index).encode()}
    files |= {f"s{n}.safetensors": shard for n in range(4)} | {f"many/{n}": b"%d" % n for n in range(5000)}
    files |= {"evil.pkl": b"\x80\x02" + b"K\x01" * 2_000_000 + b"."}
    _prepare(folder, files)
    with serving(folder) as server:
        status = threading.Event()
        waits: list[float] = []

        def ask() -> None:
            line = server.line()
            with closing(line.connection):
                while not status.is_set():
                    started = time.perf_counter()
                    line.ask("/api/whoami-v2")
                    waits.append((time.perf_counter() - started) * 1000)

        thread = threading.Thread(target=ask)
        thread.start()
        kinds = list(_kinds(server))
        _together(_guarded(kinds[number % len(kinds)], number) for number in range(CLIENTS))
        status.set()
        thread.join()
        yield Row(
            case=f"server's peak memory, {CLIENTS} mixed clients", unit="MiB", theirs=None, ours=server.peak_mib(),
            goal=("ours", "<=", 300.0),
        )  # fmt: skip
    waits.sort()
    yield Row(case="whoami of another user under load, median", unit="ms", theirs=None, ours=median(waits))
    yield Row(
        case="whoami of another user under load, 99 of 100", unit="ms", theirs=None,
        ours=waits[int(0.99 * (len(waits) - 1))], goal=("ours", "<=", 1000.0),
    )  # fmt: skip


def _kinds(server: Server) -> Iterator[Callable[[int], None]]:
    """Return the requests of one client of each kind."""
    netloc = urlsplit(server.url).netloc

    def ask(method: str, path: str, body: Any = None, slow: bool = False, **headers: str) -> None:
        connection = http.client.HTTPConnection(netloc, timeout=LIMIT)
        given = {"Authorization": f"Bearer {server.token}"} | headers
        connection.request(method, path, body, given)
        response = connection.getresponse()
        if response.status >= 400:
            raise RuntimeError(f"{path}: {response.status} {response.read()[:300]!r}")
        if slow:  # the server waits until the answer is read
            time.sleep(2)
        while response.read(2**16):
            pass
        connection.close()

    def commit(number: int) -> None:
        def body() -> Iterator[bytes]:
            yield json.dumps({"key": "header", "value": {"summary": "files"}}).encode() + b"\n"
            for file in range(8):
                content = b64encode(random.Random(number * 8 + file).randbytes(9_000_000)).decode()
                value = {"path": f"{number}/{file}", "encoding": "base64", "content": content}
                yield json.dumps({"key": "file", "value": value}).encode() + b"\n"

        ask("POST", "/api/models/ada/net/commit/main", body())

    def many(number: int) -> None:
        lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "files"}}]
        lines += [
            {"key": "file", "value": {"path": f"m{number}/{n % 50}/{n}", "content": f"{n}"}} for n in range(10_000)
        ]
        ask("POST", "/api/models/ada/net/commit/main", b"\n".join(json.dumps(line).encode() for line in lines))

    def preupload(number: int) -> None:
        paths = [f"{number}/" + "/".join(str(n % 7) for _ in range(50)) + f"/{n}" for n in range(500)]
        files = [{"path": path, "size": 1, "sample": ""} for path in paths]
        rules = "\n".join(f"*{n}*x*" for n in range(200))
        for _ in range(5):
            ask("POST", "/api/models/ada/net/preupload/main", json.dumps({"files": files, "gitIgnore": rules}))

    def pack(number: int) -> None:
        with closing(http.client.HTTPConnection(netloc, timeout=LIMIT)) as connection:
            connection.request("GET", "/ada/net.git/info/refs?service=git-upload-pack")
            advertised = connection.getresponse().read()
        oid = advertised[advertised.index(b"0000") + 8 :][:40].decode()
        want = f"want {oid} side-band-64k\n"
        ask("POST", "/ada/net.git/git-upload-pack", f"{len(want) + 4:04x}{want}00000009done\n", slow=True)

    def large(number: int) -> None:
        content = random.Random(number).randbytes(20_000_000)
        oid = hashlib.sha256(content).hexdigest()
        request = {"operation": "upload", "objects": [{"oid": oid, "size": len(content)}]}
        given = {"Authorization": f"Bearer {server.token}"}
        with closing(http.client.HTTPConnection(netloc, timeout=LIMIT)) as connection:
            connection.request("POST", "/ada/net.git/info/lfs/objects/batch", json.dumps(request), given)
            answer = json.loads(connection.getresponse().read())
            href = urlsplit(answer["objects"][0]["actions"]["upload"]["href"])
            connection.request("PUT", f"{href.path}?{href.query}", content)
            if connection.getresponse().status != 200:
                raise RuntimeError("an upload failed")

    yield commit
    yield many
    yield large
    yield lambda number: ask("GET", "/ada/net/resolve/main/file.bin", Range="bytes=0-0")
    yield lambda number: ask("GET", "/ada/net/resolve/main/file.bin", slow=True)
    yield preupload
    yield pack
    yield lambda number: ask("GET", "/api/models/ada/net/safetensors-metadata/model.safetensors.index.json", slow=True)
    yield lambda number: ask("GET", "/api/models/ada/net?blobs=1", slow=True)
    yield lambda number: ask("GET", "/api/models/ada/net/tree/main?recursive=1&expand=1")


def _guarded(work: Callable[[int], None], number: int) -> Callable[[], None]:
    return lambda: work(number)


def _holds(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure the longest transactions of large changes."""
    from seqhub.server.errors import HubHTTPError
    from seqhub.server.store import Limits, Store
    from seqhub.server.types import AddSmall, Delete

    folder.mkdir()
    store = Store(folder / "hub", limits=Limits(commit_folders=10**6))
    ada = store.accounts.create("ada")
    deep = [AddSmall("/".join(f"{n}.{level}" for level in range(60)) + "/f", b"%d" % n) for n in range(1500)]
    wide = [AddSmall(f"folder/{n}", b"%d" % n) for n in range(10_000)]
    most = [AddSmall(f"{n % 300}/{n}", b"%d" % n) for n in range(25_000)]
    repos = {name: store.repos.create("model", f"ada/{name}", author="ada") for name in ("deep", "wide", "most")}

    def commit(name: str, operations: list[Any]) -> None:
        store.commits.create(
            repos[name], "main", operations, expected_parent=None, author="ada", title="t", uploader=ada
        )  # fmt: skip

    jobs: dict[str, Callable[[], object]] = {
        "commit of 1,500 files, each 60 folders deep": lambda: commit("deep", list(deep)),
        "commit of 10,000 files in one folder": lambda: commit("wide", list(wide)),
        "commit of 25,000 files": lambda: commit("most", list(most)),
        "copy of a repository of 25,000 files": lambda: store.repos.duplicate(repos["most"], "ada/copy", author="ada"),
        "squash of 25,000 files": lambda: store.commits.squash(repos["most"], "main", "squash", "ada"),
        "deletion of a folder of 10,000 files": lambda: commit("wide", [Delete("folder", is_folder=True)]),
        "deletion of a repository of 90,000 folders": lambda: store.repos.delete(repos["deep"]),
        "removal of the files of 100,000 rows": lambda: (_unname(store), store.maintenance.gc(-1)),
    }
    for case, job in jobs.items():
        with _longest_hold(store) as held:
            started = time.perf_counter()
            try:
                job()
            except HubHTTPError as error:
                raise RuntimeError(f"{case}: {error}") from error
            taken = time.perf_counter() - started
        yield Row(case=f"{case}: longest hold", unit="s", theirs=None, ours=max(held), goal=("ours", "<=", 0.5))
        yield Row(case=f"{case}: in total", unit="s", theirs=None, ours=taken)
    store.close()


def _unname(store: Any) -> None:
    """Add rows of large files that no commit refers to."""
    rows = ((number.to_bytes(32, "big"), 1, 0) for number in range(100_000))
    store.database.in_slices("INSERT INTO blobs VALUES (?, ?, ?)", rows)


@contextmanager
def _longest_hold(store: Any) -> Iterator[list[float]]:
    held = [0.0]
    transaction = store.database.transaction

    @contextmanager
    def timed() -> Iterator[Any]:
        with transaction() as connection:
            started = time.perf_counter()
            try:
                yield connection
            finally:
                inside = time.perf_counter() - started
        held.append(max(inside, time.perf_counter() - started))

    store.database.transaction = timed
    try:
        yield held
    finally:
        del store.database.transaction


def _prepare(root: Path, files: dict[str, bytes]) -> None:
    from seqhub.server.serve import Running
    from seqhub.server.store import Store
    from seqhub.server.types import AddSmall

    store = Store(root)
    Running("", store).token("ada")
    ada = store.accounts.find("ada")
    assert ada is not None
    repo = store.repos.create("model", "ada/net", author="ada")
    added = [AddSmall(path, content) for path, content in files.items()]
    store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="files", uploader=ada)
    store.close()


def _together(jobs: Iterator[Callable[[], None]]) -> None:
    problems: list[BaseException] = []

    def run_one(job: Callable[[], None]) -> None:
        try:
            job()
        except (TimeoutError, OSError, http.client.HTTPException, RuntimeError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run_one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(f"{len(problems)} clients failed, first: {problems[0]!r}")

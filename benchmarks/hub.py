"""The embedded Hub: commits, large files, lists and downloads, against bare SQLite, plain servers and a small Hub.

Servers are `seqhub serve` in processes of their own, clients are huggingface_hub in other processes. The plain copy of
a file is a lower bound of the work of any Hub: Python's http.client streams it from disk in pieces of 1 MiB to Python's
http.server in another process, which writes each piece and syncs once at the end; the way back is the same without a
sync. No hash is computed. A Hub's time includes the client's work, which a server cannot shorten: huggingface_hub reads
the file twice, for its SHA-256 and for sending; hf_xet chunks, hashes and compresses it. The processor time of both
sides shows that share. Large files are measured in at most three rounds, so that the benchmark takes minutes.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.timing import Goal, Row, row_of_pairs

MIB = 2**20
LIMIT = 120  # time limit of a process or request, in seconds
PROCESSES, THREADS, COMMITS = 2, 4, 25
MANY, LARGE = 10_000, 1024 * MIB
DOWNLOADS = 1500  # enough for the clock of processor time, which has 100 ticks per second
SERVE = "from seqhub.cli import main; main()"


def run(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [
            row for part in (_commits, _files, _transfers, _lists, _downloads) for row in part(Path(folder), rounds)
        ]


@dataclass
class Server:
    """A server process."""

    process: "subprocess.Popen[str]"
    url: str
    token: str

    def child(self, folder: Path, *line: str, lfs: bool = False) -> list[Any]:
        """Return the measurements of a client process; `line` names a function of CHILDREN and its arguments."""
        home = tempfile.mkdtemp(dir=folder)
        environment = {
            **os.environ,
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token,
            "HF_HOME": home,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": str(int(lfs)),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        command = [sys.executable, "-m", "benchmarks.hub", *line]
        try:
            done = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=2 * LIMIT
            )
        finally:
            shutil.rmtree(home)
        found: list[Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(kib) / 1024

    def line(self) -> "Line":
        return Line(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=LIMIT), self.token)


@dataclass
class Line:
    """A persistent connection."""

    connection: http.client.HTTPConnection
    token: str

    def ask(self, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        self.connection.request("GET" if body is None else "POST", path, body, headers)
        response = self.connection.getresponse()
        body_read = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body_read[:300]!r}")
        return response

    def commit(self, repo: str, files: dict[str, bytes]) -> float:
        """Return the seconds of one commit."""
        lines: list[dict[str, Any]] = [{"key": "header", "value": {"summary": "files"}}]
        for path, content in files.items():
            value = {"path": path, "content": b64encode(content).decode(), "encoding": "base64"}
            lines.append({"key": "file", "value": value})
        body = b"\n".join(json.dumps(line).encode() for line in lines)
        return seconds(lambda: self.ask(f"/api/models/{repo}/commit/main", body))


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Start `seqhub serve` on a folder with the user ada."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store

    store = Store(root)
    token = Running("", store).token("ada")
    store.close()
    line = [sys.executable, "-c", SERVE, "serve", "--root", str(root), "--port", "0", "--no-access-log"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        try:
            assert process.stdout is not None
            yield Server(process, process.stdout.readline().strip().partition("=")[2], token)
        finally:
            process.kill()


def seconds(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _commits(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure many clients on one repository, and one writer in this process."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store
    from seqhub.server.types import AddSmall

    root = folder / "commits"
    store = Store(root)
    Running("", store).token("ada")
    crowded = store.repos.create("model", "ada/crowded", author="ada")
    with serving(root) as server, ThreadPoolExecutor(PROCESSES) as pool:
        taken = list(pool.map(lambda name: server.child(folder, "commits", "ada/crowded", name), "ab"))
    head = store.revisions.resolve(crowded, "main")
    present = {entry.path for entry in store.revisions.tree(crowded, head, "", recursive=True, limit=10_000)[0]}
    wanted = {f"{name}/{thread}/{number}" for name in "ab" for thread in range(THREADS) for number in range(COMMITS)}
    case = f"{PROCESSES * THREADS} clients, {COMMITS} commits each"
    yield Row(
        case=f"{case}: lost commits", unit="commits", theirs=None, ours=len(wanted - present), goal=("ours", "<=", 0)
    )
    rate = len(wanted) / max(taken_by_one for (taken_by_one,) in taken)
    yield Row(case=f"{case}: rate", unit="commits/s", theirs=None, ours=rate)

    bare = sqlite3.connect(root / "bare.sqlite3", isolation_level=None)
    bare.execute("PRAGMA journal_mode = WAL")
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE files (id INTEGER PRIMARY KEY, content BLOB)")
    alone = store.repos.create("model", "ada/alone", author="ada")
    ada = store.accounts.find("ada")
    assert ada is not None
    turn = iter(range(10**6))

    def insert() -> None:
        bare.execute("INSERT INTO files (content) VALUES (?)", (os.urandom(200),))

    def commit() -> None:
        added = AddSmall(f"file{next(turn)}", os.urandom(200))
        store.commits.create(alone, "main", [added], expected_parent=None, author="ada", title="file", uploader=ada)

    yield _seconds_row(
        "one small file in the store, against a bare insert", insert, commit, 60 * rounds, ("ratio", "<=", 3.0)
    )
    bare.close()
    store.close()


def _seconds_row(case: str, theirs: Callable[[], object], ours: Callable[[], object], times: int, goal: Goal) -> Row:
    """Measure both in turn, many times; the ratio is that of the medians, since disk pauses exceed either."""
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(times)]
    first, second = (median(side) * 1000 for side in zip(*pairs, strict=True))
    return Row(case=case, unit="ms", theirs=first, ours=second, ratio=second / first, goal=goal)


def _files(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure repositories with many files, over HTTP."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store

    root = folder / "files"
    store = Store(root)
    Running("", store).token("ada")
    for number in range(rounds):
        store.repos.create("model", f"ada/many{number}", author="ada")
    empties = 20 * rounds
    for number in range(empties):
        store.repos.create("model", f"ada/empty{number}", author="ada")
    store.close()
    with serving(root) as server:
        line = server.line()
        files = {f"folder{number % 100}/file{number}.txt": f"file {number}".encode() for number in range(MANY)}
        taken = [line.commit(f"ada/many{number}", files) for number in range(rounds)]
        yield Row(
            case="10,000 files in one commit", unit="s", theirs=None, ours=median(taken), goal=("ours", "<=", 3.0)
        )
        turns = iter(range(empties)), iter(range(empties))
        yield _seconds_row(
            "one more file on 10,000, against an empty repository",
            lambda: line.commit(f"ada/empty{next(turns[0])}", {"one.txt": b"one"}),
            lambda: line.commit("ada/many0", {f"one{next(turns[1])}.txt": b"one"}),
            empties,
            ("ratio", "<=", 2.0),
        )
        listed = median(server.child(folder, "tree", "ada/many0", str(rounds)))
        yield Row(case="recursive listing of 10,000", unit="s", theirs=None, ours=listed, goal=("ours", "<=", 0.5))
        yield Row(case="server's peak memory", unit="MiB", theirs=None, ours=server.peak_mib())


def _transfers(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure uploads and downloads of new large random files, each next to a plain copy of the same file."""
    root, file, copy = folder / "large", folder / "large.bin", folder / "copy.bin"
    root.mkdir()
    rates: dict[str, list[tuple[float, float]]] = {}
    work: dict[str, list[tuple[float, float]]] = {}
    with serving(root) as server, _plain(folder / "plain") as plain:
        for number in range(min(rounds, 3)):
            for way in ("LFS", "Xet"):
                _fill(file)
                theirs = _copy(plain, file, copy)
                copy.unlink()
                line = ("transfer", f"ada/{way.lower()}{number}", str(file), str(folder), str(server.process.pid))
                ours = server.child(folder, *line, lfs=way == "LFS")
                for direction, bare, measured in zip(("up", "down"), theirs, ours, strict=True):
                    taken, of_client, of_server = measured
                    rates.setdefault(f"{way} {direction}", []).append((LARGE / MIB / bare, LARGE / MIB / taken))
                    work.setdefault(f"{way} {direction}", []).append((of_client, of_server))
        size = f"{LARGE // MIB:,} MiB"
        for name, pairs in rates.items():
            goal: Goal = ("ratio", ">=", 1 / 3 if name.startswith("LFS") else 0.1)
            yield row_of_pairs(f"{size} by {name}, against a plain copy", pairs, unit="MiB/s", goal=goal)
        for name, pairs in work.items():
            of_client, of_server = (median(side) for side in zip(*pairs, strict=True))
            case = f"{size} by {name}: processor time of the server, against the client"
            yield Row(case=case, unit="s", theirs=of_client, ours=of_server)
        peak = server.peak_mib()
        yield Row(case="server's peak memory", unit="MiB", theirs=None, ours=peak, goal=("ours", "<=", 200.0))


def _fill(file: Path) -> None:
    """Write a large random file and sync it, so that its sync does not slow down later measurements."""
    with file.open("wb") as out:
        for _ in range(LARGE // MIB):
            out.write(os.urandom(MIB))
        out.flush()
        os.fsync(out.fileno())


class _PlainHandler(BaseHTTPRequestHandler):
    """A handler that stores a file on PUT and returns it on GET."""

    file: Path

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        with self.file.open("wb") as out:
            while left:
                piece = self.rfile.read(min(left, MIB))
                out.write(piece)
                left -= len(piece)
            out.flush()
            os.fsync(out.fileno())
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.file.stat().st_size))
        self.end_headers()
        with self.file.open("rb") as content:
            shutil.copyfileobj(content, self.wfile, MIB)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _plain(file: Path) -> Iterator[str]:
    line = [sys.executable, "-m", "benchmarks.hub", "plain", str(file)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def _copy(netloc: str, source: Path, target: Path) -> tuple[float, float]:
    """Return the seconds of copying a file up and down."""

    def up() -> None:
        line = http.client.HTTPConnection(netloc, timeout=LIMIT, blocksize=MIB)
        with source.open("rb") as content:
            line.request("PUT", "/", content, {"Content-Length": str(source.stat().st_size)})
        line.getresponse().read()
        line.close()

    def down() -> None:
        line = http.client.HTTPConnection(netloc, timeout=LIMIT)
        line.request("GET", "/")
        with target.open("wb") as out:
            shutil.copyfileobj(line.getresponse(), out, MIB)
        line.close()

    return seconds(up), seconds(down)


def _lists(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure pages of a Hub with 100 repositories and of one with 10,000."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store

    for count in (100, MANY):
        store = Store(folder / f"hub{count}")
        Running("", store).token("ada")
        for number in range(count):
            store.repos.create("model", f"ada/net-{number:05}", author="ada")
        store.close()
    with serving(folder / "hub100") as few, serving(folder / f"hub{MANY}") as many:
        lines = few.line(), many.line()
        pages = {
            "page of 50": ["?limit=50"] * 2,
            "next page of 50": [
                "?" + urlsplit(line.ask("/api/models?limit=50").headers["Link"]).query for line in lines
            ],
            "page of one author, by likes": ["?limit=50&author=ada&sort=likes"] * 2,
            "search with many hits": ["?limit=50&search=net"] * 2,
            "search with one hit": ["?limit=50&search=net-00042"] * 2,
            "search with no hit": ["?limit=50&search=lstm"] * 2,
        }
        for name, queries in pages.items():
            jobs = [
                partial(line.ask, "/api/models" + query.partition(">")[0])
                for line, query in zip(lines, queries, strict=True)
            ]
            case = f"{name} of 10,000 repositories, against 100"
            yield _seconds_row(case, jobs[0], jobs[1], 10 * rounds, ("ratio", "<=", 2.0))


def _downloads(folder: Path, rounds: int) -> Iterator[Row]:
    """Measure requests per second of processor time, of `resolve` and of Starlette's StaticFiles."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store
    from seqhub.server.types import AddLarge, AddSmall, Operation

    contents = {"small.txt": os.urandom(500).hex().encode(), "large.bin": os.urandom(MIB)}
    files = folder / "static"
    files.mkdir()
    store = Store(folder / "downloads")
    Running("", store).token("ada")
    ada = store.accounts.find("ada")
    assert ada is not None
    repo = store.repos.create("model", "ada/net", author="ada")
    writer = store.blobs.begin()
    writer.write(contents["large.bin"])
    added: list[Operation] = [
        AddSmall("small.txt", contents["small.txt"]),
        AddLarge("large.bin", *writer.finish(None, None, ada)),
    ]
    store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="files", uploader=ada)
    store.close()
    for name, content in contents.items():
        (files / name).write_bytes(content)
    with serving(folder / "downloads") as hub, static(files) as (process, netloc):
        for name in contents:
            sides = (
                (process.pid, netloc, f"/{name}"),
                (hub.process.pid, urlsplit(hub.url).netloc, f"/ada/net/resolve/main/{name}"),
            )
            for side in sides:
                requests_by_time(*side)  # warm-up
            pairs = [(requests_by_time(*sides[0]), requests_by_time(*sides[1])) for _ in range(rounds)]
            case = f"{name} by resolve, against StaticFiles"
            yield row_of_pairs(case, pairs, unit="requests/CPU s", goal=("ratio", ">=", 0.9))


def requests_by_time(process: int, netloc: str, path: str) -> float:
    """Return the requests per second of a server's processor time, on one connection."""
    before = processor_time(process)
    line = http.client.HTTPConnection(netloc, timeout=LIMIT)
    for _ in range(DOWNLOADS):
        line.request("GET", path)
        answer = line.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
    line.close()
    return DOWNLOADS / (processor_time(process) - before)


@contextmanager
def static(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Start Starlette's StaticFiles with uvicorn in a process of its own; yield the process and its address."""
    line = [sys.executable, "-m", "benchmarks.hub", "static", str(folder)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def commits_child(repo: str, name: str) -> list[float]:
    """Return the seconds of the threads of one process."""
    from huggingface_hub import CommitOperationAdd, HfApi

    def work(thread: int) -> None:
        api = HfApi()
        for number in range(COMMITS):
            added = CommitOperationAdd(f"{name}/{thread}/{number}", os.urandom(50).hex().encode())
            api.create_commit(repo, [added], commit_message="one file")

    with ThreadPoolExecutor(THREADS) as pool:
        return [seconds(lambda: list(pool.map(work, range(THREADS))))]


def tree_child(repo: str, rounds: str) -> list[float]:
    from huggingface_hub import HfApi

    def look() -> None:
        if sum(1 for _ in HfApi().list_repo_tree(repo, recursive=True)) < MANY:
            raise RuntimeError("files are missing")

    return [seconds(look) for _ in range(int(rounds))]


def transfer_child(repo: str, file: str, folder: str, server: str) -> list[tuple[float, float, float]]:
    """Return seconds of an upload and a download, and the processor time of this process and of the server."""
    from huggingface_hub import HfApi, hf_hub_download

    api = HfApi()
    api.create_repo(repo)

    def measured(job: Callable[[], object]) -> tuple[float, float, float]:
        mine, its = time.process_time(), processor_time(int(server))
        return seconds(job), time.process_time() - mine, processor_time(int(server)) - its

    up = measured(lambda: api.upload_file(path_or_fileobj=file, path_in_repo="large.bin", repo_id=repo))
    with tempfile.TemporaryDirectory(dir=folder) as target:
        down = measured(lambda: hf_hub_download(repo, "large.bin", local_dir=target))
        if Path(target, "large.bin").stat().st_size != Path(file).stat().st_size:
            raise RuntimeError("the file came back in another size")
    return [up, down]


def processor_time(process: int, *, finished_children: bool = False) -> float:
    """Return the processor time of a process in user and system mode, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11 : 15 if finished_children else 13])) / os.sysconf("SC_CLK_TCK")


def plain_child(file: str) -> list[float]:
    handler = type("Handler", (_PlainHandler,), {"file": Path(file)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(f"127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
    return []


def static_child(folder: str) -> list[float]:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    app = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")).run([listener])
    return []


CHILDREN: dict[str, Callable[..., list[Any]]] = {
    "commits": commits_child,
    "tree": tree_child,
    "transfer": transfer_child,
    "plain": plain_child,
    "static": static_child,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="one side of this benchmark, as JSON")
    parser.add_argument("child", choices=CHILDREN)
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    print(json.dumps(CHILDREN[given.child](*given.arguments)))

"""The dataset viewer on a million rows: pages, filters, orders, searches and statistics, against reading whole files.

The server is `seqhub serve` in a process of its own; its queries run in processes that are forked from another one.
Processor times are those of all of them, as reported by the kernel, divided by the number of requests. No request is
repeated, so no response is cached. The baseline of a page and of a filter reads the file with pyarrow in this process.
"""

import http.client
import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.hub import Server, processor_time, seconds, serving
from benchmarks.timing import Goal, Row

ROWS, GROUP = 1_000_000, 65_536  # rows of a row group, as in datasets built by seqhub
VIEWERS, REQUESTS = 16, 6
PAGES = 40  # enough for the clock of processor time, which has 100 ticks per second
REPO = "ada/million"


def run(rounds: int) -> list[Row]:
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.parquet"
        write_table(path)
        root = Path(folder) / "hub"
        prepare(root, path)
        with serving(root) as server:
            return [*_queries(server, path, rounds), *_viewers(server)]


def write_table(path: Path) -> None:
    """Write texts of 110 characters, labels, numbers, booleans and lists."""
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, (ROWS, 110), dtype=np.uint8)
    offsets = pa.py_buffer(np.arange(0, 110 * (ROWS + 1), 110, dtype=np.int32))
    lists = pa.ListArray.from_arrays(
        np.arange(0, 3 * (ROWS + 1), 3, dtype=np.int32), generator.integers(0, 100, 3 * ROWS)
    )
    table = pa.table(
        {
            "text": pa.StringArray.from_buffers(ROWS, offsets, pa.py_buffer(letters)),
            "label": generator.integers(0, 8, ROWS),
            "length": generator.integers(100, 111, ROWS),
            "score": generator.random(ROWS),
            "flag": generator.random(ROWS) < 0.5,
            "values": lists,
        }
    )
    pq.write_table(table, path, row_group_size=GROUP)


def prepare(root: Path, path: Path) -> None:
    """Create a Hub with the file as a dataset of the user ada."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store
    from seqhub.server.types import AddLarge

    store = Store(root)
    Running("", store).token("ada")
    ada = store.accounts.find("ada")
    assert ada is not None
    repo = store.repos.create("dataset", REPO, author="ada")
    writer = store.blobs.begin()
    with path.open("rb") as file:
        while piece := file.read(2**20):
            writer.write(piece)
    added = [AddLarge("data/train.parquet", *writer.finish(None, None, ada))]
    store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="data", uploader=ada)
    store.close()


def url(operation: str, **query: object) -> str:
    given = {"dataset": REPO, "config": "default", "split": "train", **query}
    return f"/datasets-server/{operation}?{urlencode(given)}"


def _queries(server: Server, path: Path, rounds: int) -> Iterator[Row]:
    random_ = random.Random(0)
    numbers = itertools.count()

    def page() -> str:
        return url("rows", offset=random_.randrange(ROWS - 100), length=100)

    def filter_() -> str:
        return url("filter", where=f'"label"=3 AND "length">{108 + next(numbers) / 1000}', offset=1000, length=100)

    def order() -> str:
        return url("filter", orderby='"score" DESC', offset=100 * next(numbers), length=100)

    def search() -> str:
        return url("search", query=f"abc{next(numbers):c}", length=100)

    def read_page() -> None:
        pq.read_table(path).slice(random_.randrange(ROWS - 100), 100).to_pylist()

    def read_filter() -> None:
        table = pq.read_table(path)
        mask = pc.and_(pc.equal(table["label"], 3), pc.greater(table["length"], 108))
        table.filter(mask).slice(1000, 100).to_pylist()

    with closing(server.line().connection) as connection:
        ask(connection, page())  # starts the process
        yield _row(server, connection, "page of 100 rows, any offset", page, PAGES * rounds, 0.02, read_page)
        yield _row(server, connection, "filter with count, 100 rows", filter_, 8 * rounds, 0.1, read_filter)
        numbers = itertools.count()
        yield _row(server, connection, "100 rows in descending order of a float", order, 4 * rounds, None)
        numbers = itertools.count(97)
        yield _row(server, connection, "text search with count, 100 rows", search, min(rounds, 26), None)

        def statistics() -> str:
            return url("statistics")

        yield _row(server, connection, "statistics of 6 columns", statistics, 1, 1.0)


def _row(
    server: Server,
    connection: http.client.HTTPConnection,
    case: str,
    path: Callable[[], str],
    count: int,
    goal: float | None,
    baseline: Callable[[], None] | None = None,
) -> Row:
    """Measure processor seconds of one request, and of the baseline."""
    waits = []
    before = _processor_time(server)
    for _ in range(count):
        waits.append(seconds(lambda: ask(connection, path())))
    # the kernel adds the time of a query's process when the next one starts
    ask(connection, url("rows", offset=ROWS, length=0, revision="main"))
    ours = (_processor_time(server) - before) / count
    theirs = None if baseline is None else median(_cpu(baseline) for _ in range(3))
    print(f"{case}: median wait {1000 * median(waits):.0f} ms")
    bound: Goal | None = None if goal is None else ("ours", "<=", goal)
    ratio = None if theirs is None else theirs / ours
    return Row(case=case, unit="CPU s", theirs=theirs, ours=ours, ratio=ratio, goal=bound)


def _viewers(server: Server) -> Iterator[Row]:
    """Measure the memory of the server and its processes while many users look at the dataset."""
    finished = threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not finished.wait(0.02):
            peak[0] = max(peak[0], _memory_mib(server.process.pid))

    def look(number: int) -> None:
        random_ = random.Random(number)
        with closing(server.line().connection) as connection:
            for turn in range(REQUESTS):
                ask(connection, url("rows", offset=random_.randrange(ROWS - 100), length=100))
                score = random_.random()
                ask(connection, url("filter", where=f'"score"<{score} AND "label"=1', offset=100 * turn, length=100))
            ask(connection, url("search", query=f"ab{97 + number:c}", length=100))
            ask(connection, url("statistics", revision="HEAD"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    threads = [threading.Thread(target=look, args=(number,)) for number in range(VIEWERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - started
    finished.set()
    watcher.join()
    case = f"memory of all processes, {VIEWERS} viewers at once"
    yield Row(case=case, unit="MiB", theirs=None, ours=peak[0], goal=("ours", "<=", 300.0))
    requests = VIEWERS * (2 * REQUESTS + 2)
    yield Row(case=f"requests of {VIEWERS} viewers", unit="requests/s", theirs=None, ours=requests / taken)


def ask(connection: http.client.HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {body[:300]!r}")


def _cpu(job: Callable[[], None]) -> float:
    started = time.process_time()
    job()
    return time.process_time() - started


def _descendants(process: int) -> list[int]:
    """Return a process and its descendants."""
    found = [process]
    for parent in found:
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def _processor_time(server: Server) -> float:
    """Return the processor time of the server, of its viewer process, and of the finished queries, in seconds."""
    own = processor_time(server.process.pid)
    for pid in _descendants(server.process.pid)[1:]:
        own += processor_time(pid, finished_children=True)
    return own


def _memory_mib(process: int) -> float:
    """Return the memory of a process and its descendants; shared pages are counted once."""
    total = 0
    for pid in _descendants(process):
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024

"""Web pages of the Hub: processor time of a response, cached and uncached, and lists of 100 and 10,000 models.

The server is `seqhub serve` in a process of its own with one connection. Processor times are those of this process, as
reported by the kernel, divided by the number of requests, since the machines are shared; the median wait for the first
byte is printed. An uncached page is one of contents that were not requested before. The baseline of the long list is
the short one.
"""

import http.client
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.hub import Server, processor_time, serving
from benchmarks.timing import Goal, Row

ROOT = Path(__file__).parent.parent
CARD = ROOT / "seqhub" / "pretrained_models" / "qrsu-hard-lstm" / "README.md"
CODE = ROOT / "seqhub" / "server" / "pages" / "lists.py"
SHORT, LONG = 100, 10_000  # models of a Hub
UNSEEN = 20  # requests of each uncached page
REPEATED = 100  # requests of each cached page in a round
CACHED: Goal = ("ours", "<=", 10.0)
UNCACHED: Goal = ("ours", "<=", 60.0)
HEADERS = {"Accept": "text/html", "Accept-Encoding": "gzip"}


def run(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder) / "few", Path(folder) / "many"
        prepare(few, SHORT)
        prepare(many, LONG)
        with serving(few) as short, serving(many) as long:
            return [*_pages(short, rounds), *_lists(short, long, rounds)]


def prepare(root: Path, count: int) -> None:
    """Create a Hub with models of the user ada, and with the repositories of the other pages."""
    from seqhub.server.serve import Running
    from seqhub.server.store import Store
    from seqhub.server.types import AddSmall, Operation

    store = Store(root)
    Running("", store).token("ada")
    ada = store.accounts.find("ada")
    assert ada is not None

    def make(name: str, *files: Operation) -> None:
        repo = store.repos.create("model", f"ada/{name}", author="ada")
        if files:
            store.commits.create(repo, "main", files, expected_parent=None, author="ada", title="files", uploader=ada)

    for number in range(count):
        fields = {"license": ["mit", "apache-2.0"][number % 2], "tags": [f"tag-{number % 7}"], "library_name": "x"}
        card = AddSmall("README.md", f"---\n{json.dumps(fields)}\n---\n".encode())
        make(f"model-{number}", *([card] if number % 10 == 0 else []))
    card_text, code = CARD.read_text(encoding="utf-8"), CODE.read_text(encoding="utf-8")
    for number in range(UNSEEN):
        rows = "".join(json.dumps({"sequences": 100 * n, "loss": 1 / (n + number)}) + "\n" for n in range(1, 200))
        make(
            f"net-{number}",
            AddSmall("README.md", f"{card_text}\n\nNumber {number}.".encode()),
            AddSmall("code.py", f"# {number}\n{code}".encode()),
            AddSmall("history.jsonl", rows.encode()),
        )
    store.close()


def _pages(server: Server, rounds: int) -> Iterator[Row]:
    """Measure pages that were not requested before, then the same ones again."""
    for title, path in (
        ("home", "/"),
        ("card of a model", "/ada/net-{}"),
        ("file of code", "/ada/net-{}/blob/main/code.py"),
        ("folder", "/ada/net-{}/tree/main"),
        ("history", "/ada/net-{}/commits/main"),
        ("commit with its diff", "/ada/net-{}/commit/main"),
        ("curves of a run", "/ada/net-{}/-/runs/main"),
    ):
        paths = [path.format(number) for number in range(UNSEEN)]
        if len(set(paths)) > 1:
            yield _row(server, f"{title}, uncached", paths, UNSEEN, UNCACHED)
        yield _row(server, f"{title}, cached", paths[:1], REPEATED * rounds, CACHED)


def _row(server: Server, case: str, paths: Sequence[str], count: int, goal: Goal) -> Row:
    ours, wait = _measured(server, paths, count)
    print(f"{case}: median wait for the first byte {wait:.1f} ms")
    return Row(case=case, unit="CPU ms", theirs=None, ours=ours, goal=goal)


def _lists(few: Server, many: Server, rounds: int) -> Iterator[Row]:
    """Measure lists of two Hubs."""
    for title, path in (
        ("list", "/models"),
        ("search", "/models?q=model-9"),
        ("list of a tag", "/models?tag=tag-3"),
        ("list by downloads", "/models?sort=downloads"),
    ):
        theirs, ours = (_measured(server, [path], REPEATED * rounds)[0] for server in (few, many))
        case = f"{title} of 10,000 models, against 100"
        yield Row(case=case, unit="CPU ms", theirs=theirs, ours=ours, ratio=ours / theirs, goal=("ratio", "<=", 2.0))


def _measured(server: Server, paths: Sequence[str], count: int) -> tuple[float, float]:
    """Return processor time and median wait for the first byte of a request, in milliseconds."""
    with closing(server.line().connection) as connection:
        before = processor_time(server.process.pid)
        waits = [_first_byte(connection, paths[number % len(paths)]) for number in range(count)]
        return 1000 * (processor_time(server.process.pid) - before) / count, 1000 * median(waits)


def _first_byte(connection: http.client.HTTPConnection, path: str) -> float:
    """Return the seconds from sending a request to the first byte of its response."""
    started = time.perf_counter()
    connection.request("GET", path, headers=HEADERS)
    response = connection.getresponse()
    response.read(1)
    taken = time.perf_counter() - started
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status}")
    return taken

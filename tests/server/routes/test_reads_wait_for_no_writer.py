"""Read requests do not wait for a writer in this or another process."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app, table
from seqhub.server.settings import Settings
from seqhub.server.store import Limits, Store
from seqhub.server.store.token_uses import TokenUses
from seqhub.server.types import AddLarge, AddSmall
from tests.server.routes.conftest import Hub
from tests.server.routes.test_table import headers_of, name_of, path_of

BUSY = 300.0  # seconds that a request waits for a writer before it fails
LIMIT = 30.0  # seconds for all requests together
READS = [route for route in table() if route.method == "GET" and route.permission != "signed"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    store = Store(Path(tmp_path_factory.mktemp("hub")), limits=Limits(busy_seconds=BUSY))
    ada = store.accounts.create("ada")
    repo = store.repos.create("model", "ada/open", author="ada")
    writer = store.blobs.begin()
    writer.write(b"\0large")
    operations = [AddLarge("w.bin", *writer.finish(None, None, ada)), AddSmall("a.txt", b"a")]
    store.commits.create(repo, "main", operations, expected_parent=None, author="ada", title="t", uploader=ada)
    store.discussions.propose(repo, [AddSmall("p.txt", b"p")], author="ada", title="p", uploader=ada)
    store.repos.update(repo, gated="manual")
    app = create_app(store, settings=Settings())
    yield Hub(store, TestClient(app, raise_server_exceptions=True), {})
    store.close()


@contextmanager
def another_process(store: Store) -> Iterator[None]:
    with closing(sqlite3.connect(store.root / "hub.sqlite3", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def this_process(store: Store) -> AbstractContextManager[Any]:
    return store.database.transaction()


@pytest.mark.parametrize("writing", [this_process, another_process])
def test_reads_do_not_wait(hub: Hub, writing: Callable[[Store], AbstractContextManager[Any]]) -> None:
    """Send every GET of the table, HEAD, and POST requests that read, each with an unused token."""
    posts: list[tuple[str, Any]] = [
        ("/api/models/ada/open/paths-info/main", {"json": {"paths": ["w.bin"], "expand": "true"}}),
        ("/api/models/ada/open/preupload/main", {"json": {"files": [{"path": "a.txt", "size": 1, "sample": ""}]}}),
        ("/api/validate-yaml", {"json": {"content": "# x"}}),
        ("/ada/open.git/info/lfs/objects/batch", {"json": {"operation": "download", "objects": []}}),
        ("/ada/open.git/info/lfs/objects/batch", {"json": {"operation": "upload", "objects": []}}),
        ("/ada/open.git/git-upload-pack", {"content": b"0000"}),
    ]
    requests = [("GET", path_of(route, "ada/open"), {"headers": headers_of(route)}) for route in READS]
    requests += [("HEAD", "/ada/open/resolve/main/w.bin", {}), ("GET", "/ada/open/resolve/main/w.bin", {})]
    requests += [("POST", path, given) for path, given in posts]
    secrets = [hub.store.tokens.create("ada", f"{number}", "write")[0] for number in range(len(requests))]
    statuses: list[tuple[str, str, int]] = []

    def send_requests() -> None:
        for secret, (method, path, given) in zip(secrets, requests, strict=True):
            headers = {"Authorization": f"Bearer {secret}"} | given.pop("headers", {})
            answer = hub.client.request(method, path, headers=headers, follow_redirects=False, **given)
            statuses.append((method, path, answer.status_code))

    thread = threading.Thread(target=send_requests)
    with writing(hub.store):
        thread.start()
        thread.join(LIMIT)
        waiting = thread.is_alive()
    thread.join()
    assert not waiting, f"waits for the writer: {requests[len(statuses)]}"
    assert [status for status in statuses if status[2] in (500, 503)] == []
    assert all(token.last_used is not None for token in hub.store.tokens.of_user("ada"))


def test_all_read_routes_are_tested() -> None:
    assert len(READS) > 25, [name_of(route) for route in READS]


def test_the_last_use_is_written_when_the_server_stops(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    store.accounts.create("ada")
    secret, _ = store.tokens.create("ada", "t", "read")
    assert store.tokens.find(secret) is not None
    store.close()
    store = Store(tmp_path / "hub")
    (token,) = store.tokens.of_user("ada")
    assert token.last_used is not None
    store.close()


def test_a_store_on_a_full_disk_can_read_and_close(tmp_path: Path) -> None:
    """A request must not fail if the time of use cannot be written."""
    store = Store(tmp_path / "hub", limits=Limits(busy_seconds=0.01))
    store.accounts.create("ada")
    secret, _ = store.tokens.create("ada", "t", "read")
    with another_process(store):
        assert store.tokens.find(secret) is not None
        store.close()


def test_last_use_is_returned_with_an_older_snapshot() -> None:
    """A reader may have rows from before the write and read the time of use after it."""
    written = threading.Event()
    uses = TokenUses(lambda _: written.set())
    uses.note(1, 5)
    assert written.wait(10)
    uses.close()  # the write has finished
    assert uses.last(1) == 5
    assert uses.last(2) is None

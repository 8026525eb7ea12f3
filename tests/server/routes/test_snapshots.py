"""Each request reads one snapshot of the database, in one transaction."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app, table
from seqhub.server.settings import Settings
from seqhub.server.store import Store, database, objects
from seqhub.server.types import AddLarge, AddSmall, Operation, Repo
from tests.server.routes.conftest import Hub
from tests.server.routes.test_table import headers_of, name_of, path_of


@dataclass
class Statements:
    """Statements of all connections of a store, as executed by SQLite."""

    texts: list[str] = field(default_factory=list)
    on_text: Callable[[str], None] | None = None

    def note(self, text: str) -> None:
        self.texts.append(text)
        if self.on_text is not None:
            self.on_text(text)

    @property
    def reads(self) -> int:
        return self.texts.count("BEGIN")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    found = Statements()

    class Traced(objects.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.set_trace_callback(found.note)

    monkeypatch.setattr(database, "Connection", Traced)
    return found


@pytest.fixture
def hub(tmp_path: Path, statements: Statements) -> Iterator[Hub]:
    store = Store(tmp_path / "hub")
    ada = store.accounts.create("ada")
    lab = store.accounts.create("lab", is_org=True)
    store.accounts.add_member("lab", "ada", "write")
    hub = Hub(
        store,
        TestClient(create_app(store, settings=Settings()), raise_server_exceptions=True),
        {"ada": store.tokens.create("ada", "t", "write")[0]},
    )
    repo = hub.make("ada/net", **{"config.json": b'{"model_type": "x"}', "README.md": b"---\nlicense: mit\n---\n"})
    assert store.repos.create("model", "lab/net", author=lab.name)
    add_large(store, repo, b"\0large")
    for secret in hub.tokens.values():
        assert store.tokens.find(secret)  # so that its use is not written during a measured request
    store.discussions.open(repo, "t", "d", ada.name, pull_request=False)
    yield hub
    store.close()


def add_large(store: Store, repo: Repo, content: bytes) -> None:
    ada = store.accounts.find("ada")
    assert ada is not None
    writer = store.blobs.begin()
    writer.write(content)
    operations: list[Operation] = [AddLarge("w.bin", *writer.finish(None, None, ada)), AddSmall("b.txt", content)]
    store.commits.create(repo, "main", operations, expected_parent=None, author="ada", title="more", uploader=ada)


@pytest.mark.parametrize("who", [None, "ada"])
@pytest.mark.parametrize(
    "path",
    [
        "/ada/net/resolve/main/a.txt",
        "/ada/net/resolve/main/w.bin",
        "/ada/net/raw/main/a.txt",
        "/api/models/ada/net",
        "/api/models/ada/net?blobs=true",
        "/api/models/ada/net/revision/main",
        "/api/models/ada/net/tree/main?recursive=true&expand=true",
        "/api/models/ada/net/commits/main",
        "/api/models/ada/net/refs?include_prs=true",
        "/api/models/ada/net/discussions/1",
        "/api/models",
        "/api/users/ada/overview",
        "/api/organizations/lab/members",
    ],
)
def test_a_request_that_reads_has_one_transaction(hub: Hub, statements: Statements, path: str, who: str | None) -> None:
    statements.texts.clear()
    answer = hub("GET", path, who)
    assert answer.status_code == 200, answer.text
    assert statements.reads == 1


def test_whoami_has_one_transaction(hub: Hub, statements: Statements) -> None:
    statements.texts.clear()
    assert [org["name"] for org in hub("GET", "/api/whoami-v2").json()["orgs"]] == ["lab"]
    assert statements.reads == 1


def test_read_routes_have_at_most_two_transactions(hub: Hub, statements: Statements) -> None:
    """One to admit the request, and one after it waited for a heavy worker."""
    counts = {}
    for route in table():
        if route.method == "GET" and "grant" not in route.pattern:
            statements.texts.clear()
            hub("GET", path_of(route, "ada/net"), headers=headers_of(route))
            counts[name_of(route)] = statements.reads
    assert len(counts) > 25
    assert {name: count for name, count in counts.items() if count > 2} == {}


def test_no_transaction_is_open_after_an_answer(hub: Hub, statements: Statements) -> None:
    """Neither while a body is streamed, nor after an error, nor after a write."""
    repo = hub.store.repos.find("model", "ada/net")
    assert repo is not None
    add_large(hub.store, repo, b"\0" * 600_000)
    with closing(sqlite3.connect(hub.store.root / "hub.sqlite3")) as other:
        for method, path, given in [
            ("GET", "/ada/net/resolve/main/w.bin", {}),
            ("GET", "/ada/net/resolve/main/none", {}),
            ("GET", "/ada/net.git/info/refs?service=git-upload-pack", {}),
            ("POST", "/api/models/ada/net/like", {}),
            ("POST", "/api/models/ada/net/branch/b", {"json": {}}),
            ("POST", "/api/models/ada/net/paths-info/main", {"data": {"paths": ["a.txt"]}}),
        ]:
            hub(method, path, **given)
            # a reader would block it; the first value of the row is "busy"
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, path


@pytest.mark.parametrize(
    "path", ["/api/models/ada/net", "/ada/net/resolve/main/a.txt", "/api/models/ada/net/tree/main?expand=true"]
)
def test_a_request_sees_one_state_while_others_write(hub: Hub, statements: Statements, path: str) -> None:
    """A commit, a like, and the deletion of the repository happen during a request."""
    before = hub("GET", path)
    assert before.status_code == 200
    other = Store(hub.store.root)
    repo, ada = other.repos.find("model", "ada/net"), other.accounts.find("ada")
    assert repo is not None
    assert ada is not None
    writes: list[str] = []

    def write(text: str) -> None:
        if "SELECT target FROM refs" in text and not writes:
            writes.append(text)
            files = [AddSmall("a.txt", b"other"), AddSmall("new.txt", b"n"), AddSmall("config.json", b"{}")]
            other.commits.create(repo, "main", files, expected_parent=None, author="ada", title="x", uploader=ada)
            other.likes.add(repo, ada)
            other.repos.delete(repo)

    with closing(other):
        statements.on_text = write
        during = hub("GET", path)
        statements.on_text = None
        assert len(writes) == 1
        assert (during.status_code, during.content) == (200, before.content)
        assert hub("GET", path).status_code == 404
        assert other.maintenance.fsck() == []


def test_a_request_sees_what_it_wrote(hub: Hub) -> None:
    made = hub("POST", "/api/repos/create", json={"name": "made", "type": "model"})
    assert made.status_code == 200
    assert hub("GET", "/api/models/ada/made").json()["sha"]

"""All connections are closed with their store; Python 3.13 warns about connections collected while open."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store, database, objects
from tests.server.store.conftest import small, upload

Connections = list[sqlite3.Connection]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Record all connections that stores open."""
    found: Connections = []

    class Noted(objects.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            found.append(self)

    monkeypatch.setattr(database, "Connection", Noted)
    return found


def open_ones(connections: Connections) -> int:
    count = 0
    for connection in connections:
        try:
            connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            continue
        count += 1
    return count


def test_all_are_closed_after_reads_and_writes_in_threads(tmp_path: Path, connections: Connections) -> None:
    store = Store(tmp_path / "hub")
    ada = store.accounts.create("ada")
    repo = store.repos.create("model", "ada/x", author="ada")
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        with store.database.reading():
            barrier.wait(20)  # so that four connections are in use at a time
        operations = [small(f"{number}"), upload(store, ada, b"%d" % number, f"{number}.bin")]
        store.commits.create(repo, "main", operations, expected_parent=None, author="a", title="t", uploader=ada)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    secret, _ = store.tokens.create("ada", "t", "read")
    assert store.tokens.find(secret) is not None
    store.maintenance.fsck()
    store.maintenance.backup(tmp_path / "backup")
    store.close()
    assert len(connections) >= 4
    assert open_ones(connections) == 0


def test_a_reader_that_outlives_the_store_closes_its_connection(tmp_path: Path, connections: Connections) -> None:
    store = Store(tmp_path / "hub")
    store.accounts.create("ada")
    repo = store.repos.create("model", "ada/x", author="ada")
    objects_of_repo = store.git.all(repo)
    next(objects_of_repo)
    session = store.session()
    with session.snapshot():
        assert session.accounts.find("ada") is not None
        store.close()
        assert open_ones(connections) == 2
    objects_of_repo.close()  # type: ignore[attr-defined]
    assert open_ones(connections) == 0


@pytest.mark.parametrize("fault", ["schema of a newer version", "not a database"])
def test_a_store_that_cannot_be_opened_closes_connections(tmp_path: Path, connections: Connections, fault: str) -> None:
    store = Store(tmp_path / "hub")
    with store.database.transaction() as connection:
        connection.execute("UPDATE meta SET value = 1000 WHERE key = 'schema_version'")
    store.close()
    if fault == "not a database":
        (tmp_path / "hub" / "hub.sqlite3").write_bytes(b"x" * 10_000)
    with pytest.raises(HubHTTPError):
        Store(tmp_path / "hub")
    assert open_ones(connections) == 0


@pytest.mark.parametrize("fail", [lambda store: store.refs.delete_branch, lambda store: store.revisions.resolve])
def test_errors_close_connections(tmp_path: Path, connections: Connections, fail: Callable[[Any], Any]) -> None:
    store = Store(tmp_path / "hub")
    store.accounts.create("ada")
    repo = store.repos.create("model", "ada/x", author="ada")
    session = store.session()
    for _ in range(2):
        with pytest.raises(HubHTTPError), session.snapshot():
            fail(session)(repo, "none")
    store.close()
    assert open_ones(connections) == 0

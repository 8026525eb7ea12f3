"""fsck, backup and restore, old and newer schemas, full and read-only disks."""

import errno
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store, migrations
from seqhub.server.store.fsck import check
from seqhub.server.store.maintenance import restore
from seqhub.server.types import Account, Delete, Repo
from tests.server.store.conftest import Committer, paths, small, upload

DAMAGE = {
    "does not match its id": "UPDATE objects SET data = zeroblob(9), packed = 0 WHERE kind = 'commit'",
    "which is missing": "DELETE FROM objects WHERE kind = 'blob'",
    "cannot be read": "UPDATE objects SET packed = 1 WHERE kind = 'tree'",
    "index and tree differ": "UPDATE files SET oid = zeroblob(20) WHERE path = 'a'",
    "without its folder": "DELETE FROM files WHERE path = 'f'",
    "does not match its SHA-256 and size": "UPDATE files SET size = size + 1 WHERE sha256 IS NOT NULL",
    "points to no commit": "UPDATE refs SET target = 999",
    "is not stored": "DELETE FROM blobs",
}


@pytest.mark.parametrize(("message", "statement"), DAMAGE.items(), ids=DAMAGE)
def test_fsck_finds(store: Store, repo: Repo, alice: Account, commit: Committer, message: str, statement: str) -> None:
    commit(repo, small("a", "x" * 1000), small("f/b"), upload(store, alice, b"large"))
    assert store.maintenance.fsck() == []
    with store.database.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")
        connection.execute("COMMIT")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(statement)
        connection.execute("BEGIN")
    assert any(message in problem for problem in store.maintenance.fsck())


CHANGES = (
    "UPDATE files SET oid = zeroblob(20)",
    "UPDATE files SET path = path || 'x'",
    "UPDATE files SET kind = 1 - kind",
    "UPDATE OR IGNORE files SET added = added - 1",
    "UPDATE OR IGNORE files SET added = added + 1",
    "UPDATE files SET removed = 9223372036854775807 - (removed = 9223372036854775807)",
    "DELETE FROM files",
)


def test_fsck_finds_every_change_of_the_index(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    """This includes the middle of a history, where commits are compared with their parents only."""
    commit(repo, *(small(f"d/{folder}/{name}") for folder in "ef" for name in "ab"), small("p"))
    middle = commit(repo, small("d/e/a", "new"), upload(store, alice, b"large"))
    commit(repo, Delete("d/f", is_folder=True))
    commit(repo, small("d/f", "a file now"))
    store.refs.create_branch(repo, "side", middle.oid)
    commit(repo, small("s"), Delete("d/e/b", is_folder=False), ref="side")
    commit(repo, small("d/e/a", "other"), ref="side")
    commit(repo, Delete("p", is_folder=False))
    assert store.maintenance.fsck() == []
    with store.database.reading() as connection:
        rows = connection.execute("SELECT line, path, added FROM files WHERE kind < 2").fetchall()
    assert len(rows) > 20
    for row in rows:
        for change in CHANGES:
            with store.database.reading() as connection:  # rolled back at the end
                connection.execute(f"{change} WHERE line = ? AND path = ? AND added = ?", row)
                (is_changed,) = connection.execute("SELECT changes()").fetchone()
                assert not is_changed or list(check(connection, store.root / "blobs")), (row, change)
    assert store.maintenance.fsck() == []


def test_fsck_finds_changed_and_missing_files(store: Store, alice: Account) -> None:
    first, second = (store.blobs.find(upload(store, alice, content).sha256) for content in (b"one", b"two"))
    first.write_bytes(b"ONE")
    second.unlink()
    assert sorted(problem.split()[-1] for problem in store.maintenance.fsck()) == ["missing", "name"]


def test_backup_and_restore(store: Store, repo: Repo, alice: Account, commit: Committer, tmp_path: Path) -> None:
    head = commit(repo, small("a"), upload(store, alice, b"large"))
    store.maintenance.backup(tmp_path / "backup")
    commit(repo, small("later"))
    with pytest.raises(HubHTTPError, match="already exists"):
        store.maintenance.backup(tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    again = Store(tmp_path / "again")
    assert again.maintenance.fsck() == []
    assert again.revisions.resolve(repo, "main") == head
    assert again.revisions.content(repo, head, again.revisions.entry(repo, head, "model.bin")).read_bytes() == b"large"
    assert again.instance_id != store.instance_id
    assert again.secret == store.secret
    for source, target, status in ((tmp_path, tmp_path / "x", 404), (tmp_path / "backup", tmp_path / "again", 409)):
        with pytest.raises(HubHTTPError) as caught:
            restore(source, target)
        assert caught.value.status == status
    again.close()


def test_a_failed_backup_leaves_nothing(store: Store, alice: Account, tmp_path: Path) -> None:
    store.blobs.find(upload(store, alice, b"large").sha256).unlink()
    with pytest.raises(HubHTTPError, match="was removed"):
        store.maintenance.backup(tmp_path / "backup")
    assert [path.name for path in tmp_path.iterdir()] == ["hub"]


def test_a_reopened_store_is_the_same(store: Store, repo: Repo) -> None:
    again = Store(store.root)
    assert (again.instance_id, again.secret, again.repos.find("model", "alice/lstm")) == (
        store.instance_id,
        store.secret,
        repo,
    )
    new = again.maintenance.renew_instance()
    assert store.instance_id == new
    again.close()
    with pytest.raises(HubHTTPError, match="shutting down"):
        again.repos.find("model", "alice/lstm")


def test_migrations_go_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path / "hub").close()
    steps = (*migrations.STEPS, "CREATE TABLE more (a);\nINSERT INTO more VALUES (';');")
    broken = (*steps, "CREATE TABLE even_more (a);\nINSERT INTO nowhere VALUES (1);")
    monkeypatch.setattr(migrations, "STEPS", broken)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        Store(tmp_path / "hub")
    monkeypatch.setattr(migrations, "STEPS", steps)
    store = Store(tmp_path / "hub")
    with store.database.reading() as connection:
        assert connection.execute("SELECT a FROM more").fetchall() == [(";",)]
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'even_more'").fetchone() == (0,)
    store.close()
    monkeypatch.setattr(migrations, "STEPS", steps[:1])
    with pytest.raises(HubHTTPError, match="update seqhub"):
        Store(tmp_path / "hub")


def test_a_file_that_is_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "hub.sqlite3").write_bytes(b"x" * 10_000)
    with pytest.raises(HubHTTPError, match="not a database") as caught:
        Store(tmp_path / "hub")
    assert caught.value.status == 503


def test_a_full_database_raises_507_and_recovers(store: Store, repo: Repo, commit: Committer) -> None:
    before = commit(repo, small("a"))
    with store.database.pool.connection() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    noise = os.urandom(100_000).hex()
    with pytest.raises(HubHTTPError, match="no space left") as caught:
        commit(repo, small("b", noise), *(small(f"c{n}") for n in range(500)))
    assert caught.value.status == 507
    assert store.revisions.resolve(repo, "main") == before
    assert store.maintenance.fsck() == []
    with store.database.pool.connection() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages + 100_000}")
    commit(repo, small("b", noise))
    assert paths(store, repo) == {"a", "b"}


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EROFS, 503), (errno.EIO, 503)]
)
def test_uploads_fail_on_a_full_disk(
    store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(HubHTTPError, match="nothing was stored") as caught:
            upload(store, alice, b"large")
    assert caught.value.status == status
    assert not list((store.root / "tmp").iterdir())
    upload(store, alice, b"large")


def test_a_read_only_database_raises_503(store: Store, repo: Repo, commit: Committer) -> None:
    with store.database.pool.connection() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(HubHTTPError, match="read-only") as caught:
        commit(repo, small("a"))
    assert caught.value.status == 503
    assert paths(store, repo) == set()


@pytest.fixture
def tiny_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, timeout=20).returncode:
        pytest.skip("may not mount a tmpfs here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


def test_a_real_disk_that_fills_up_and_is_then_read_only(tiny_disk: Path) -> None:
    store = Store(tiny_disk / "hub")
    alice = store.accounts.create("alice")
    repo = store.repos.create("model", "alice/x", author="alice")
    common = {"expected_parent": None, "author": "a", "title": "t", "uploader": alice}
    kept, statuses = set(), []
    for number in range(60):
        noise = os.urandom(100_000)
        try:
            if number % 2:
                operation = upload(store, alice, noise, f"{number}.bin")
            else:
                operation = small(f"{number}.txt", noise.hex())
            store.commits.create(repo, "main", [operation], **common)
            kept.add(operation.path)
        except HubHTTPError as error:
            statuses.append(error.status)
    assert kept
    assert set(statuses) == {507}
    assert paths(store, repo) == kept
    assert store.maintenance.fsck() == []
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True, timeout=20)
    for root in ("hub", "new"):
        with pytest.raises(HubHTTPError) as caught, closing(Store(tiny_disk / root)) as unwritable:
            unwritable.accounts.create("bob")
        assert caught.value.status == 503
    subprocess.run(["mount", "-o", "remount,rw", str(tiny_disk)], check=True, timeout=20)
    again = Store(tiny_disk / "hub")
    assert paths(again, repo) == kept
    again.close()

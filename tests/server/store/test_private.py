"""Only the owner can read a root, independent of the umask."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from seqhub.server.serve import running
from seqhub.server.store import Store
from seqhub.server.store.maintenance import restore
from seqhub.server.types import AddSmall
from tests.helpers.xet_writers import Piece, Xorb, file_records, shard
from tests.server.large.conftest import Cas
from tests.server.store.conftest import upload


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_below(root: Path) -> list[str]:
    """Return the paths with permissions for others, or without permissions for the owner."""
    wanted = {True: 0o700, False: 0o600}
    found = [(path, stat.S_IMODE(path.lstat().st_mode)) for path in [root, *root.rglob("*")]]
    return [f"{path.relative_to(root)} {mode:o}" for path, mode in found if mode != wanted[path.is_dir()]]


def fill(store: Store) -> None:
    alice = store.accounts.create("alice")
    repo = store.repos.create("model", "alice/x", author="alice")
    operations = [upload(store, alice, b"large"), AddSmall("a.txt", b"a")]
    store.commits.create(repo, "main", operations, expected_parent=None, author="alice", title="t", uploader=alice)


@pytest.mark.usefixtures("umask")
def test_a_root_is_private(tmp_path: Path) -> None:
    """Check a root with unfinished uploads by LFS, in parts and by Xet, a backup, a restore and an export."""
    root = tmp_path / "hub"
    with running(root) as hub:
        fill(hub.store)
        waiting = hub.store.blobs.begin()
        waiting.write(b"waits")
        batch = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 6 * 2**30}], "transfers": ["multipart"]}
        headers = {"Authorization": f"Bearer {hub.token('alice')}"}
        with httpx2.Client(base_url=hub.url, trust_env=False) as http:
            answer = http.post("/alice/x.git/info/lfs/objects/batch", json=batch, headers=headers).json()
            http.put(answer["objects"][0]["actions"]["upload"]["header"]["1"], content=b"too short")
            found = http.get("/api/models/alice/x/xet-write-token/main", headers=headers).json()
            cas = Cas(http, found["casUrl"], found["accessToken"])
            for xorb in (Xorb([b"one", b"two"]), Xorb([b"three"])):
                assert cas.xorb(xorb).status_code == 200
            assert cas.shard(shard(file_records([Piece(xorb, 0, 1)]))).status_code == 200
        assert {path.name for path in root.iterdir()} >= {"hub.sqlite3-wal", "blobs", "tmp", "parts", "xorbs"}
        assert open_below(root) == []
        waiting.abort()
        hub.store.maintenance.backup(tmp_path / "backup")
        repo = hub.store.repos.find("model", "alice/x")
        assert repo is not None
        hub.store.git.export(repo, tmp_path / "git")
    restore(tmp_path / "backup", tmp_path / "restored")
    for folder in ("backup", "restored", "git"):
        assert open_below(tmp_path / folder) == []


def loosen(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("keeps", ["nothing", "root", "database"])
def test_an_old_root_is_closed_when_it_is_opened(tmp_path: Path, keeps: str) -> None:
    root = tmp_path / "hub"
    store = Store(root)
    fill(store)
    store.close()
    loosen(root)
    if keeps == "root":
        root.chmod(0o700)
    if keeps == "database":
        (root / "hub.sqlite3").chmod(0o600)
    Store(root).close()
    assert open_below(root) == []


def test_an_old_backup_is_restored_into_a_private_root(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    fill(store)
    store.maintenance.backup(tmp_path / "backup")
    store.close()
    shutil.copytree(tmp_path / "backup", tmp_path / "old")
    loosen(tmp_path / "old")
    (tmp_path / "new").mkdir(mode=0o755)
    restore(tmp_path / "old", tmp_path / "new")
    assert open_below(tmp_path / "new") == []


def test_files_next_to_a_root_are_not_changed(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    root.mkdir(mode=0o755)
    (root / "notes.txt").write_text("mine")
    (root / "notes.txt").chmod(0o644)
    Store(root).close()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert stat.S_IMODE((root / "notes.txt").stat().st_mode) == 0o644

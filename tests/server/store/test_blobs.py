"""Large files, stored by their hash."""

import hashlib
import os
from pathlib import Path

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Limits, Store
from seqhub.server.types import Account, Repo
from tests.server.store.conftest import Committer, upload


def files(store: Store) -> list[Path]:
    return [path for folder in ("blobs", "tmp") for path in (store.root / folder).rglob("*") if path.is_file()]


def test_equal_content_is_stored_once(store: Store, alice: Account, bob: Account) -> None:
    content = os.urandom(300_000)
    for account in (alice, bob, alice):
        writer = store.blobs.begin()
        for start in range(0, len(content), 65_536):
            writer.write(content[start : start + 65_536])
        sha256, size = writer.finish(hashlib.sha256(content).hexdigest().upper(), len(content), account)
    assert (sha256, size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert store.blobs.find(sha256).read_bytes() == content
    assert files(store) == [store.blobs.find(sha256)]
    assert store.blobs.may_use(bob, sha256)
    for wrong in ("0" * 64, sha256.upper(), "../" + sha256, "", "x" * 64):
        assert store.blobs.find(wrong) is None
        assert not store.blobs.may_use(bob, wrong)


@pytest.mark.parametrize(("sha256", "size"), [("0" * 64, None), (None, 4), (None, 6), ("x", 5)])
def test_a_wrong_hash_or_size_leaves_nothing(
    store: Store, alice: Account, sha256: str | None, size: int | None
) -> None:
    writer = store.blobs.begin()
    writer.write(b"12345")
    with pytest.raises(HubHTTPError, match="as announced") as caught:
        writer.finish(sha256, size, alice)
    assert caught.value.status == 400
    assert files(store) == []
    assert not store.blobs.may_use(alice, hashlib.sha256(b"12345").hexdigest())


def test_uncommitted_uploads_are_limited(tmp_path: Path) -> None:
    store = Store(tmp_path / "small", limits=Limits(waiting_bytes=100))
    alice, bob = store.accounts.create("alice"), store.accounts.create("bob")
    repo = store.repos.create("model", "alice/x", author="alice")
    first = upload(store, alice, b"a" * 60)
    assert upload(store, alice, b"a" * 60) == first, "equal content is counted once"
    with pytest.raises(HubHTTPError, match="60 bytes that you sent wait for a commit; 41 more") as caught:
        upload(store, alice, b"b" * 41)
    assert (caught.value.status, caught.value.code) == (413, "UploadQuota")
    with pytest.raises(HubHTTPError):
        store.blobs.check_upload_quota(alice, 41)
    assert len(files(store)) == 1
    upload(store, bob, b"b" * 100)
    upload(store, alice, b"c" * 40)
    store.commits.create(repo, "main", [first], expected_parent=None, author="alice", title="t", uploader=alice)
    upload(store, alice, b"d" * 60)
    upload(store, alice, b"a" * 60)  # already committed
    store.maintenance.gc(-1)
    upload(store, alice, b"e" * 100)
    assert store.maintenance.fsck() == []
    store.close()


def test_an_aborted_upload_leaves_nothing(store: Store) -> None:
    writer = store.blobs.begin()
    writer.write(b"12345")
    writer.abort()
    writer.abort()
    assert files(store) == []
    with pytest.raises(ValueError, match="finished"):
        writer.write(b"more")


def test_the_file_is_flushed_before_the_row_is_written(
    store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order: temporary file, fsync, rename, fsync of the folder, transaction."""
    happened: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (happened.append(f"fsync {Path(f'/proc/self/fd/{fd}').readlink()}"), real_fsync(fd))
    )
    monkeypatch.setattr(Path, "replace", lambda self, to: (happened.append(f"rename {to}"), real_replace(self, to)))
    add = upload(store, alice, b"large")
    path = store.blobs.find(add.sha256)
    assert happened[0].startswith(f"fsync {store.root}/tmp/")
    assert happened[1:] == [f"fsync {store.root}/blobs", f"rename {path}", f"fsync {path.parent}"]


def test_a_damaged_blob_is_replaced_by_a_new_upload(store: Store, alice: Account) -> None:
    add = upload(store, alice, b"large" * 100)
    store.blobs.find(add.sha256).write_bytes(b"trunc")
    assert [problem for problem in store.maintenance.fsck() if "5 bytes, not 500" in problem]
    upload(store, alice, b"large" * 100)
    assert store.maintenance.fsck() == []


def test_gc_keeps_used_and_recent_files(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    named, unnamed = upload(store, alice, b"named"), upload(store, alice, b"unnamed")
    commit(repo, named)
    (store.root / "tmp" / "upload").write_bytes(b"left behind")
    (store.root / "blobs" / "stray").mkdir()
    stray = store.root / "blobs" / "00" / ("0" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"of an upload that died between rename and transaction")
    before = store.instance_id
    assert store.maintenance.gc(3600) == {"blobs": 0, "files": 0, "temporary": 0, "bytes": 0}
    assert store.instance_id == before
    counts = store.maintenance.gc(-1)
    assert (counts["blobs"], counts["files"], counts["temporary"]) == (1, 1, 1)
    assert store.instance_id != before
    assert store.blobs.find(named.sha256) is not None
    assert store.blobs.find(unnamed.sha256) is None
    with pytest.raises(HubHTTPError):
        commit(repo, unnamed)
    assert store.maintenance.fsck() == []

import os
import secrets
import time
from pathlib import Path

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.multipart import PENDING_SECONDS as PARTS_PENDING
from seqhub.server.multipart import PartWriter, joined_parts, remove_upload
from seqhub.server.store import private
from seqhub.server.xet.hashes import to_hex
from seqhub.server.xet.stored_xorb import LostError
from seqhub.server.xet.xorb_store import PENDING_SECONDS, XorbStore, sweep
from tests.helpers.xet_writers import Xorb

XORB = Xorb([b"one", b"two", b"three"])


def put(store: XorbStore, xorb: Xorb = XORB) -> None:
    incoming = store.receive(xorb.hash)
    incoming.write(xorb.raw)
    incoming.finish()
    incoming.abort()


def read(store: XorbStore, first: int, end: int, blobs: dict[str, Path]) -> bytes:
    xorb = store.xorb(XORB.hash, blobs.get)
    try:
        return b"".join(xorb.read(first, end))
    finally:
        xorb.close()


def test_epochs_are_kept_for_each_user(tmp_path: Path) -> None:
    first = XorbStore(tmp_path, "i", 1)
    assert XorbStore(tmp_path, "i", 1).epoch == first.epoch != XorbStore(tmp_path, "i", 2).epoch
    assert XorbStore(tmp_path, "i", 1, first.epoch).epoch == first.epoch
    first.renew()
    assert XorbStore(tmp_path, "i", 1).epoch != first.epoch
    for user, epoch in ((2, first.epoch), (1, ".."), (1, "a" * 16)):
        with pytest.raises(HubHTTPError, match="no longer in use"):
            XorbStore(tmp_path, "i", user, epoch)


def test_a_truncated_record_of_places_is_ignored(tmp_path: Path) -> None:
    """A power failure during an append leaves an incomplete record; earlier records are still valid."""
    store = XorbStore(tmp_path, "i", 1)
    put(store)
    blob = tmp_path / "blob"
    blob.write_bytes(b"..onetwothree")
    sha256 = "ab" * 32
    xorb = store.xorb(XORB.hash, {sha256: blob}.get)
    xorb.place(0, 3, sha256, 2)
    xorb.flush()
    xorb.close()
    (places,) = tmp_path.rglob("*.places")
    with places.open("ab") as file:
        file.write(b"half")
    assert not list(tmp_path.rglob("*.bytes"))
    assert read(store, 0, 3, {sha256: blob}) == b"onetwothree"
    assert read(store, 1, 2, {sha256: blob}) == b"two"
    blob.write_bytes(b"..onet")
    for blobs in ({}, {sha256: blob}):
        with pytest.raises(LostError):
            read(store, 1, 3, blobs)


def test_a_truncated_index_raises_lost_error(tmp_path: Path) -> None:
    store = XorbStore(tmp_path, "i", 1)
    put(store)
    (index,) = tmp_path.rglob("*.chunks")
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(LostError):
        read(store, 0, 1, {})


@pytest.mark.parametrize("torn", [b"", bytes(16), b"\xff" * 16])
def test_a_truncated_epoch_file_is_replaced(tmp_path: Path, torn: bytes) -> None:
    before = XorbStore(tmp_path, "i", 1).epoch
    (note,) = tmp_path.rglob("newest")
    note.write_bytes(torn)
    after = XorbStore(tmp_path, "i", 1).epoch
    assert after != before
    assert XorbStore(tmp_path, "i", 1).epoch == after


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = XorbStore(tmp_path, "i", 1)
    with monkeypatch.context() as patched:
        patched.setattr(private, "create", lambda path, *, buffering: open("/dev/full", "wb", buffering))  # noqa: PTH123, SIM115
        incoming = store.receive(XORB.hash)
    incoming.write(XORB.raw)
    with pytest.raises(OSError, match="No space"):
        incoming.finish()
    incoming.abort()
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".part", ".bytes", ".chunks"}]


def test_sweeping(tmp_path: Path) -> None:
    gone, store = XorbStore(tmp_path, "before", 1), XorbStore(tmp_path, "i", 1)
    put(gone)
    put(store)
    old = Xorb([secrets.token_bytes(9)])
    put(store, old)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.stem == to_hex(old.hash):
            os.utime(path, (0, time.time() - PENDING_SECONDS - 1))
    assert sweep(tmp_path, "i")
    assert not sweep(tmp_path, "i"), "at most once an hour"
    assert not (tmp_path / "xorbs" / "before").exists()
    assert read(store, 0, 3, {}) == b"onetwothree"
    with pytest.raises(LostError):
        b"".join(store.xorb(old.hash, lambda sha256: None).read(0, 1))


def test_parts(tmp_path: Path) -> None:
    etags = []
    for number, content in enumerate((b"one", b"two"), start=1):
        writer = PartWriter(tmp_path, 1, "up", number, 3)
        writer.write(content)
        etags.append(writer.finish())
        writer.abort()
    assert b"".join(joined_parts(tmp_path, 1, "up", etags)) == b"onetwo"
    for wrong in (etags[::-1], [*etags, etags[0]], ["../../x"], [""]):
        with pytest.raises(HubHTTPError):
            b"".join(joined_parts(tmp_path, 1, "up", wrong))
    short = PartWriter(tmp_path, 1, "late", 1, 3)
    short.write(b"xx")
    with pytest.raises(HubHTTPError, match="must have 3"):
        short.finish()
    short.abort()
    os.utime(tmp_path / "parts" / "1" / "late", (0, time.time() - PARTS_PENDING - 1))
    remove_upload(tmp_path, 1, "up")
    assert list((tmp_path / "parts").iterdir()) == []

"""Keeps the xorbs that one user sent, first as bytes, later as notes in which blobs their chunks lie.

hf_xet remembers for three weeks, per CAS address, which chunks it has sent, and then sends shards that name xorbs of
earlier uploads, also after the server was restarted. So a xorb stays known for good, but costs little:

    root/xorbs/INSTANCE/USER/EPOCH/
        HASH.chunks    for each chunk: hash 32, bytes u32
        HASH.bytes     the decoded chunks; removed when places cover all of them
        HASH.places    for each run of chunks: SHA-256 of a blob 32, byte in it u64, first chunk u32, end u32

Places are appended, and only after the blob that they name was made durable. The CAS address holds instance and epoch,
and each user has epochs of his own, so a client never counts on xorbs that another user of the same machine sent. What
is lost (blobs removed, xorbs that no shard named for a week) is healed by a new epoch: under the new address the client
has an empty cache. Uploads under way go on in the old epoch.
"""

import os
import re
import secrets
import shutil
import struct
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final

from seqhub.server.refusal import Refusal
from seqhub.server.xet.hashes import from_hex, to_hex
from seqhub.server.xet.xorb import XorbReader

CHUNK: Final = struct.Struct("<32sI")
PLACE: Final = struct.Struct("<32sQII")
PIECE_BYTES: Final = 1024 * 1024
EPOCH: Final = re.compile(r"[0-9a-f]{16}")
SWEEP_SECONDS: Final = 3600.0
PENDING_SECONDS: Final = 7 * 24 * 3600.0  # a xorb that no shard names goes after this

BlobOf = Callable[[str], Path | None]
Place = tuple[bytes, int, int, int]  # SHA-256 of a blob, byte in it, first chunk, end


class LostError(Exception):
    """Bytes of a xorb that was here are gone; only a new epoch helps."""


class Shelf:
    """The xorbs of one user.

    Args:
        root: The store's folder.
        instance: The store's instance id.
        user: Id of the account.
        epoch: As the CAS address names it; None for the user's newest.

    Raises:
        Refusal: 410: there is no such epoch of this user.
    """

    def __init__(self, root: Path, instance: str, user: int, epoch: str | None = None) -> None:
        self._home = root / "xorbs" / instance / str(user)
        self.epoch = self._newest() if epoch is None else epoch
        self._folder = self._home / self.epoch
        if not EPOCH.fullmatch(self.epoch) or not self._folder.is_dir():
            raise Refusal(410, "This address for uploads is not in use any more: ask for a new one.")

    def receive(self, hash_: bytes) -> "Incoming":
        """Begin to take a xorb."""
        return Incoming(self._folder, to_hex(hash_))

    def xorb(self, hash_: bytes, blob_of: BlobOf) -> "Xorb":
        """A xorb that this user sent.

        Raises:
            LostError: There is none, whoever else may have sent it.
        """
        return Xorb(self._folder / to_hex(hash_), blob_of)

    def renew(self) -> None:
        """Begin a new epoch: from the next upload on, clients forget what they think is here."""
        fresh = self._new_epoch()
        fresh.replace(self._home / "newest")

    def _newest(self) -> str:
        path = self._home / "newest"
        if not path.exists():
            fresh = self._new_epoch()
            with suppress(FileExistsError):  # another process was first
                path.hardlink_to(fresh)
            fresh.unlink()
        return path.read_text()

    def _new_epoch(self) -> Path:
        """Make the folder of a new epoch; returns a file that holds its name."""
        name = secrets.token_hex(8)
        (self._home / name).mkdir(parents=True)
        note = self._home / f"newest.{name}"
        note.write_text(name)
        return note


class Incoming:
    """A xorb on its way in; nothing of it can be seen before `finish`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name, self._target = name, folder / name
        self._part = folder / f"{name}.{secrets.token_hex(4)}.part"
        self._file: BinaryIO = self._part.open("wb", buffering=PIECE_BYTES)
        self._reader = XorbReader(self._file.write)

    def feed(self, piece: bytes) -> None:
        self._reader.feed(piece)

    def finish(self) -> bool:
        """Check it and put it on the shelf; True if it was not there."""
        self._reader.finish(from_hex(self._name))
        self._file.close()
        index = self._target.with_suffix(".chunks")
        known = index.exists()
        if known and Xorb(self._target).is_complete():
            self._part.unlink()
            return False
        self._part.replace(self._target.with_suffix(".bytes"))
        entries = self._part.with_suffix(".index")
        entries.write_bytes(b"".join(CHUNK.pack(*chunk) for chunk in self._reader.chunks))
        entries.replace(index)
        return not known

    def abort(self) -> None:
        """Leave nothing; also right after `finish`."""
        self._file.close()
        self._part.unlink(missing_ok=True)


class Xorb:
    """A xorb on the shelf.

    Args:
        path: Its files, without their suffix.
        blob_of: Where the blob with a SHA-256 lies.

    Raises:
        LostError: It is not there.
    """

    def __init__(self, path: Path, blob_of: BlobOf = lambda sha256: None) -> None:
        self._path, self._blob_of = path, blob_of
        try:
            raw = path.with_suffix(".chunks").read_bytes()
            self.chunks: list[tuple[bytes, int]] = list(CHUNK.iter_unpack(raw))
        except (FileNotFoundError, struct.error):  # a power cut may have left half of it
            raise LostError from None
        self.starts = [0, *accumulate(size for _, size in self.chunks)]
        self._bytes: BinaryIO | None = None
        with suppress(FileNotFoundError):
            self._bytes = path.with_suffix(".bytes").open("rb", buffering=0)
        self._places = self._read_places()
        self._fresh: list[Place] = []

    def is_complete(self) -> bool:
        """Whether all of its chunks are somewhere."""
        return self._bytes is not None or self._covered(0) >= len(self.chunks)

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """Bytes of chunks `first` to `end` (not included), in pieces of at most 1 MiB.

        Raises:
            LostError: They are gone.
        """
        if self._bytes is not None:
            yield from _pieces(self._bytes, self.starts[first], self.starts[end] - self.starts[first])
            return
        while first < end:
            sha256, offset, start, stop = self._place_of(first)
            stop = min(stop, end)
            blob = self._blob_of(sha256.hex())
            if blob is None:
                raise LostError
            with blob.open("rb", buffering=0) as file:
                at = offset + self.starts[first] - self.starts[start]
                yield from _pieces(file, at, self.starts[stop] - self.starts[first])
            first = stop

    def place(self, first: int, end: int, sha256: str, offset: int) -> None:
        """Note that chunks `first` to `end` lie in a blob from byte `offset` on; `settle` makes it durable."""
        if self._covered(first) < end:
            run = (bytes.fromhex(sha256), offset, first, end)
            self._fresh.append(run)
            self._places = sorted([*self._places, run], key=lambda place: place[2])

    def settle(self) -> None:
        """Write the new places, and drop the bytes if they are not needed any more."""
        if self._fresh:
            index = self._path.with_suffix(".chunks")
            if not self._path.with_suffix(".places").exists():
                _sync(index)
            with self._path.with_suffix(".places").open("ab") as file:
                file.write(b"".join(PLACE.pack(*run) for run in self._fresh))
                file.flush()
                os.fsync(file.fileno())
            _sync(index.parent)
            self._fresh = []
        if self._bytes is not None and self._covered(0) >= len(self.chunks):
            self._path.with_suffix(".bytes").unlink(missing_ok=True)

    def close(self) -> None:
        if self._bytes is not None:
            self._bytes.close()

    def _read_places(self) -> list[Place]:
        try:
            raw = self._path.with_suffix(".places").read_bytes()
        except FileNotFoundError:
            return []
        whole = len(raw) - len(raw) % PLACE.size  # a power cut may have left half a record at the end
        return sorted(PLACE.iter_unpack(raw[:whole]), key=lambda place: place[2])

    def _covered(self, first: int) -> int:
        """End of the chunks from `first` on for which places are known."""
        for _, _, start, stop in self._places:
            if start <= first < stop:
                first = stop
        return first

    def _place_of(self, chunk: int) -> Place:
        for place in self._places[: bisect_right(self._places, chunk, key=lambda place: place[2])]:
            if chunk < place[3]:
                return place
        raise LostError


def sweep(root: Path, instance: str, *, now: float | None = None) -> bool:
    """Remove xorbs of earlier instances, and bytes that no shard named for a week; at most once an hour."""
    now = time.time() if now is None else now
    stamp = root / "xorbs" / "swept"
    with suppress(FileNotFoundError):
        if stamp.stat().st_mtime > now - SWEEP_SECONDS:
            return False
    stamp.parent.mkdir(exist_ok=True)
    stamp.touch()
    for folder in stamp.parent.iterdir():
        if folder.is_dir() and folder.name != instance:
            shutil.rmtree(folder, ignore_errors=True)
    for path in (stamp.parent / instance).glob("*/*/*"):
        if path.suffix in {".bytes", ".part", ".index"}:
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < now - PENDING_SECONDS:
                    path.unlink()
    return True


def _pieces(file: BinaryIO, at: int, length: int) -> Iterator[bytes]:
    while length:
        piece = os.pread(file.fileno(), min(length, PIECE_BYTES), at)
        if not piece:
            raise LostError
        yield piece
        at += len(piece)
        length -= len(piece)


def _sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

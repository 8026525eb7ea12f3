"""Stored xorb: its chunks, and the positions of their bytes. See `xorb_store` for the files."""

import os
import struct
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final

from seqhub.io import sync_file, sync_folder
from seqhub.server.store import private
from seqhub.server.xet.hashes import chunk_hash, from_hex, tree_root

CHUNK: Final = struct.Struct("<32sI")
PLACE: Final = struct.Struct("<32sQII")
PIECE_BYTES: Final = 256 * 1024

_SEEKING: Final = threading.Lock()  # where a read moves the position of the file, which threads share

BlobOf = Callable[[str], Path | None]
Place = tuple[bytes, int, int, int]  # SHA-256 of a blob, offset in it, first chunk, end


class LostError(Exception):
    """Raised if bytes of a stored xorb were lost; clients then need a new epoch."""


class Xorb:
    """Xorb in the store.

    Args:
        path: Path of its files, without suffix.
        blob_of: Function from a SHA-256 to the path of the blob.

    Raises:
        LostError: The xorb does not exist.
    """

    def __init__(self, path: Path, blob_of: BlobOf = lambda sha256: None) -> None:
        self._path, self._blob_of = path, blob_of
        try:
            self._index = path.with_suffix(".chunks").read_bytes()
        except FileNotFoundError:
            raise LostError from None
        self.n_chunks, rest = divmod(len(self._index), CHUNK.size)
        if rest or not self.n_chunks:  # truncated or emptied by a power failure
            raise LostError
        sizes = (size for _, size in CHUNK.iter_unpack(self._index))
        self.starts = array("Q", accumulate(sizes, initial=0))  # an array, since a shard may refer to a million chunks
        self._bytes: BinaryIO | None = None
        with suppress(FileNotFoundError):
            self._bytes = path.with_suffix(".bytes").open("rb", buffering=0)
        self._places = self._read_places()
        self._new_places: list[Place] = []

    def chunks(self, first: int, end: int) -> list[tuple[bytes, int]]:
        """Return hash and size of chunks `first` to `end` (not included)."""
        return list(CHUNK.iter_unpack(self._index[first * CHUNK.size : end * CHUNK.size]))

    def is_complete(self) -> bool:
        """Return whether the bytes of all chunks are stored."""
        return self._bytes is not None or self._covered(0) >= self.n_chunks

    def is_intact(self) -> bool:
        """Return whether index and bytes match the hash of the xorb; all bytes are read."""
        chunks = self.chunks(0, self.n_chunks)
        if tree_root(chunks) != from_hex(self._path.name):
            return False
        try:
            return all(
                chunk_hash(b"".join(self.read(number, number + 1))) == hash_ for number, (hash_, _) in enumerate(chunks)
            )
        except LostError:
            return False

    def read(self, first: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of chunks `first` to `end` (not included), in pieces of at most 256 KiB.

        Raises:
            LostError: The bytes were lost.
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
        """Record that chunks `first` to `end` are in a blob from byte `offset` on; `flush` writes this to disk."""
        if self._covered(first) < end:
            run = (bytes.fromhex(sha256), offset, first, end)
            self._new_places.append(run)
            self._places = sorted([*self._places, run], key=lambda place: place[2])

    def flush(self) -> None:
        """Write new places, and remove bytes that are no longer needed."""
        if self._new_places:
            index = self._path.with_suffix(".chunks")
            if not self._path.with_suffix(".places").exists():
                sync_file(index)
            with open(self._path.with_suffix(".places"), "ab", opener=private.opener) as file:
                file.write(b"".join(PLACE.pack(*run) for run in self._new_places))
                file.flush()
                os.fsync(file.fileno())
            sync_folder(index.parent)
            self._new_places = []
        if self._bytes is not None and self._covered(0) >= self.n_chunks:
            with suppress(PermissionError):  # Windows deletes no file that another thread reads; a later flush does
                self._path.with_suffix(".bytes").unlink(missing_ok=True)

    def close(self) -> None:
        if self._bytes is not None:
            self._bytes.close()

    def _read_places(self) -> list[Place]:
        try:
            raw = self._path.with_suffix(".places").read_bytes()
        except FileNotFoundError:
            return []
        whole = len(raw) - len(raw) % PLACE.size  # the last record may be truncated by a power failure
        return sorted(PLACE.iter_unpack(raw[:whole]), key=lambda place: place[2])

    def _covered(self, first: int) -> int:
        """Return the end of the contiguous chunks from `first` on with known places."""
        for _, _, start, stop in self._places:
            if start <= first < stop:
                first = stop
        return first

    def _place_of(self, chunk: int) -> Place:
        for place in self._places[: bisect_right(self._places, chunk, key=lambda place: place[2])]:
            if chunk < place[3]:
                return place
        raise LostError


def _pieces(file: BinaryIO, at: int, length: int) -> Iterator[bytes]:
    while length:
        piece = _read_at(file, min(length, PIECE_BYTES), at)
        if not piece:
            raise LostError
        yield piece
        at += len(piece)
        length -= len(piece)


def _read_at(file: BinaryIO, length: int, at: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), length, at)
    with _SEEKING:  # Windows
        file.seek(at)
        return file.read(length)

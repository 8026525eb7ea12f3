"""Writers of xorbs and shards that no client would send, for tests of readers."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import lz4.frame
from blake3 import blake3

from seqhub.server.xet.hashes import DATA_KEY, RANGE_KEY, file_hash, from_hex, tree_root

TAG = b"HFRepoMetaData\0" + bytes([85, 105, 103, 69, 106, 123, 129, 87, 131, 165, 189, 217, 92, 205, 209, 74, 169])
END = b"\xff" * 32 + bytes(16)


def grouped(content: bytes) -> bytes:
    return b"".join(content[lane::4] for lane in range(4))


def packed(content: bytes, coding: int) -> bytes:
    if coding == 0:
        return content
    return lz4.frame.compress(grouped(content) if coding == 2 else content)


def chunk(content: bytes, coding: int = 0, *, size: int | None = None, body: bytes | None = None) -> bytes:
    body = packed(content, coding) if body is None else body
    size = len(content) if size is None else size
    return b"\0" + len(body).to_bytes(3, "little") + bytes([coding]) + size.to_bytes(3, "little") + body


@dataclass(frozen=True)
class Xorb:
    contents: Sequence[bytes]
    codings: Sequence[int] = ()

    @property
    def chunks(self) -> list[tuple[bytes, int]]:
        return [(blake3(content, key=DATA_KEY).digest(), len(content)) for content in self.contents]

    @property
    def hash(self) -> bytes:
        return tree_root(self.chunks)

    @property
    def raw(self) -> bytes:
        codings = self.codings or [0] * len(self.contents)
        return b"".join(chunk(*pair) for pair in zip(self.contents, codings, strict=True))


@dataclass(frozen=True)
class Piece:
    """A term and its expected content."""

    xorb: Xorb
    first: int
    end: int

    @property
    def content(self) -> bytes:
        return b"".join(self.xorb.contents[self.first : self.end])


def record(hash_: bytes, *numbers: int) -> bytes:
    return hash_ + struct.pack("<4I", *numbers)


def file_records(pieces: Sequence[Piece], *, sha256: str | None = None, ranges: bool = True) -> bytes:
    chunks = [chunk for piece in pieces for chunk in piece.xorb.chunks[piece.first : piece.end]]
    flags = (1 << 31 if ranges else 0) | (1 << 30 if sha256 else 0)
    records = record(file_hash(tree_root(chunks)), flags, len(pieces), 0, 0)
    for piece in pieces:
        records += record(piece.xorb.hash, 0, len(piece.content), piece.first, piece.end)
    if ranges:
        for piece in pieces:
            hashes = b"".join(hash_ for hash_, _ in piece.xorb.chunks[piece.first : piece.end])
            records += blake3(hashes, key=RANGE_KEY).digest() + bytes(16)
    if sha256:
        records += from_hex(sha256) + bytes(16)
    return records


def shard(*files: bytes, xorbs: Sequence[Xorb] = ()) -> bytes:
    raw = TAG + struct.pack("<2Q", 2, 0) + b"".join(files) + END
    for xorb in xorbs:
        raw += record(xorb.hash, 0, len(xorb.contents), sum(map(len, xorb.contents)), len(xorb.raw))
        start = 0
        for hash_, size in xorb.chunks:
            raw += record(hash_, start, size, 0, 0)
            start += size
    return raw + END

"""Reader of shards, which list for each file its ranges of chunks in xorbs.

All data are in records of 48 bytes (numbers are little-endian):

    header      tag 32, version u64 = 2, size of the footer u64
    files       for each: hash 32, flags u32, number of terms u32, 8 unused
                  each term: xorb hash 32, flags u32, bytes u32, first chunk u32, end u32 (not included)
                  with flag 31, for each term: range hash 32, 16 unused
                  with flag 30: SHA-256 32 (in the order of `to_hex`; zero where unknown), 16 unused
                and at the end a record whose hash is all ones
    xorbs       for each: hash 32, flags u32, number of chunks u32, bytes u32, stored bytes u32
                  each chunk: hash 32, first byte u32, bytes u32, 8 unused
                and at the end a record whose hash is all ones
    footer      absent in uploads

Source: Xet protocol specification, "Shard", https://huggingface.co/docs/xet/shard.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from seqhub.server.errors import HubHTTPError
from seqhub.server.xet.hashes import HASH_BYTES, NO_CHUNKS, to_hex

RECORD_BYTES: Final = 48
TAG: Final = b"HFRepoMetaData\0" + bytes.fromhex("556967456a7b815783a5bdd95ccdd14aa9")
VERSION: Final = 2
END: Final = b"\xff" * HASH_BYTES
WITH_RANGE_HASHES: Final = 1 << 31
WITH_SHA256: Final = 1 << 30
MAX_SHARD_BYTES: Final = 64 * 1024 * 1024 + 64 * 1024  # clients close a shard at 64 MiB
MAX_FILES: Final = 100_000
MIN_CHUNK_BYTES: Final = 8 * 1024  # minimum in clients, except at the end of a file
SHORT_CHUNKS: Final = 1000  # allowed in a file, in addition to 8 for each term

HEADER: Final = struct.Struct("<32s2Q")
FILE: Final = struct.Struct("<32s2I8x")
TERM: Final = struct.Struct("<32s4I")
HASH: Final = struct.Struct("<32s16x")

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Term:
    """Piece of a file: chunks `first` to `end` (not included) of a xorb, with a total of `size` bytes."""

    xorb: bytes
    first: int
    end: int
    size: int
    range_hash: bytes | None


@dataclass(frozen=True, slots=True)
class ShardFile:
    """File of a shard; its terms are read on demand, since there can be a million.

    Args:
        raw: Bytes of the shard.
        at: Offset of the terms.
        hash: Xet hash of the file.
        n_terms: Number of terms.
        ranges_at: Offset of the range hashes; None without range hashes.
        sha256: Hexadecimal SHA-256 declared by the client; None if it declares none.
        size: Total size of all terms in bytes.
    """

    raw: Buffer
    at: int
    hash: bytes
    n_terms: int
    ranges_at: int | None
    sha256: str | None
    size: int

    def terms(self) -> Iterator[Term]:
        for number in range(self.n_terms):
            xorb, _, size, first, end = TERM.unpack_from(self.raw, self.at + number * RECORD_BYTES)
            proof = None
            if self.ranges_at is not None:
                (proof,) = HASH.unpack_from(self.raw, self.ranges_at + number * RECORD_BYTES)
            yield Term(xorb, first, end, size, proof)


def read_shard(raw: Buffer) -> list[ShardFile]:
    """Check the structure of a shard, and return its files.

    Raises:
        HubHTTPError: 400 if it is not a valid shard, 413 if it is too large.
    """
    if len(raw) > MAX_SHARD_BYTES:
        raise HubHTTPError(413, f"The shard has {len(raw)} bytes; at most {MAX_SHARD_BYTES} are allowed.")
    if len(raw) < RECORD_BYTES:
        raise HubHTTPError(400, f"The shard has {len(raw)} bytes; its header must have {RECORD_BYTES}.")
    tag, version, footer = HEADER.unpack_from(raw, 0)
    if tag != TAG or version != VERSION:
        raise HubHTTPError(400, f"The body is not a shard of version {VERSION}.")
    files, at = _read_files(raw, RECORD_BYTES)
    at = _skip_xorbs(raw, at)
    if len(raw) != at and not footer:
        raise HubHTTPError(400, f"{len(raw) - at} bytes follow the end of the shard.")
    return files


def _read_files(raw: Buffer, at: int) -> tuple[list[ShardFile], int]:
    files: list[ShardFile] = []
    while True:
        _require(raw, at, 1)
        hash_, flags, count = FILE.unpack_from(raw, at)
        at += RECORD_BYTES
        if hash_ == END:
            return files, at
        if len(files) == MAX_FILES:
            raise HubHTTPError(413, f"The shard has more than {MAX_FILES} files.")
        start = at
        _require(raw, at, count)
        size = _check_terms(raw, at, count)
        at += count * RECORD_BYTES
        ranges_at = None
        if flags & WITH_RANGE_HASHES:
            _require(raw, at, count)
            ranges_at = at
            at += count * RECORD_BYTES
        sha256 = None
        if flags & WITH_SHA256:
            _require(raw, at, 1)
            (claimed,) = HASH.unpack_from(raw, at)
            sha256 = None if claimed == NO_CHUNKS else to_hex(claimed)
            at += RECORD_BYTES
        files.append(ShardFile(raw, start, hash_, count, ranges_at, sha256, size))


def _check_terms(raw: Buffer, at: int, count: int) -> int:
    total = chunks = 0
    for number in range(count):
        _, _, size, first, end = TERM.unpack_from(raw, at + number * RECORD_BYTES)
        if not first < end or not size:
            raise HubHTTPError(
                400, f"Term {number} of a file in the shard has chunks {first} to {end} and {size} bytes."
            )
        total += size
        chunks += end - first
    if (
        chunks > total // MIN_CHUNK_BYTES + 8 * count + SHORT_CHUNKS
    ):  # else a short shard could require hours of hashing
        raise HubHTTPError(
            400,
            f"A file of the shard has {chunks} chunks in {total} bytes; clients use {MIN_CHUNK_BYTES} for a chunk.",
        )
    return total


def _skip_xorbs(raw: Buffer, at: int) -> int:
    """Check the structure of the xorb section, which repeats data of the xorbs."""
    while True:
        _require(raw, at, 1)
        hash_, _, count, _, _ = TERM.unpack_from(raw, at)
        at += RECORD_BYTES
        if hash_ == END:
            return at
        _require(raw, at, count)
        at += count * RECORD_BYTES


def _require(raw: Buffer, at: int, records: int) -> None:
    if len(raw) - at < records * RECORD_BYTES:
        raise HubHTTPError(
            400, f"The shard is truncated: it declares {records} more records after byte {at} of {len(raw)}."
        )

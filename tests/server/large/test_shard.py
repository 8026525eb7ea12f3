import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.xet.shard import read_shard
from tests.helpers.xet_writers import END, Piece, Xorb, file_records, record, shard

XORBS = [Xorb([b"one", b"two", b"three"]), Xorb([b"four" * 50])]
pieces = st.lists(
    st.sampled_from([Piece(XORBS[0], 0, 3), Piece(XORBS[0], 1, 2), Piece(XORBS[1], 0, 1)]), min_size=0, max_size=5
)
files = st.lists(st.tuples(pieces, st.booleans(), st.booleans()), max_size=4)


def raw_of(given_files: list[tuple[list[Piece], bool, bool]]) -> bytes:
    records = []
    for parts, ranges, with_sha in given_files:
        sha256 = hashlib.sha256(b"".join(part.content for part in parts)).hexdigest()
        records.append(file_records(parts, sha256=sha256 if with_sha else None, ranges=ranges))
    return shard(*records, xorbs=XORBS)


@given(files)
def test_round_trip(given_files: list[tuple[list[Piece], bool, bool]]) -> None:
    found = read_shard(raw_of(given_files))
    assert len(found) == len(given_files)
    for file, (parts, ranges, with_sha) in zip(found, given_files, strict=True):
        content = b"".join(part.content for part in parts)
        assert file.size == len(content)
        assert file.sha256 == (hashlib.sha256(content).hexdigest() if with_sha else None)
        terms = list(file.terms())
        assert [(term.xorb, term.first, term.end, term.size) for term in terms] == [
            (part.xorb.hash, part.first, part.end, len(part.content)) for part in parts
        ]
        assert all((term.range_hash is not None) == ranges for term in terms)


@settings(max_examples=400)
@given(files, st.data())
def test_mutations_raise_http_errors(given_files: list[tuple[list[Piece], bool, bool]], data: st.DataObject) -> None:
    raw = bytearray(raw_of(given_files))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        if data.draw(st.booleans()):
            del raw[at : at + data.draw(st.integers(1, 60))]
        else:
            raw[at : at + 4] = data.draw(st.binary(min_size=1, max_size=8))
    try:
        found = read_shard(bytes(raw))
    except HubHTTPError:
        return
    for file in found:
        assert sum(term.size for term in file.terms()) == file.size


@given(st.binary(max_size=300))
def test_random_bytes_are_rejected(raw: bytes) -> None:
    with pytest.raises(HubHTTPError):
        read_shard(raw)


GOOD = shard(file_records([Piece(XORBS[0], 0, 3)]), xorbs=XORBS)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "its header must have"),
        (b"x" * 200, "not a shard"),
        (GOOD[:32] + b"\3" + GOOD[33:], "not a shard of version 2"),
        (GOOD[:-48], "truncated"),
        (GOOD[:-1], "truncated"),
        (GOOD + b"x", "follow the end"),
        (shard(record(b"f" * 32, 0, 2**32 - 1, 0, 0)), "declares 4294967295 more records"),
        (shard(record(b"f" * 32, 0, 1, 0, 0) + record(b"x" * 32, 0, 5, 3, 3)), "chunks 3 to 3"),
        (shard(record(b"f" * 32, 0, 1, 0, 0) + record(b"x" * 32, 0, 0, 0, 3)), "0 bytes"),
        (shard(record(b"f" * 32, 0, 1, 0, 0) + record(b"x" * 32, 0, 8192, 0, 8192)), "8192 chunks in 8192 bytes"),
        (GOOD[:-48] + record(b"x" * 32, 0, 9, 0, 0) + END, "declares 9 more records"),
    ],
)
def test_invalid_input_is_described(raw: bytes, message: str) -> None:
    with pytest.raises(HubHTTPError, match=message):
        read_shard(raw)

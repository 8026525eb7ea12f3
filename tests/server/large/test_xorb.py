import random

import lz4.frame
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.xet.hashes import DATA_KEY, NODE_KEY, Tree, file_hash, from_hex, to_hex, tree_root
from seqhub.server.xet.xorb import MAX_CHUNK_BYTES, MAX_XORB_BYTES, XorbReader
from tests.helpers.xet_writers import Xorb, chunk, grouped, packed

contents = st.lists(st.binary(min_size=1, max_size=300) | st.integers(1, 3000).map(bytes), min_size=1, max_size=8)


@st.composite
def xorbs(draw: st.DrawFn) -> Xorb:
    parts = draw(contents)
    return Xorb(parts, draw(st.lists(st.integers(0, 2), min_size=len(parts), max_size=len(parts))))


def read(raw: bytes, expected: bytes, step: int = 1 << 20) -> bytes:
    out = bytearray()
    reader = XorbReader(out.extend)
    for start in range(0, len(raw), step):
        reader.write(raw[start : start + step])
    reader.finish(expected)
    assert sum(size for _, size in reader.chunks) == len(out) == reader.size
    return bytes(out)


@given(xorbs(), st.integers(1, 700))
def test_round_trip_in_pieces_of_any_size(xorb: Xorb, step: int) -> None:
    assert read(xorb.raw, xorb.hash, step) == b"".join(xorb.contents)


@given(xorbs(), st.binary(max_size=200))
def test_footer_is_skipped(xorb: Xorb, footer: bytes) -> None:
    assert read(xorb.raw + b"XETBLOB\1" + footer, xorb.hash) == b"".join(xorb.contents)


@settings(max_examples=400)
@given(xorbs(), st.data())
def test_mutations_are_rejected_or_ignored(xorb: Xorb, data: st.DataObject) -> None:
    raw = bytearray(xorb.raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        action = data.draw(st.sampled_from(["flip", "cut", "insert", "repeat"]))
        if action == "flip":
            raw[at] ^= data.draw(st.integers(1, 255))
        elif action == "cut":
            del raw[at : at + data.draw(st.integers(1, 40))]
        elif action == "insert":
            raw[at:at] = data.draw(st.binary(min_size=1, max_size=20))
        else:
            raw += raw[at:]
        if not raw:
            break
    try:
        content = read(bytes(raw), xorb.hash, data.draw(st.integers(1, 999)))
    except HubHTTPError:
        return
    assert content == b"".join(xorb.contents)


@given(st.binary(max_size=400))
def test_random_bytes_are_rejected(raw: bytes) -> None:
    with pytest.raises(HubHTTPError):
        read(raw, bytes(32))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "no chunks"),
        (chunk(b"abc")[:-1], "ends within"),
        (chunk(b"abc")[:5], "ends within"),
        (chunk(b"abc", size=4), "declares 4 bytes and contains 3"),
        (chunk(b"", size=0, body=b"x"), "declares 0 bytes"),
        (chunk(b"abc", size=MAX_CHUNK_BYTES + 1), "1 to 131072 are allowed"),
        (chunk(b"a" * 99, 1, size=98), "declares 98 bytes and contains 99 or more"),
        (chunk(b"a" * 99, 1, size=100), "declares 100 bytes and contains 99"),
        (chunk(b"a" * 99, 1, body=packed(b"a" * 99, 1) + b"more"), "does not end where"),
        (chunk(b"a" * 99, 1, body=packed(b"a" * 99, 1)[:-1]), "does not end where"),
        (chunk(b"a" * 99, 1, body=b"no frame"), "not an LZ4 frame"),
        (chunk(b"a" * 99, 3), "unknown"),
        (b"\1" + chunk(b"abc")[1:], "unknown"),
        (b"XETBLOB\1", "no chunks"),
        (chunk(b"abc") + b"XETBLOB" + bytes(2**20), "footer"),
    ],
)
def test_invalid_input_is_described(raw: bytes, message: str) -> None:
    with pytest.raises(HubHTTPError, match=message):
        read(raw, Xorb([b"abc"]).hash)


@pytest.mark.parametrize("claimed", [None, 2**40])
def test_decompression_stops_at_the_declared_size(claimed: int | None) -> None:
    bomb = lz4.frame.compress(bytes(30_000_000), store_size=claimed is not None)
    if claimed is not None:  # bytes 6 to 13 contain the size declared by the frame
        bomb = bomb[:6] + claimed.to_bytes(8, "little") + bomb[14:]
    with pytest.raises(HubHTTPError):
        read(chunk(b"", 1, size=MAX_CHUNK_BYTES, body=bomb[: 2 * MAX_CHUNK_BYTES]), bytes(32))


def test_a_xorb_ends_at_64_mebibytes() -> None:
    full = chunk(bytes(MAX_CHUNK_BYTES), 1)
    reader = XorbReader(lambda piece: None)
    for _ in range(MAX_XORB_BYTES // MAX_CHUNK_BYTES):
        reader.write(full)
    with pytest.raises(HubHTTPError, match="contains more than") as caught:
        reader.write(full)
    assert caught.value.status == 413


def test_another_hash_is_rejected() -> None:
    with pytest.raises(HubHTTPError, match="as in its URL"):
        read(Xorb([b"abc"]).raw, Xorb([b"abd"]).hash)


def reference_root(nodes: list[tuple[bytes, int]]) -> bytes:
    """Compute the tree as in the specification: level by level over complete lists."""
    while len(nodes) > 1:
        parents, at = [], 0
        while at < len(nodes):
            rest = nodes[at:]
            cut = len(rest) if len(rest) <= 2 else min(9, len(rest))
            for number in range(2, min(9, len(rest))):
                if int.from_bytes(rest[number][0][24:], "little") % 4 == 0:
                    cut = number + 1
                    break
            lines = "".join(f"{to_hex(hash_)} : {size}\n" for hash_, size in rest[:cut])
            parents.append((blake3(lines.encode(), key=NODE_KEY).digest(), sum(size for _, size in rest[:cut])))
            at += cut
        nodes = parents
    return nodes[0][0] if nodes else bytes(32)


@pytest.mark.parametrize("count", [*range(30), 100, 999, 5000])
def test_incremental_tree_equals_the_reference(count: int) -> None:
    source = random.Random(count)
    nodes = [(source.randbytes(32), source.randrange(1, 10**6)) for _ in range(count)]
    assert tree_root(nodes) == reference_root(nodes)


def test_hashes_of_nothing_and_of_one_chunk() -> None:
    assert Tree().root() == bytes(32) == file_hash(bytes(32))
    one = blake3(b"abc", key=DATA_KEY).digest()
    assert tree_root([(one, 3)]) == one
    assert file_hash(one) == blake3(one, key=bytes(32)).digest()


@given(st.binary(max_size=99))
def test_grouping(content: bytes) -> None:
    raw = chunk(content or b"x", 2)
    assert sorted(grouped(content)) == sorted(content)
    assert read(raw, Xorb([content or b"x"]).hash) == (content or b"x")


@given(st.text(max_size=70) | st.binary(min_size=32, max_size=32).map(to_hex))
def test_hash_texts(text: str) -> None:
    try:
        raw = from_hex(text)
    except HubHTTPError:
        return
    assert to_hex(raw) == text

"""Hashes of the Xet protocol: keyed BLAKE3 of chunks, and a tree of their hashes.

Source: Xet protocol specification, "Hashing", https://huggingface.co/docs/xet/hashing.
"""

import struct
from collections.abc import Iterable
from typing import Final

from blake3 import blake3

from seqhub.server.errors import HubHTTPError

HASH_BYTES: Final = 32
NO_CHUNKS: Final = bytes(HASH_BYTES)  # hash of a file or xorb without chunks

DATA_KEY: Final = bytes.fromhex("6697f5775b9550de3135cbaca597181c9de421109beb2b58b4d0b04b93adf229")
NODE_KEY: Final = bytes.fromhex("017ec5c7a5472996fd946666b48a02e65ddd536f37c76dd2f86352e64a53713f")
RANGE_KEY: Final = bytes.fromhex("7f1857d6ce56ed66127ff913e7a5c3f3a4cd26d5b5db49e64124987f28fb94c3")
FILE_KEY: Final = bytes(HASH_BYTES)

MEAN_CHILDREN: Final = 4
MAX_CHILDREN: Final = 2 * MEAN_CHILDREN + 1
WORDS: Final = struct.Struct("<4Q")


def chunk_hash(content: bytes) -> bytes:
    return blake3(content, key=DATA_KEY).digest()


def range_hash(chunk_hashes: Iterable[bytes]) -> bytes:
    """Return the hash of a range of chunks, which proves that a client has them."""
    return blake3(b"".join(chunk_hashes), key=RANGE_KEY).digest()


def to_hex(raw: bytes) -> str:
    """Return a hash in the text form of the protocol: four little-endian 64-bit numbers.

    >>> to_hex(bytes(range(32)))[:16]
    '0706050403020100'
    """
    return "".join(f"{word:016x}" for word in WORDS.unpack(raw))


def from_hex(text: str) -> bytes:
    """Parse the text of `to_hex`; each hash has one valid text, since the text is used in file names.

    >>> from_hex(to_hex(bytes(range(32)))) == bytes(range(32))
    True
    """
    if len(text) != 2 * HASH_BYTES or not set(text) <= set("0123456789abcdef"):
        raise HubHTTPError(400, f"{text[:80]!r} is not a hash: must have 64 lowercase hexadecimal digits.")
    return WORDS.pack(*(int(text[start : start + 16], 16) for start in range(0, 64, 16)))


class Tree:
    """Root hash of a sequence of chunks; memory use is logarithmic in the number of chunks.

    On each level neighbours are joined in groups of at most nine nodes; from the third node on, a node with a hash
    divisible by four closes its group. Since this does not depend on later nodes, complete groups are joined
    immediately, and the last group of each level at the end.
    """

    def __init__(self) -> None:
        self._open: list[list[tuple[bytes, int]]] = []  # by level, nodes of the open group
        self._closed: list[int] = []  # by level, number of joined groups

    def add(self, hash_: bytes, size: int) -> None:
        """Add the next chunk."""
        self._push(0, hash_, size)

    def root(self) -> bytes:
        """Return the root; `add` must not be called afterwards."""
        level = 0
        while level < len(self._open):
            waiting = self._open[level]
            if not self._closed[level] and len(waiting) == 1:
                return waiting[0][0]
            if waiting:
                self._join(level)
            level += 1
        return NO_CHUNKS

    def _push(self, level: int, hash_: bytes, size: int) -> None:
        if level == len(self._open):
            self._open.append([])
            self._closed.append(0)
        group = self._open[level]
        group.append((hash_, size))
        closes = len(group) > 2 and WORDS.unpack(hash_)[3] % MEAN_CHILDREN == 0
        if closes or len(group) == MAX_CHILDREN:
            self._join(level)

    def _join(self, level: int) -> None:
        group = self._open[level]
        lines = "".join(f"{to_hex(hash_)} : {size}\n" for hash_, size in group)
        total = sum(size for _, size in group)
        self._open[level] = []
        self._closed[level] += 1
        self._push(level + 1, blake3(lines.encode(), key=NODE_KEY).digest(), total)


def tree_root(chunks: Iterable[tuple[bytes, int]]) -> bytes:
    """Return the hash of a xorb from the (hash, size) of its chunks."""
    tree = Tree()
    for hash_, size in chunks:
        tree.add(hash_, size)
    return tree.root()


def file_hash(root: bytes) -> bytes:
    """Return the hash of a file from the root of its chunks."""
    return root if root == NO_CHUNKS else blake3(root, key=FILE_KEY).digest()

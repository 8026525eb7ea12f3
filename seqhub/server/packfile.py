"""Pack files and pkt-lines for git clients: selection of the objects that a client is missing, and their pack.

Sources: git, Documentation/gitprotocol-common ("pkt-line format"), gitprotocol-pack ("packfile negotiation", side-band)
and gitformat-pack. Objects are sent without deltas: they are text and pointers, and large files are sent by LFS.

Ids of objects are kept in memory, 20 bytes each; their contents are read one at a time.
"""

import hashlib
import struct
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from seqhub.server import git

Reader = Callable[[bytes], tuple[git.ObjectKind, bytes]]
"""Return kind and bytes of an object; raise KeyError if it does not exist."""

ContentReader = Callable[[bytes], tuple[git.ObjectKind, bytes | Path]]
"""Return kind and content of an object; a long content is returned as the path of a file."""

FLUSH = b"0000"
PIECE = 65_515  # bytes of a side-band packet: 65,520 minus four for the length and one for the band
DATA, ERROR = b"\1", b"\3"
MAX_EDGES = 16  # commits of the client that are searched for files that need not be sent again
_SUBMODULE = b"160000"  # mode of an entry that refers to a commit of another repository
_TYPES: dict[git.ObjectKind, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}
_FILE_PIECE = 128 * 1024
_LEVEL = 1  # for text, nearly the compression of level 6 in a third of the time


class Links(NamedTuple):
    """Parents and tree of a commit."""

    tree: bytes
    parents: tuple[bytes, ...]


def pkt(payload: bytes) -> bytes:
    r"""Return a pkt-line.

    >>> pkt(b"NAK\n")
    b'0008NAK\n'
    """
    return b"%04x%s" % (len(payload) + 4, payload)


def lines(body: bytes) -> Iterator[bytes | None]:
    r"""Yield the pkt-lines of a body without line ends; None for a flush.

    >>> list(lines(b"0008NAK\n0000"))
    [b'NAK', None]

    Raises:
        ValueError: The body is truncated or not a sequence of pkt-lines.
    """
    position = 0
    while position < len(body):
        digits = body[position : position + 4]
        try:
            length = int(digits, 16) if len(digits) == 4 and digits.isalnum() else -1
        except ValueError:
            length = -1
        if length == 0:
            yield None
            position += 4
            continue
        if length < 4 or position + length > len(body):
            raise ValueError(f"not a pkt-line at byte {position}")
        yield body[position + 4 : position + length].removesuffix(b"\n")
        position += length


def banded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bytes as packets of side-band-64k, ended by a flush."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= PIECE:
            yield pkt(DATA + waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield pkt(DATA + waiting)
    yield FLUSH


def pack(read: ContentReader, oids: Collection[bytes]) -> Iterator[bytes]:
    """Yield a pack of objects in the given order; files are read in pieces."""
    digest = hashlib.sha1(usedforsecurity=False)
    head = b"PACK" + struct.pack(">II", 2, len(oids))
    digest.update(head)
    yield head
    for oid in oids:
        kind, data = read(oid)
        for piece in _entry(kind, data):
            digest.update(piece)
            yield piece
    yield digest.digest()


def _entry(kind: git.ObjectKind, data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield entry_head(kind, len(data)) + zlib.compress(data, _LEVEL)
        return
    yield entry_head(kind, data.stat().st_size)
    packer = zlib.compressobj(_LEVEL)
    with data.open("rb") as file:
        while piece := file.read(_FILE_PIECE):
            yield packer.compress(piece)
    yield packer.flush()


def entry_head(kind: git.ObjectKind, size: int) -> bytes:
    """Return type and size of an object in the encoding of a pack: four bits of the size, then seven bits a byte.

    >>> entry_head("blob", 300).hex()
    'bc12'
    """
    byte, size = _TYPES[kind] << 4 | size & 15, size >> 4
    found = bytearray()
    while size:
        found.append(byte | 0x80)
        byte, size = size & 0x7F, size >> 7
    found.append(byte)
    return bytes(found)


class Graph:
    """Commits of a repository, read on demand."""

    def __init__(self, read: Reader) -> None:
        self.read = read
        self._links: dict[bytes, Links] = {}

    def peel_to_commit(self, oid: bytes) -> bytes | None:
        """Return the commit of an id, following annotated tags; None if it is missing or not a commit."""
        try:
            kind, data = self.read(oid)
        except KeyError:
            return None
        if kind == "tag":
            return self.peel_to_commit(bytes.fromhex(data[7:47].decode()))  # after "object ", forty digits
        return oid if kind == "commit" else None

    def links(self, oid: bytes) -> Links:
        found = self._links.get(oid)
        if found is None:
            head = self.read(oid)[1].partition(b"\n\n")[0].split(b"\n")
            tree, *parents = (
                bytes.fromhex(line.split(b" ")[1].decode()) for line in head if line.startswith((b"tree ", b"parent "))
            )
            found = self._links[oid] = Links(tree, tuple(parents))
        return found

    def history(self, starts: Iterable[bytes], ends: Collection[bytes] = ()) -> dict[bytes, None]:
        """Return commits and their ancestors, newest first; `ends` are treated as commits without parents."""
        found: dict[bytes, None] = {}
        waiting = list(starts)[::-1]
        while waiting:
            oid = waiting.pop()
            if oid not in found:
                found[oid] = None
                if oid not in ends:
                    waiting += self.links(oid).parents
        return found

    def within(self, starts: Iterable[bytes], depth: int) -> tuple[set[bytes], set[bytes]]:
        """Return commits up to `depth` (1: only the first), and the subset whose parents are deeper."""
        found: set[bytes] = set()
        cut: set[bytes] = set()
        waiting = deque((oid, 1) for oid in starts)
        while waiting:
            oid, level = waiting.popleft()
            if oid in found:
                continue
            found.add(oid)
            parents = self.links(oid).parents
            if level < depth:
                waiting += ((parent, level + 1) for parent in parents)
            elif parents:
                cut.add(oid)
        return found, {oid for oid in cut if not found.issuperset(self.links(oid).parents)}

    def below(self, tree: bytes, seen: set[bytes]) -> Iterator[bytes]:
        """Yield the trees and blobs below and including a tree that are not in `seen`, and add them to `seen`."""
        waiting = [tree]
        while waiting:
            oid = waiting.pop()
            if oid in seen:
                continue
            seen.add(oid)
            yield oid
            for mode, _, entry in git.parse_tree(self.read(oid)[1]):
                if entry in seen or mode == _SUBMODULE:
                    continue
                if mode == git.FOLDER_MODE:
                    waiting.append(entry)
                else:
                    seen.add(entry)
                    yield entry


def missing_objects(
    graph: Graph,
    wants: Collection[bytes],
    common: Collection[bytes],
    *,
    ends: Collection[bytes] = (),
    client_ends: Collection[bytes] = (),
    tags: Iterable[tuple[bytes, bytes]] = (),
) -> list[bytes]:
    """Return the ids of the objects that a client needs and does not have.

    Args:
        graph: Commits of the repository.
        wants: Commits and annotated tags that the client requests.
        common: Commits that both sides have.
        ends: Commits whose parents are not sent (a shallow clone).
        client_ends: Commits whose parents the client does not have now.
        tags: Annotated tags with their commits; a tag is sent if its commit is sent.
    """
    had = graph.history(common, client_ends)
    tips = [tip for tip in map(graph.peel_to_commit, wants) if tip is not None]
    commits = [oid for oid in graph.history(tips, ends) if oid not in had]
    found = dict.fromkeys(oid for oid in wants if oid not in had and graph.read(oid)[0] == "tag")
    found |= dict.fromkeys(commits)
    found |= dict.fromkeys(tag for tag, target in tags if target in found)
    edges = {parent for oid in commits for parent in graph.links(oid).parents if parent in had}
    edges.update(list(common)[:MAX_EDGES])
    seen: set[bytes] = set()
    for oid in edges:
        for _ in graph.below(graph.links(oid).tree, seen):
            pass
    oids = list(found)
    for oid in commits:
        oids += graph.below(graph.links(oid).tree, seen)
    return oids

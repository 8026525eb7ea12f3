"""Git objects in the database.

A large tree is stored as edits of an older one, so that a folder of 10,000 files grows by a few bytes for each commit.
The content of a file of `FILED_BYTES` or more is stored with the large files, by its SHA-256, and read in pieces.
"""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seqhub.server import git

_RAW, _ZLIB, _EDITS, FILED = 0, 1, 2, 3
FILED_BYTES: Final = 256 * 1024  # of a content that is kept as a file
_WORTH_PACKING = 128  # bytes
_WORTH_EDITS = 4096  # bytes of the tree
_CHAIN = 12  # edits of edits of edits ...: each costs a copy of the tree when it is read
_HEAD = struct.Struct("<III")
_SIZE = struct.Struct("<Q")
# Of objects that are there already a damaged one is replaced. Trees stay: one that is kept as edits of another must not
# become the other's base.
INSERT = (
    "INSERT INTO objects (repo, oid, kind, packed, base, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (repo, oid) "
    "DO UPDATE SET kind = excluded.kind, packed = excluded.packed, base = excluded.base, data = excluded.data "
    "WHERE excluded.kind <> 'tree' AND (kind, packed, data) IS NOT (excluded.kind, excluded.packed, excluded.data)"
)


class Connection(sqlite3.Connection):
    """SQLite connection with the folder of the contents that the database only names."""

    blobs: Path

    def blob_path(self, sha256: bytes) -> Path:
        """Return where a content is stored."""
        name = sha256.hex()
        return self.blobs / name[:2] / name


class Spooled(NamedTuple):
    """Position of bytes in the temporary file of a commit."""

    start: int
    size: int


class Packed(NamedTuple):
    """A git object in the form of its row."""

    oid: bytes
    kind: git.ObjectKind
    packed: int
    base: bytes | None  # of a tree kept as edits: the edited tree; of a content kept as a file: its SHA-256
    data: bytes | Spooled


def pack(kind: git.ObjectKind, data: bytes) -> Packed:
    """Hash and compress an object; done before the writer's lock is taken."""
    oid = git.object_id(kind, data)
    if kind != "tree" and len(data) > _WORTH_PACKING:
        small = zlib.compress(data, 1)
        if len(small) < 0.9 * len(data):
            return Packed(oid, kind, _ZLIB, None, small)
    return Packed(oid, kind, _RAW, None, data)


def filed(oid: bytes, sha256: bytes, size: int) -> Packed:
    """Return the object of a file content that is stored by its SHA-256."""
    return Packed(oid, "blob", FILED, sha256, _SIZE.pack(size))


def write(
    connection: sqlite3.Connection, repo: int, objects: Sequence[Packed], load: Callable[[Spooled], bytes] | None = None
) -> None:
    """Store objects; of those that exist, damaged ones are replaced."""
    connection.executemany(INSERT, rows(repo, objects, load))
    note_sound(connection, objects)


def note_sound(connection: sqlite3.Connection, objects: Iterable[Packed]) -> None:
    """Remove the notes of fsck about objects that are written again."""
    if connection.execute("SELECT 1 FROM damaged LIMIT 1").fetchone():
        gone = [(item.oid,) for item in objects if item.kind != "tree"]
        connection.executemany("DELETE FROM damaged WHERE content = ?", gone)


def rows(
    repo: int, objects: Iterable[Packed], load: Callable[[Spooled], bytes] | None = None
) -> Iterator[tuple[object, ...]]:
    """Yield values for `INSERT`.

    Args:
        repo: Id of the repository.
        objects: What to store.
        load: Reads the bytes of objects that wait in a temporary file.
    """
    for item in objects:
        data = item.data
        if isinstance(data, Spooled):
            assert load is not None
            data = load(data)
        yield (repo, item.oid, item.kind, item.packed, item.base, data)


def filed_path(connection: sqlite3.Connection, repo: int, oid: bytes) -> Path | None:
    """Return the path of a file content that is stored by its SHA-256; None for one in the database."""
    query = "SELECT base FROM objects WHERE repo = ? AND oid = ? AND packed = ?"
    row = connection.execute(query, (repo, oid, FILED)).fetchone()
    return None if row is None else _blob_path(connection, row[0])


def _blob_path(connection: sqlite3.Connection, sha256: bytes) -> Path:
    assert isinstance(connection, Connection)
    return connection.blob_path(sha256)


def read(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[git.ObjectKind, bytes]:
    """Return kind and bytes of an object.

    Raises:
        KeyError: It is not in this repository.
        ValueError: Its row is damaged.
    """
    kind, content, _ = _read(connection, repo, oid)
    return kind, content


def _read(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[git.ObjectKind, bytes, int]:
    """Return kind, bytes, and the number of edits between them and a whole tree."""
    edits: list[bytes] = []
    wanted: bytes | None = oid
    while True:
        query = "SELECT kind, packed, base, data FROM objects WHERE repo = ? AND oid = ?"
        row = connection.execute(query, (repo, wanted)).fetchone()
        if row is None or len(edits) > _CHAIN:
            raise KeyError(f"no object {oid.hex()} in repository {repo}")
        kind, packed, wanted, data = row
        if packed == FILED:
            try:
                return kind, _blob_path(connection, row[2]).read_bytes(), 0
            except FileNotFoundError:
                raise KeyError(f"the content of object {oid.hex()} in repository {repo} is missing") from None
        if packed != _EDITS:
            break
        edits.append(data)
    try:
        content = unpacked(packed, data)
        for text in reversed(edits):
            content = git.apply_edits(content, _decode(text))
    except (zlib.error, struct.error) as error:
        raise ValueError(f"object {oid.hex()} of repository {repo} is damaged: {error}") from error
    return kind, content, len(edits)


def unpacked(packed: int, data: bytes) -> bytes:
    """Return the bytes of an object that its row holds."""
    return zlib.decompress(data) if packed == _ZLIB else data


def added_entries(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[bytes | None, bytes]:
    """Return base and added entries of a tree stored as edits; None and all entries of another tree.

    Raises:
        KeyError, ValueError: As `read`.
    """
    query = "SELECT base, data FROM objects WHERE repo = ? AND oid = ? AND packed = ?"
    row = connection.execute(query, (repo, oid, _EDITS)).fetchone()
    if row is None:
        return None, read(connection, repo, oid)[1]
    try:
        return row[0], b"".join(edit.text for edit in _decode(row[1]))
    except struct.error as error:
        raise ValueError(f"object {oid.hex()} of repository {repo} is damaged: {error}") from error


def edited_tree(
    connection: sqlite3.Connection,
    repo: int,
    base: bytes | None,
    changes: dict[bytes, tuple[bytes, bytes] | None],
) -> Packed:
    """Return the tree `base` (None: an empty one) with entries added, replaced and removed; not stored yet."""
    old, depth = b"", 0
    if base and base != git.EMPTY_TREE:
        _, old, depth = _read(connection, repo, base)
    edits = git.edit_tree(old, changes)
    new = git.apply_edits(old, edits)
    oid = git.object_id("tree", new)
    if len(new) >= _WORTH_EDITS and old and oid != base:
        text = b"".join(_HEAD.pack(start, end, len(piece)) + piece for start, end, piece in edits)
        if depth < _CHAIN and len(text) < len(new) // 8:
            return Packed(oid, "tree", _EDITS, base, text)
    return Packed(oid, "tree", _RAW, None, new)


def _decode(text: bytes) -> list[git.Edit]:
    edits, position = [], 0
    while position < len(text):
        start, end, length = _HEAD.unpack_from(text, position)
        position += _HEAD.size
        edits.append(git.Edit(start, end, text[position : position + length]))
        position += length
    return edits

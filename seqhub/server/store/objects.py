"""Git objects in the database.

A large tree is stored as edits of an older tree, so that a folder of 10,000 files grows by a few bytes for each commit.
Contents of at least `MIN_FILE_BYTES` are stored with the large files, by SHA-256, and read in pieces.
"""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from seqhub.server import git

_RAW, _ZLIB, _EDITS, FILED = 0, 1, 2, 3
MIN_FILE_BYTES: Final = 256 * 1024  # minimum size of a content that is stored as a file
_MIN_COMPRESSED_BYTES = 128  # minimum size of a compressed object
_MIN_EDITED_BYTES = 4096  # minimum size of a tree that is stored as edits
_MAX_EDIT_CHAIN = 12  # nesting of edits; each needs a copy of the tree on reading
_HEAD = struct.Struct("<III")
_SIZE = struct.Struct("<Q")
# An existing object is replaced only if its row differs, that is, if it is damaged. Trees are never replaced: a tree
# that is stored as edits must not become the base of its own base.
INSERT = (
    "INSERT INTO objects (repo, oid, kind, packed, base, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (repo, oid) "
    "DO UPDATE SET kind = excluded.kind, packed = excluded.packed, base = excluded.base, data = excluded.data "
    "WHERE excluded.kind <> 'tree' AND (kind, packed, data) IS NOT (excluded.kind, excluded.packed, excluded.data)"
)


class Connection(sqlite3.Connection):
    """SQLite connection with the folder of the contents that are stored as files."""

    blobs: Path

    def blob_path(self, sha256: bytes) -> Path:
        """Return the path of a content that is stored as a file."""
        name = sha256.hex()
        return self.blobs / name[:2] / name


class Spooled(NamedTuple):
    """Position of bytes in the temporary file of a commit."""

    start: int
    size: int


class Packed(NamedTuple):
    """Git object in the form of its row."""

    oid: bytes
    kind: git.ObjectKind
    packed: int
    base: bytes | None  # id of the edited tree, or SHA-256 of a content in a file
    data: bytes | Spooled


def pack(kind: git.ObjectKind, data: bytes) -> Packed:
    """Hash and compress an object; to be called outside of write transactions."""
    oid = git.object_id(kind, data)
    if kind != "tree" and len(data) > _MIN_COMPRESSED_BYTES:
        small = zlib.compress(data, 1)
        if len(small) < 0.9 * len(data):
            return Packed(oid, kind, _ZLIB, None, small)
    return Packed(oid, kind, _RAW, None, data)


def pack_file(oid: bytes, sha256: bytes, size: int) -> Packed:
    """Return the object of a content that is stored as a file."""
    return Packed(oid, "blob", FILED, sha256, _SIZE.pack(size))


def write(
    connection: sqlite3.Connection, repo: int, objects: Sequence[Packed], load: Callable[[Spooled], bytes] | None = None
) -> None:
    """Store objects; existing objects are replaced if they are damaged."""
    connection.executemany(INSERT, rows(repo, objects, load))
    clear_damage(connection, objects)


def clear_damage(connection: sqlite3.Connection, objects: Iterable[Packed]) -> None:
    """Remove the damage records of fsck for objects that are written again."""
    if connection.execute("SELECT 1 FROM damaged LIMIT 1").fetchone():
        gone = [(item.oid,) for item in objects if item.kind != "tree"]
        connection.executemany("DELETE FROM damaged WHERE content = ?", gone)


def rows(
    repo: int, objects: Iterable[Packed], load: Callable[[Spooled], bytes] | None = None
) -> Iterator[tuple[object, ...]]:
    """Yield values for `INSERT`.

    Args:
        repo: Id of the repository.
        objects: Objects to store.
        load: Function that reads bytes from the temporary file.
    """
    for item in objects:
        data = item.data
        if isinstance(data, Spooled):
            assert load is not None
            data = load(data)
        yield (repo, item.oid, item.kind, item.packed, item.base, data)


def content_path(connection: sqlite3.Connection, repo: int, oid: bytes) -> Path | None:
    """Return the path of a content that is stored as a file; None for other objects."""
    query = "SELECT base FROM objects WHERE repo = ? AND oid = ? AND packed = ?"
    row = connection.execute(query, (repo, oid, FILED)).fetchone()
    return None if row is None else _blob_path(connection, row[0])


def _blob_path(connection: sqlite3.Connection, sha256: bytes) -> Path:
    assert isinstance(connection, Connection)
    return connection.blob_path(sha256)


def read(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[git.ObjectKind, bytes]:
    """Return kind and bytes of an object.

    Raises:
        KeyError: The object is not in this repository.
        ValueError: The row of the object is damaged.
    """
    kind, content, _ = _read(connection, repo, oid)
    return kind, content


def _read(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[git.ObjectKind, bytes, int]:
    """Return kind, bytes, and the number of edits since a complete tree."""
    edits: list[bytes] = []
    wanted: bytes | None = oid
    while True:
        query = "SELECT kind, packed, base, data FROM objects WHERE repo = ? AND oid = ?"
        row = connection.execute(query, (repo, wanted)).fetchone()
        if row is None or len(edits) > _MAX_EDIT_CHAIN:
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
    """Return the bytes of an object from the data of its row."""
    return zlib.decompress(data) if packed == _ZLIB else data


def added_entries(connection: sqlite3.Connection, repo: int, oid: bytes) -> tuple[bytes | None, bytes]:
    """Return base and added entries of a tree that is stored as edits; None and all entries of other trees.

    Raises:
        KeyError, ValueError: See `read`.
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
    """Return a new tree from `base` (None for an empty tree) with entries added, replaced and removed."""
    old, depth = b"", 0
    if base and base != git.EMPTY_TREE:
        _, old, depth = _read(connection, repo, base)
    edits = git.edit_tree(old, changes)
    new = git.apply_edits(old, edits)
    oid = git.object_id("tree", new)
    if len(new) >= _MIN_EDITED_BYTES and old and oid != base:
        text = b"".join(_HEAD.pack(start, end, len(piece)) + piece for start, end, piece in edits)
        if depth < _MAX_EDIT_CHAIN and len(text) < len(new) // 8:
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

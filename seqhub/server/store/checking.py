"""fsck: whether everything the database says is true."""

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from seqhub.server import git
from seqhub.server.store import index, objects
from seqhub.server.store.index import FOLDER, Point


def check(connection: sqlite3.Connection, blobs: Path) -> Iterator[str]:
    """What is wrong, one line each."""
    for row in connection.execute("PRAGMA integrity_check(20)"):
        if row[0] != "ok":
            yield f"database: {row[0]}"
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(20):
        yield f"database: row {rowid} of {table} names a row of {parent} that does not exist"
    for repo, name in connection.execute("SELECT id, kind || ' ' || key FROM repos").fetchall():
        for problem in _check_repo(connection, repo):
            yield f"{name}: {problem}"
    yield from _check_blobs(connection, blobs)


def _check_repo(connection: sqlite3.Connection, repo: int) -> Iterator[str]:
    known: set[bytes] = set()
    for oid, kind in connection.execute("SELECT oid, kind FROM objects WHERE repo = ?", (repo,)).fetchall():
        try:
            found, data = objects.read(connection, repo, oid)
        except (KeyError, ValueError) as error:
            yield f"{kind} {oid.hex()} cannot be read: {error.args[0]}"
            continue
        known.add(oid)
        if git.object_id(found, data) != oid:
            yield f"{kind} {oid.hex()} has other content than its id says"
    query = (
        "SELECT ref FROM refs LEFT JOIN commits ON commits.id = target AND commits.repo = refs.repo WHERE refs.repo = ?"
    )
    for (ref,) in connection.execute(query + " AND commits.id IS NULL", (repo,)).fetchall():
        yield f"{ref} points to no commit"
    checked: set[bytes] = set()
    query = """SELECT oid, parent, tree, line, seq, id IN (SELECT target FROM refs WHERE repo = ?)
        OR seq = (SELECT max(seq) FROM commits AS c WHERE c.line = commits.line)
        FROM commits WHERE repo = ? ORDER BY id"""
    for oid, parent, tree, line, seq, whole in connection.execute(query, (repo, repo)).fetchall():
        for needed in (oid, tree, *([parent] if parent else [])):
            if needed not in known:
                yield f"commit {oid.hex()} needs {needed.hex()}, which is missing"
        if tree in known:
            yield from _check_tree(connection, repo, tree, known, checked)
            yield from _check_index(connection, Point(line, seq), tree, oid, bool(whole))


def _check_tree(
    connection: sqlite3.Connection, repo: int, tree: bytes, known: set[bytes], checked: set[bytes]
) -> Iterator[str]:
    """Everything below a tree exists."""
    if tree in checked:
        return
    checked.add(tree)
    try:
        entries = git.parse_tree(objects.read(connection, repo, tree)[1])
    except (KeyError, ValueError) as error:
        yield f"tree {tree.hex()} cannot be read: {error.args[0]}"
        return
    for mode, name, oid in entries:
        if oid not in known:
            yield f"tree {tree.hex()} needs {oid.hex()} for {name.decode('utf-8', 'replace')}, which is missing"
        elif mode == git.FOLDER_MODE:
            yield from _check_tree(connection, repo, oid, known, checked)


def _check_index(
    connection: sqlite3.Connection, point: Point, root: bytes, commit: bytes, whole: bool
) -> Iterator[str]:
    """The index of a commit says what its trees say: in every folder, or in those that the commit changed.

    The whole is compared at the end of each line and wherever a ref points, so that time grows with what was committed
    and not with commits times files.
    """
    chain = index.index_chain(connection, point)
    changed = "SELECT path FROM files WHERE line = ? AND added = ? AND kind = ? ORDER BY path"
    folders = [""]
    if not whole:
        folders += [row[0] for row in connection.execute(changed, (*point, FOLDER)).fetchall()]
    while folders:
        folder = folders.pop()
        row = index.locate(connection, chain, folder) if folder else None
        entries: dict[bytes, tuple[bytes, bytes] | None] = {}
        for child in index.children(connection, chain, folder):
            mode = git.FOLDER_MODE if child.kind == FOLDER else git.FILE_MODE
            entries[child.path.rpartition("/")[2].encode()] = (mode, child.oid)
            if whole and child.kind == FOLDER:
                folders.append(child.path)
            if child.sha256 is not None:
                pointer = git.pointer(child.sha256.hex(), child.size)
                if git.object_id("blob", pointer) != child.oid:
                    yield f"commit {commit.hex()}: {child.path!a} has another pointer than its SHA-256 and size say"
        data = git.apply_edits(b"", git.edit_tree(b"", entries))
        if git.object_id("tree", data) != (row.oid if row else root if not folder else b""):
            yield f"commit {commit.hex()}: index and tree differ in folder {folder!a}"
    if whole:
        known = {""}
        for row in index.visible(connection, chain, "", None):
            known |= {row.path} if row.kind == FOLDER else set()
            if row.path.rpartition("/")[0] not in known:
                yield f"commit {commit.hex()}: the index has {row.path!a} without its folder"


def _check_blobs(connection: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Large files are there and hold what their names say."""
    for key, size in connection.execute("SELECT sha256, size FROM blobs").fetchall():
        name = key.hex()
        path = folder / name[:2] / name
        if not path.is_file():
            yield f"large file {name} is missing"
        elif path.stat().st_size != size:
            yield f"large file {name} has {path.stat().st_size} bytes, not {size}"
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != name:
                    yield f"large file {name} has other content than its name says"
    query = """SELECT DISTINCT f.sha256, lines.repo FROM files AS f JOIN lines ON lines.id = f.line
        WHERE f.sha256 IS NOT NULL AND f.sha256 NOT IN (SELECT sha256 FROM blobs) AND NOT EXISTS
        (SELECT 1 FROM purged WHERE purged.repo = lines.repo AND purged.sha256 = f.sha256)"""
    for key, repo in connection.execute(query).fetchall():
        yield f"large file {key.hex()}, which repository {repo} names, is not kept"

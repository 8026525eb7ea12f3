"""Consistency check of the database and the large files (fsck)."""

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from seqhub.server import git
from seqhub.server.store import index, objects
from seqhub.server.store.counting import check_counters
from seqhub.server.store.index import FOLDER, LIVE, Point, Row


def check(connection: sqlite3.Connection, blobs: Path, damaged: set[bytes] | None = None) -> Iterator[str]:
    """Yield a message for each problem, and add contents that an upload can repair to `damaged`.

    Args:
        connection: Connection to the database.
        blobs: Folder of the large files.
        damaged: Set that receives the SHA-256 of large files and the git ids of small files.
    """
    damaged = set() if damaged is None else damaged
    for row in connection.execute("PRAGMA integrity_check(20)"):
        if row[0] != "ok":
            yield f"database: {row[0]}"
    for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(20):
        yield f"database: row {rowid} of {table} refers to a row of {parent} that does not exist"
    query = "SELECT id, kind || ' ' || key FROM repos WHERE id NOT IN (SELECT repo FROM unfinished WHERE what = 'repo')"
    for repo, name in connection.execute(query).fetchall():
        for problem in _check_repo(connection, repo, damaged):
            yield f"{name}: {problem}"
    yield from check_counters(connection)
    yield from _check_blobs(connection, blobs, damaged)


def _check_repo(connection: sqlite3.Connection, repo: int, damaged: set[bytes]) -> Iterator[str]:
    known: set[bytes] = set()
    for oid, kind in connection.execute("SELECT oid, kind FROM objects WHERE repo = ?", (repo,)).fetchall():
        try:
            found, data = objects.read(connection, repo, oid)
        except (KeyError, ValueError) as error:
            damaged.add(oid)
            yield f"{kind} {oid.hex()} cannot be read: {error.args[0]}"
            continue
        known.add(oid)
        if git.object_id(found, data) != oid:
            damaged.add(oid)
            yield f"{kind} {oid.hex()} does not match its id"
    query = (
        "SELECT ref FROM refs LEFT JOIN commits ON commits.id = target AND commits.repo = refs.repo WHERE refs.repo = ?"
    )
    for (ref,) in connection.execute(query + " AND commits.id IS NULL", (repo,)).fetchall():
        yield f"{ref} points to no commit"
    checked: set[bytes] = set()
    query = """SELECT oid, parent, tree, line, seq, id IN (SELECT target FROM refs WHERE repo = ?)
        OR seq = (SELECT max(seq) FROM commits AS c WHERE c.line = commits.line)
        FROM commits WHERE repo = ? AND line NOT IN (SELECT number FROM unfinished WHERE what = 'line') ORDER BY id"""
    yield from _check_times(connection, repo)
    _note_changes(connection, repo)
    for oid, parent, tree, line, seq, whole in connection.execute(query, (repo, repo)).fetchall():
        for needed in (oid, tree, *([parent] if parent else [])):
            if needed not in known:
                yield f"commit {oid.hex()} refers to {needed.hex()}, which is missing"
        if tree in known:
            yield from _check_tree(connection, repo, tree, known, checked, damaged)
            point = Point(line, seq)
            yield from _check_step(connection, repo, point, tree, oid, parent)
            if whole:
                yield from _check_index(connection, point, tree, oid)


def _note_changes(connection: sqlite3.Connection, repo: int) -> None:
    """Create a table with the paths that each commit changes, since `files` is ordered by path."""
    connection.execute("DROP TABLE IF EXISTS temp.changed")
    connection.execute(
        f"""CREATE TEMP TABLE changed AS SELECT line, added AS seq, path FROM files
            WHERE line IN (SELECT id FROM lines WHERE repo = :repo)
            UNION SELECT line, removed, path FROM files
            WHERE line IN (SELECT id FROM lines WHERE repo = :repo) AND removed < {LIVE}""",
        {"repo": repo},
    )
    connection.execute("CREATE INDEX temp.changed_at ON changed (line, seq)")


def _check_times(connection: sqlite3.Connection, repo: int) -> Iterator[str]:
    """Check that no row ends before it begins, or after the next row of its path begins."""
    query = """SELECT path FROM (
            SELECT path, added, removed, lead(added) OVER (PARTITION BY line, path ORDER BY added) AS next
            FROM files WHERE line IN (SELECT id FROM lines WHERE repo = ?))
        WHERE removed <= added OR removed > next"""
    for (path,) in connection.execute(query, (repo,)):
        yield f"the index has overlapping or empty rows for {path!a}"


def _check_tree(
    connection: sqlite3.Connection,
    repo: int,
    tree: bytes,
    known: set[bytes],
    checked: set[bytes],
    damaged: set[bytes],
) -> Iterator[str]:
    """Check that all objects below a tree exist. For a tree stored as edits, only the added entries are checked."""
    waiting = [tree]
    while waiting:
        tree = waiting.pop()
        if tree in checked:
            continue
        checked.add(tree)
        try:
            base, data = objects.added_entries(connection, repo, tree)
            entries = git.parse_tree(data)
        except (KeyError, ValueError) as error:
            yield f"tree {tree.hex()} cannot be read: {error.args[0]}"
            continue
        waiting += [] if base is None else [base]
        for mode, name, oid in entries:
            if oid not in known:
                damaged.add(oid)
                yield f"tree {tree.hex()} refers to {oid.hex()} for {name.decode('utf-8', 'replace')}, which is missing"
            elif mode == git.FOLDER_MODE:
                waiting.append(oid)


def _check_step(
    connection: sqlite3.Connection, repo: int, point: Point, root: bytes, commit: bytes, parent: bytes | None
) -> Iterator[str]:
    """Check that the index agrees with the trees for the paths that a commit changes relative to its parent.

    Together with `_check_index` at the end of each line this checks all paths at all commits, in time proportional to
    the number of changes instead of commits times files.
    """
    chain, before = index.index_chain(connection, point), None
    if parent is not None:
        query = "SELECT line, seq, tree FROM commits WHERE repo = ? AND oid = ?"
        row = connection.execute(query, (repo, parent)).fetchone()
        if row is None:
            return  # reported already
        before = (index.index_chain(connection, Point(row[0], row[1])), row[2])
    folders: dict[str, dict[bytes, tuple[bytes, bytes] | None]] = {"": {}}
    for (path,) in connection.execute("SELECT path FROM temp.changed WHERE line = ? AND seq = ?", point).fetchall():
        row = index.locate(connection, chain, path)
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, {})[name.encode()] = None if row is None else _entry(row)
        if row is not None and row.kind == FOLDER:
            folders.setdefault(path, {})  # a changed folder must contain a change
        if row is not None and row.sha256 is not None:
            pointer = git.pointer(row.sha256.hex(), row.size)
            if git.object_id("blob", pointer) != row.oid:
                yield f"commit {commit.hex()}: the pointer of {path!a} does not match its SHA-256 and size"
    for folder, entries in folders.items():
        now = _folder(connection, chain, folder, root)
        if now is None and not any(entries.values()):
            continue  # the folder was removed; its parent folder is checked
        old = b""
        if before is not None:
            tree = _folder(connection, before[0], folder, before[1])
            try:
                old = b"" if tree is None or tree == git.EMPTY_TREE else objects.read(connection, repo, tree)[1]
            except (KeyError, ValueError):
                continue  # reported already
        if git.object_id("tree", git.apply_edits(old, git.edit_tree(old, entries))) != now:
            yield f"commit {commit.hex()}: index and tree differ in folder {folder!a}"


def _check_index(connection: sqlite3.Connection, point: Point, root: bytes, commit: bytes) -> Iterator[str]:
    """Check that the index of a commit agrees with its trees, in every folder."""
    chain = index.index_chain(connection, point)
    oids = {"": root}
    for row in index.visible(connection, chain, "", None):
        if row.kind == FOLDER:
            oids[row.path] = row.oid
        if row.path.rpartition("/")[0] not in oids:
            yield f"commit {commit.hex()}: the index has {row.path!a} without its folder"
    for folder, oid in oids.items():
        children = index.children(connection, chain, folder)
        entries: dict[bytes, tuple[bytes, bytes] | None] = {
            row.path.rpartition("/")[2].encode(): _entry(row) for row in children
        }
        if git.object_id("tree", git.apply_edits(b"", git.edit_tree(b"", entries))) != oid:
            yield f"commit {commit.hex()}: index and tree differ in folder {folder!a}"


def _folder(connection: sqlite3.Connection, chain: index.Chain, folder: str, root: bytes) -> bytes | None:
    """Return the tree id of a folder according to the index; None if it does not exist."""
    if not folder:
        return root
    row = index.locate(connection, chain, folder)
    return row.oid if row is not None and row.kind == FOLDER else None


def _entry(row: Row) -> tuple[bytes, bytes]:
    return git.FOLDER_MODE if row.kind == FOLDER else git.FILE_MODE, row.oid


def _check_blobs(connection: sqlite3.Connection, folder: Path, damaged: set[bytes]) -> Iterator[str]:
    """Check that large files exist and that their hashes match their names."""
    for key, size in connection.execute("SELECT sha256, size FROM blobs").fetchall():
        name = key.hex()
        path = folder / name[:2] / name
        problem = ""
        if not path.is_file():
            problem = "is missing"
        elif path.stat().st_size != size:
            problem = f"has {path.stat().st_size} bytes, not {size}"
        else:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != name:
                    problem = "does not match its name"
        if problem:
            damaged.add(key)
            yield f"large file {name} {problem}"
    query = "SELECT base, repo FROM objects WHERE packed = 3 AND base NOT IN (SELECT sha256 FROM blobs)"
    for key, repo in connection.execute(query).fetchall():
        damaged.add(key)
        yield f"the content {key.hex()}, used by repository {repo}, is not stored"
    query = """SELECT DISTINCT f.sha256, lines.repo FROM files AS f JOIN lines ON lines.id = f.line
        WHERE f.sha256 IS NOT NULL AND f.sha256 NOT IN (SELECT sha256 FROM blobs) AND NOT EXISTS
        (SELECT 1 FROM purged WHERE purged.repo = lines.repo AND purged.sha256 = f.sha256)"""
    for key, repo in connection.execute(query).fetchall():
        damaged.add(key)
        yield f"large file {key.hex()}, used by repository {repo}, is not stored"

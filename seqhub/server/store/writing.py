"""The last steps of every commit: trees, the commit object, index rows, the ref, the card."""

import json
import sqlite3
import time

from seqhub.server import git
from seqhub.server.model import DEFAULT_BRANCH, Repo
from seqhub.server.refusal import Refusal
from seqhub.server.store import index, objects
from seqhub.server.store.base import now
from seqhub.server.store.cards import card_tags, parse_card, search_tags, text_field
from seqhub.server.store.index import FILE, FOLDER, LIVE, Chain, Point, Row
from seqhub.server.store.limits import Limits


def append(
    connection: sqlite3.Connection,
    repo: Repo,
    reference: str,
    head: int,
    changes: dict[str, Row | None],
    author: str,
    title: str,
    message: str,
    limits: Limits,
) -> int:
    """Put one commit on top of `head` and let the ref point to it; its row id. The blobs are stored already.

    Raises:
        Refusal: 422; a path would be a file and a folder at once.
    """
    query = "SELECT line, seq, oid, tree FROM commits WHERE id = ?"
    line, seq, parent, root = connection.execute(query, (head,)).fetchone()
    point = Point(line, seq)
    chain = index.index_chain(connection, point)
    tree, folders = _write_trees(connection, repo.id, chain, root, changes)
    packed = objects.pack("commit", git.commit_data(tree, [parent], author, int(time.time()), title, message))
    row = connection.execute("SELECT id FROM commits WHERE repo = ? AND oid = ?", (repo.id, packed.oid)).fetchone()
    if row:  # the very same change of the same commit in the same second, on another branch
        new = int(row[0])
    else:
        if connection.execute("SELECT 1 FROM commits WHERE line = ? AND seq = ?", (line, seq + 1)).fetchone():
            chain = index.fork(connection, repo.id, point)
        place = Point(chain[0].line, seq + 1)
        new = keep_commit(connection, repo.id, packed, place, parent, tree, author, title, message)
        index.write(connection, chain, seq + 1, new, changes | folders)
    connection.execute("UPDATE refs SET target = ? WHERE repo = ? AND ref = ?", (new, repo.id, reference))
    if reference == f"refs/heads/{DEFAULT_BRANCH}":
        connection.execute("UPDATE repos SET updated = max(updated + 1, ?) WHERE id = ?", (now(), repo.id))
        if "README.md" in changes:
            _write_card(connection, repo, changes["README.md"], limits)
    return new


def keep_commit(
    connection: sqlite3.Connection,
    repo: int,
    packed: objects.Packed,
    place: Point,
    parent: bytes | None,
    tree: bytes,
    author: str,
    title: str,
    message: str,
) -> int:
    """Store a commit's object and row; the row id."""
    objects.write(connection, repo, [packed])
    values = (repo, packed.oid, place.line, place.seq, parent, tree, author, title, message, int(time.time()))
    cursor = connection.execute(
        "INSERT INTO commits (repo, oid, line, seq, parent, tree, author, title, message, date) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _write_trees(
    connection: sqlite3.Connection, repo: int, chain: Chain, root: bytes, changes: dict[str, Row | None]
) -> tuple[bytes, dict[str, Row | None]]:
    """Rewrite the folders that changes touch, deepest first: the root's id, and the index rows of the others."""
    inside: dict[str, dict[bytes, tuple[bytes, bytes] | None]] = {"": {}}
    for path, row in changes.items():
        folder, _, name = path.rpartition("/")
        inside.setdefault(folder, {})[name.encode()] = (git.FILE_MODE, row.oid) if row else None
        while folder and (folder := folder.rpartition("/")[0]) not in inside:
            inside[folder] = {}
    for path, row in changes.items():
        if row is not None and path not in inside:
            there = index.locate(connection, chain, path)
            if there is not None and there.kind == FOLDER:
                inside[path] = {}  # a file where a folder is, of which nothing goes: refused below
    written: list[objects.Packed] = []
    rows: dict[str, Row | None] = {}
    for folder in sorted(inside, key=lambda path: (path.count("/") + bool(path), path), reverse=True):
        before = index.locate(connection, chain, folder) if folder else None
        base = root if not folder else before.oid if before and before.kind == FOLDER else None
        tree = objects.edited_tree(connection, repo, base, inside[folder])
        empty = tree.oid == git.EMPTY_TREE
        if not empty or not folder:
            written.append(tree)
        if not folder:
            objects.write(connection, repo, written)
            return tree.oid, rows
        is_file = changes[folder] is not None if folder in changes else before is not None and before.kind == FILE
        if is_file and not empty:
            raise Refusal(422, f"{folder!a} would be a file and a folder at once")
        parent, _, name = folder.rpartition("/")
        if not empty:
            rows[folder] = Row(0, folder, 0, LIVE, FOLDER, tree.oid, 0, None, 0)
            inside[parent][name.encode()] = (git.FOLDER_MODE, tree.oid)
        elif not is_file and before is not None:
            rows[folder] = None
            inside[parent][name.encode()] = None
    raise AssertionError("the root comes last")


def _write_card(connection: sqlite3.Connection, repo: Repo, row: Row | None, limits: Limits) -> None:
    """Keep what the README on main says, and the tags by which the repository is found."""
    readme = b"" if row is None or row.sha256 is not None else objects.read(connection, repo.id, row.oid)[1]
    card = parse_card(readme, limits.card_bytes)
    tags = card_tags(repo.kind, card, readme)
    values = (json.dumps(card), json.dumps(tags), text_field(card, "pipeline_tag"), text_field(card, "library_name"))
    query = "UPDATE repos SET card = ?, tags = ?, pipeline_tag = ?, library = ? WHERE id = ?"
    connection.execute(query, (*values, repo.id))
    connection.execute("DELETE FROM tags WHERE repo = ?", (repo.id,))
    found = [(tag, repo.id) for tag in sorted(search_tags(repo.kind, card, tags))]
    connection.executemany("INSERT INTO tags VALUES (?, ?)", found)

"""Writing of a planned commit: trees, the commit object, index rows, the ref and the card."""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from seqhub.server import git
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import index, objects
from seqhub.server.store.base import now
from seqhub.server.store.cards import card_tags, parse_card, search_tags, text_field
from seqhub.server.store.counting import add_bytes, added_bytes
from seqhub.server.store.index import FILE, FOLDER, LIVE, Chain, Point, Row
from seqhub.server.store.limits import Limits
from seqhub.server.store.results import (
    CARD,
    MAX_RESULT_FILES,
    Result,
    card_results,
    changed_results,
    is_result_file,
    write_results,
)
from seqhub.server.types import DEFAULT_BRANCH, Repo

MAIN: Final = f"refs/heads/{DEFAULT_BRANCH}"
SMALL_ROWS, SMALL_BYTES = 1500, 2**20  # limits of a commit that is written in one transaction


class Card(NamedTuple):
    """Card of README.md on main, as columns of the database."""

    values: tuple[str, str, str | None, str | None]  # card, displayed tags, pipeline_tag and library
    search_tags: tuple[str, ...]
    results: list[Result]


@dataclass(frozen=True, slots=True)
class Plan:
    """Planned commit with the parent `head`, valid while the ref points to it."""

    head: int
    point: Point
    parent: bytes
    chain: Chain
    changes: dict[str, Row | None]  # files
    folders: dict[str, Row | None]
    tree: bytes
    objects: list[objects.Packed]  # blobs and trees
    large: dict[bytes, int]  # SHA-256 -> size of the large files
    added: int  # growth of the repository in bytes
    newest: int  # row id of the newest commit of the Hub; `added` is computed again after newer ones
    card: Card | None  # None if unchanged
    results: dict[str, list[Result]]  # of changed files of .eval_results

    @property
    def rows(self) -> dict[str, Row | None]:
        """Index rows of files and folders."""
        return self.changes | self.folders

    @property
    def is_small(self) -> bool:
        """True for a commit that is written in one transaction."""
        size = sum(
            item.data.size if isinstance(item.data, objects.Spooled) else len(item.data) for item in self.objects
        )
        return len(self.changes) + len(self.folders) + len(self.objects) <= SMALL_ROWS and size <= SMALL_BYTES


def plan(
    connection: sqlite3.Connection,
    repo: Repo,
    reference: str,
    head: int,
    changes: dict[str, Row | None],
    limits: Limits,
    *,
    blobs: Sequence[objects.Packed] = (),
    large: Mapping[bytes, int] | None = None,
    texts: Mapping[str, bytes | Path] | None = None,
) -> Plan:
    """Plan the rows and objects of a commit.

    Args:
        connection: Connection in a read transaction.
        repo: The repository.
        reference: Ref that will point to the commit.
        head: Row id of the current commit of the ref.
        changes: Path -> new file; None for a removed one.
        limits: Limits of storage.
        blobs: New contents.
        large: SHA-256 -> size of the large files.
        texts: Contents of `indexed_files` that are new.

    Raises:
        HubHTTPError: 422 if a path would be both a file and a folder.
    """
    query = "SELECT line, seq, oid, tree FROM commits WHERE id = ?"
    line, seq, parent, root = connection.execute(query, (head,)).fetchone()
    point = Point(line, seq)
    chain = index.index_chain(connection, point)
    tree, folders, trees = _trees(connection, repo.id, chain, root, changes)
    card: Card | None = None
    results: dict[str, list[Result]] = {}
    if reference == MAIN:
        contents = {path: _text(connection, repo, changes[path], path, texts or {}) for path in indexed_files(changes)}
        if CARD in contents:
            card = _card(repo, contents.pop(CARD) or b"", limits)
        if repo.repo_type == "model":
            results = {path: [] for path in changes if is_result_file(path)} | changed_results(contents)
    (newest,) = connection.execute("SELECT max(id) FROM commits").fetchone()
    added = added_bytes(connection, repo, changes)
    written = [*blobs, *trees]
    large = dict(large or {})
    return Plan(head, point, parent, chain, changes, folders, tree, written, large, added, newest, card, results)


def append(
    connection: sqlite3.Connection,
    repo: Repo,
    reference: str,
    found: Plan,
    author: str,
    title: str,
    message: str,
    load: Callable[[objects.Spooled], bytes] | None = None,
) -> int:
    """Write a small plan, point the ref to the commit, and return its row id."""
    add_bytes(connection, repo, added_now(connection, repo, found))
    objects.write(connection, repo.id, found.objects, load)
    packed = commit_object(found, author, title, message)
    row = connection.execute("SELECT id FROM commits WHERE repo = ? AND oid = ?", (repo.id, packed.oid)).fetchone()
    if row:  # the same change of the same parent in the same second, on another branch
        new = int(row[0])
    else:
        chain, (line, seq) = found.chain, found.point
        if connection.execute("SELECT 1 FROM commits WHERE line = ? AND seq = ?", (line, seq + 1)).fetchone():
            chain = index.fork(connection, repo.id, found.point)
        place = Point(chain[0].line, seq + 1)
        new = keep_commit(connection, repo.id, packed, place, found.parent, found.tree, author, title, message)
        index.write(connection, chain, seq + 1, new, found.rows)
    point_ref(connection, repo, reference, new, found)
    return new


def added_now(connection: sqlite3.Connection, repo: Repo, found: Plan, new: int = 0, line: int = 0) -> int:
    """Return the growth of the repository in bytes, computed again after other commits since the plan.

    Args:
        connection: Connection in a write transaction.
        repo: The repository.
        found: The plan.
        new: Row id of the commit, if it was already written.
        line: Line of the commit in the index.
    """
    query = "SELECT 1 FROM commits WHERE id > ? AND id <> ? AND repo = ? LIMIT 1"
    if connection.execute(query, (found.newest, new, repo.id)).fetchone() is None:
        return found.added
    return added_bytes(connection, repo, found.changes, line)


def commit_object(found: Plan, author: str, title: str, message: str) -> objects.Packed:
    """Return the commit object of a plan."""
    data = git.commit_data(found.tree, [found.parent], author, int(time.time()), title, message)
    return objects.pack("commit", data)


def point_ref(connection: sqlite3.Connection, repo: Repo, reference: str, new: int, found: Plan) -> None:
    """Point a ref to a written commit, and update the card and times of the repository.

    Raises:
        HubHTTPError: 503 if a content of the commit was removed in the meantime.
    """
    hashes = [item.base for item in found.objects if item.packed == objects.FILED]
    for key in (*found.large, *hashes):
        if connection.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (key,)).fetchone() is None:
            raise HubHTTPError(
                503, "a content was removed in the meantime: send it again", headers={"Retry-After": "1"}
            )
    connection.execute("UPDATE refs SET target = ? WHERE repo = ? AND ref = ?", (new, repo.id, reference))
    if reference == MAIN:
        connection.execute("UPDATE repos SET updated = max(updated + 1, ?) WHERE id = ?", (now(), repo.id))
    if found.card is not None:
        query = "UPDATE repos SET card = ?, tags = ?, pipeline_tag = ?, library = ? WHERE id = ?"
        connection.execute(query, (*found.card.values, repo.id))
        connection.execute("DELETE FROM tags WHERE repo = ?", (repo.id,))
        rows = [(tag, repo.id) for tag in found.card.search_tags]
        connection.executemany("INSERT INTO tags VALUES (?, ?)", rows)
    results = found.results | ({} if found.card is None else {CARD: found.card.results})
    if results:
        (oid,) = connection.execute("SELECT oid FROM commits WHERE id = ?", (new,)).fetchone()
        write_results(connection, repo.id, oid, results)


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
    """Store the object and the row of a commit, and return the row id."""
    objects.write(connection, repo, [packed])
    values = (repo, packed.oid, place.line, place.seq, parent, tree, author, title, message, int(time.time()))
    cursor = connection.execute(
        "INSERT INTO commits (repo, oid, line, seq, parent, tree, author, title, message, date) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _trees(
    connection: sqlite3.Connection, repo: int, chain: Chain, root: bytes, changes: dict[str, Row | None]
) -> tuple[bytes, dict[str, Row | None], list[objects.Packed]]:
    """Rewrite the changed folders, deepest first; return the id of the root, the index rows, and all new trees."""
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
                inside[path] = {}  # a file replaces a folder that is not empty: raises below
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
            return tree.oid, rows, written
        is_file = changes[folder] is not None if folder in changes else before is not None and before.kind == FILE
        if is_file and not empty:
            raise HubHTTPError(422, f"{folder!a} would be both a file and a folder")
        parent, _, name = folder.rpartition("/")
        if not empty:
            rows[folder] = Row(0, folder, 0, LIVE, FOLDER, tree.oid, 0, None, 0)
            inside[parent][name.encode()] = (git.FOLDER_MODE, tree.oid)
        elif not is_file and before is not None:
            rows[folder] = None
            inside[parent][name.encode()] = None
    raise AssertionError("the root is the last folder")


def indexed_files(changes: Mapping[str, Row | None]) -> list[str]:
    """Return the changed files whose content is written into tables: the card, and some files of results."""
    results = [path for path in changes if is_result_file(path)][:MAX_RESULT_FILES]
    return [*results, CARD] if CARD in changes else results


def _text(
    connection: sqlite3.Connection, repo: Repo, row: Row | None, path: str, texts: Mapping[str, bytes | Path]
) -> bytes | Path | None:
    """Return the content of a changed file; None if it was removed or is a large file."""
    if row is None or row.sha256 is not None:
        return None
    if path in texts:
        return texts[path]
    stored = objects.content_path(connection, repo.id, row.oid)
    return objects.read(connection, repo.id, row.oid)[1] if stored is None else stored


def _card(repo: Repo, readme: bytes | Path, limits: Limits) -> Card:
    """Return the card of a README."""
    if isinstance(readme, Path):
        with readme.open("rb") as file:
            readme = file.read(max(limits.card_bytes + 16, 2**20))
    card = parse_card(readme, limits.card_bytes)
    tags = card_tags(repo.repo_type, card, readme)
    values = (json.dumps(card), json.dumps(tags), text_field(card, "pipeline_tag"), text_field(card, "library_name"))
    results = card_results(card) if repo.repo_type == "model" else []
    return Card(values, tuple(sorted(search_tags(repo.repo_type, card, tags))), results)

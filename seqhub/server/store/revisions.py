"""Reading of commits and their files."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from seqhub.server import git
from seqhub.server.errors import HubHTTPError, entry_not_found, revision_not_found
from seqhub.server.store import index, objects
from seqhub.server.store.base import StoreContext, StorePart
from seqhub.server.store.blobs import Blobs
from seqhub.server.store.index import Chain, Point, Row
from seqhub.server.store.names import check_path
from seqhub.server.types import DEFAULT_BRANCH, Commit, Entry, Lfs, Repo

_COMMIT = "SELECT oid, parent, author, title, message, date FROM commits"
_PAGE_CHARACTERS = 2**20  # maximum length of all messages on a page of the history
BRANCH, TAG = "refs/heads/", "refs/tags/"


class Revisions(StorePart):
    """Commits of a repository, and their files.

    Args:
        context: Context that all parts share.
        blobs: Storage of large files.
    """

    def __init__(self, context: StoreContext, blobs: Blobs) -> None:
        super().__init__(context)
        self.blobs = blobs

    def resolve(self, repo: Repo, revision: str) -> Commit:
        """Return the commit of a branch, tag, ref, commit id (at least 7 digits) or HEAD.

        Raises:
            HubHTTPError: 404 RevisionNotFound.
        """
        with self.database.reading() as connection:
            return commit_of(connection, find_commit(connection, repo.id, revision))

    def log(
        self, repo: Repo, revision: str, *, after: str | None = None, limit: int = 50
    ) -> tuple[list[Commit], str | None, int]:
        """Return a page of the history, newest first, the cursor of the next page, and the total number of commits."""
        with self.database.reading() as connection:
            head = point_of(connection, find_commit(connection, repo.id, revision))
            last = _cursor(after) if after is not None else head.seq
            found: list[Commit] = []
            size = 0
            for line, seq in index.history_chain(connection, head):
                query = _COMMIT + " WHERE line = ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
                values = (line, min(seq, last), limit + 1 - len(found))
                for row in connection.execute(query, values):
                    found.append(to_commit(row))
                    size += len(found[-1].message)
                    if size > _PAGE_CHARACTERS and len(found) > 1:
                        limit = min(limit, len(found) - 1)  # the rest is on the next page
                        break
                if len(found) > limit:
                    break
        more = len(found) > limit
        return found[:limit], str(last - limit) if more else None, head.seq + 1

    def entry(self, repo: Repo, commit: Commit, path: str) -> Entry | None:
        """Return the file or folder at a path of a commit; None if it does not exist or the path is not valid."""
        found = self.entries(repo, commit, [path])
        return found[0] if found else None

    def entries(
        self, repo: Repo, commit: Commit, paths: Sequence[str], *, with_last_commit: bool = False
    ) -> list[Entry]:
        """Return the files and folders at some paths, in their order; missing ones are omitted."""
        with self.database.reading() as connection:
            chain = chain_of(connection, repo, commit)
            found = [index.locate(connection, chain, path) for path in _possible(paths)]
            return list(_entries(connection, (row for row in found if row), with_last_commit))

    def tree(
        self,
        repo: Repo,
        commit: Commit,
        folder: str,
        *,
        recursive: bool,
        with_last_commit: bool = False,
        after: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[Entry], str | None]:
        """Return a page of a folder ("" for the root), sorted by path, and the cursor of the next page.

        Raises:
            HubHTTPError: 404 EntryNotFound if the folder does not exist.
        """
        folder = folder.strip("/")
        with self.database.reading() as connection:
            chain = chain_of(connection, repo, commit)
            if folder:
                folder = next(_possible([folder]), "")
                found = index.locate(connection, chain, folder) if folder else None
                if found is None or found.kind != index.FOLDER:
                    raise entry_not_found(folder, commit.oid)
            listing = (index.below if recursive else index.children)(connection, chain, folder, after)
            rows = list(islice(listing, limit + 1))
            page = list(_entries(connection, rows[:limit], with_last_commit))
            return page, page[-1].path if len(rows) > limit else None

    def content(self, repo: Repo, commit: Commit, entry: Entry) -> bytes | Path:
        """Return the content of a file: bytes if it is short, a path if it is long.

        Raises:
            HubHTTPError: 404 for a folder, 410 for a large file that was deleted permanently.
        """
        if entry.is_folder:
            raise entry_not_found(entry.path, commit.oid)
        if entry.lfs is not None:
            with self.database.reading() as connection:
                query = "SELECT 1 FROM purged WHERE repo = ? AND sha256 = ?"
                purged = connection.execute(query, (repo.id, bytes.fromhex(entry.lfs.sha256))).fetchone()
            path = None if purged else self.blobs.find(entry.lfs.sha256)
            if path is None:
                raise HubHTTPError(410, f"{entry.path} was deleted permanently", code="EntryNotFound")
            return path
        oid = bytes.fromhex(entry.oid)
        with self.database.reading() as connection:
            if entry.size >= objects.MIN_FILE_BYTES and (path := objects.content_path(connection, repo.id, oid)):
                return path
            return objects.read(connection, repo.id, oid)[1]

    def large_at(self, repo: Repo, revision: str) -> set[str]:
        """Return the SHA-256 of all large files at a revision."""
        with self.database.reading() as connection:
            chain = index.index_chain(connection, point_of(connection, find_commit(connection, repo.id, revision)))
            return {row.sha256.hex() for row in index.visible(connection, chain, "", None) if row.sha256 is not None}

    def changes(self, repo: Repo, old: Commit | None, new: Commit) -> dict[str, tuple[Entry | None, Entry | None]]:
        """Return the files that differ between two commits: path -> entries before and after; None for no file."""
        with self.database.reading() as connection:
            before = chain_of(connection, repo, old) if old else None
            found = difference(connection, before, chain_of(connection, repo, new))
            return {path: (_entry(a, None), _entry(b, None)) for path, (a, b) in sorted(found.items())}


def find_commit(connection: sqlite3.Connection, repo: int, revision: str) -> int:
    """Return the row id of the commit of a revision; see `Revisions.resolve`."""
    if revision == "HEAD":
        revision = BRANCH + DEFAULT_BRANCH
    names = [revision] if revision.startswith("refs/") else [BRANCH + revision, TAG + revision]
    for name in names:
        row = connection.execute("SELECT target FROM refs WHERE repo = ? AND ref = ?", (repo, name)).fetchone()
        if row:
            return int(row[0])
    if re.fullmatch(r"[0-9a-fA-F]{7,40}", revision):
        low, high = (bytes.fromhex(revision.ljust(40, digit)) for digit in "0f")
        query = "SELECT id FROM commits WHERE repo = ? AND oid BETWEEN ? AND ? LIMIT 2"
        rows = connection.execute(query, (repo, low, high)).fetchall()
        if len(rows) == 1:
            return int(rows[0][0])
    raise revision_not_found(revision[:200])


def commit_of(connection: sqlite3.Connection, id: int) -> Commit:
    """Return the commit with a row id."""
    return to_commit(connection.execute(_COMMIT + " WHERE id = ?", (id,)).fetchone())


def point_of(connection: sqlite3.Connection, id: int) -> Point:
    """Return the position of a commit in the index."""
    return Point(*connection.execute("SELECT line, seq FROM commits WHERE id = ?", (id,)).fetchone())


def chain_of(connection: sqlite3.Connection, repo: Repo, commit: Commit) -> Chain:
    """Return the index chain of a commit."""
    query = "SELECT line, seq FROM commits WHERE repo = ? AND oid = ?"
    row = connection.execute(query, (repo.id, bytes.fromhex(commit.oid))).fetchone()
    if row is None:
        raise revision_not_found(commit.oid)
    return index.index_chain(connection, Point(*row))


def to_commit(row: tuple[bytes, bytes | None, str, str, str, int]) -> Commit:
    oid, parent, author, title, message, date = row
    return Commit(
        oid.hex(), parent.hex() if parent else None, author, title, message, datetime.fromtimestamp(date, UTC)
    )


def difference(
    connection: sqlite3.Connection, old: Chain | None, new: Chain | None, folder: str = ""
) -> dict[str, tuple[Row | None, Row | None]]:
    """Return the files that differ between two commits; folders with equal ids are not read."""
    before, after = (
        {row.path: row for row in index.children(connection, chain, folder)} if chain else {} for chain in (old, new)
    )
    found: dict[str, tuple[Row | None, Row | None]] = {}
    for path in before.keys() | after.keys():
        a, b = before.get(path), after.get(path)
        if a is not None and a.same_as(b):
            continue
        folders = [chain if row and row.kind == index.FOLDER else None for chain, row in ((old, a), (new, b))]
        if any(folders):
            found |= difference(connection, folders[0], folders[1], path)
        files = [row if row and row.kind == index.FILE else None for row in (a, b)]
        if any(files):
            found[path] = files[0], files[1]
    return found


def _entries(connection: sqlite3.Connection, rows: Iterable[Row], with_last_commit: bool) -> Iterator[Entry]:
    known: dict[int, Commit] = {}
    for row in rows:
        if with_last_commit and row.target not in known:
            known[row.target] = commit_of(connection, row.target)
        entry = _entry(row, known.get(row.target))
        assert entry is not None
        yield entry


def _entry(row: Row | None, last: Commit | None) -> Entry | None:
    if row is None:
        return None
    lfs = None
    if row.sha256 is not None:
        lfs = Lfs(row.sha256.hex(), row.size, len(git.pointer(row.sha256.hex(), row.size)))
    return Entry(row.path, row.kind == index.FOLDER, row.oid.hex(), row.size, lfs, last)


def _possible(paths: Iterable[str]) -> Iterator[str]:
    """Yield the valid paths, in the form in which they are stored."""
    for path in paths:
        try:
            yield check_path(path.rstrip("/"))
        except HubHTTPError:
            continue


def _cursor(after: str) -> int:
    if not re.fullmatch("[0-9]{1,15}", after):
        raise HubHTTPError(400, "Invalid cursor")
    return int(after)

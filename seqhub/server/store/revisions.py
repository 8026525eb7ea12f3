"""Reading of commits and their files."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

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
_SCANNED = 20_000  # entries of a folder that are read for a page of those with a name
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
            found, cursor = _page_of_log(connection, head, after, limit)
        return [commit for _, commit in found], cursor, head.seq + 1

    def log_of_path(
        self, repo: Repo, revision: str, path: str, *, after: str | None = None, limit: int = 50
    ) -> tuple[list[Commit], str | None]:
        """Return a page of the commits that changed a file or folder, newest first, and the cursor of the next page.

        Raises:
            HubHTTPError: 404 EntryNotFound if no commit of the revision has the path.
        """
        known = next(_possible([path]), None)
        with self.database.reading() as connection:
            head = point_of(connection, find_commit(connection, repo.id, revision))
            found, cursor = _page_of_log(connection, head, after, limit, known) if known else ([], None)
        if not found and after is None:
            raise entry_not_found(path[:200], revision[:200])
        return [commit for _, commit in found], cursor

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
        named: str = "",
        after: str | None = None,
        limit: int = 1000,
    ) -> tuple[list[Entry], str | None]:
        """Return a page of a folder ("" for the root), sorted by path, and the cursor of the next page.

        Args:
            repo: The repository.
            commit: The commit.
            folder: Path of the folder.
            recursive: Whether to list folders below it, too.
            with_last_commit: Whether to find the commit that changed each entry last.
            named: Text that the last part of a path contains, in any case. At most `_SCANNED` entries are read for a
                page, which may then be short.
            after: Cursor; None for the first page.
            limit: Maximum number of entries.

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
            rows, cursor = _named_rows(listing, named, limit) if named else _page_of_rows(listing, limit)
            return list(_entries(connection, rows, with_last_commit)), cursor

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


def _page_of_rows(listing: Iterable[Row], limit: int) -> tuple[list[Row], str | None]:
    """Return a page of rows, and the cursor of the next page."""
    rows = list(islice(listing, limit + 1))
    return rows[:limit], rows[limit - 1].path if len(rows) > limit else None


def _named_rows(listing: Iterable[Row], named: str, limit: int) -> tuple[list[Row], str | None]:
    """Return a page of the rows whose name contains a text, and the cursor of the next page."""
    wanted = named.casefold()
    found: list[Row] = []
    for number, row in enumerate(listing, 1):
        if wanted in row.path.rpartition("/")[2].casefold():
            found.append(row)
        if len(found) == limit or number == _SCANNED:
            return found, row.path
    return found, None


def _page_of_log(
    connection: sqlite3.Connection, head: Point, after: str | None, limit: int, path: str | None = None
) -> tuple[list[tuple[int, Commit]], str | None]:
    """Return a page of the history with the number of each commit, and the cursor of the next page.

    Args:
        connection: Connection to the database.
        head: Position of the newest commit.
        after: Cursor; None for the first page.
        limit: Maximum number of commits.
        path: Path that the commits have changed; None for all commits.
    """
    last = _cursor(after) if after is not None else head.seq
    # A line that does not inherit its index begins with rows of earlier commits, which are their targets.
    changed = """AND (id IN (SELECT target FROM files WHERE line = :line AND path = :path)
        OR seq IN (SELECT removed FROM files WHERE line = :line AND path = :path))"""
    query = f"""SELECT seq, {_COMMIT.removeprefix("SELECT ")} WHERE line = :line AND seq <= :last
        {changed if path else ""} ORDER BY seq DESC LIMIT :limit"""
    found: list[tuple[int, Commit]] = []
    size = 0
    for line, seq in index.history_chain(connection, head):
        values = {"line": line, "last": min(seq, last), "limit": limit + 1 - len(found), "path": path}
        for number, *row in connection.execute(query, values):
            found.append((number, to_commit(row)))
            size += len(found[-1][1].message)
            if size > _PAGE_CHARACTERS and len(found) > 1:
                limit = min(limit, len(found) - 1)  # the rest is on the next page
                break
        if len(found) > limit:
            break
    return found[:limit], str(found[limit][0]) if len(found) > limit else None


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


def to_commit(row: Sequence[Any]) -> Commit:
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

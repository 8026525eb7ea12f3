"""Counters of bytes and likes of repositories: updated with every change, recomputed by fsck.

A version of a small file is counted once for each path; a large file is counted once for each repository, independent
of the number of versions and paths, until it is deleted permanently. Old versions are counted, since they can be read.
"""

import sqlite3
from collections.abc import Iterator, Mapping

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.index import FILE, Row
from seqhub.server.store.limits import Limits
from seqhub.server.types import Repo

STORED = f"""(SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT files.size, files.sha256,
    iif(files.sha256 IS NULL, files.path, NULL), iif(files.sha256 IS NULL, files.oid, NULL)
    FROM files JOIN lines ON lines.id = files.line WHERE lines.repo = repos.id AND files.kind = {FILE}
        AND (files.sha256 IS NULL OR NOT EXISTS
            (SELECT 1 FROM purged WHERE purged.repo = repos.id AND purged.sha256 = files.sha256))))"""
"""SQL expression: number of bytes of all versions of all files, for a row of `repos`."""
_SETTLED = STORED.replace(
    "WHERE lines.repo", "WHERE lines.id NOT IN (SELECT number FROM unfinished WHERE what = 'line') AND lines.repo"
)
LIKED = "(SELECT count(*) FROM likes WHERE likes.repo = repos.id)"
"""SQL expression: number of accounts that like a repository, for a row of `repos`."""


def added_bytes(connection: sqlite3.Connection, repo: Repo, changes: Mapping[str, Row | None], without: int = 0) -> int:
    """Return the number of bytes that a commit adds.

    Args:
        connection: Connection to the database.
        repo: The repository.
        changes: Path -> new file; None for a removed one.
        without: Line of the index that is ignored: the line of the commit itself.
    """
    new: dict[bytes | str, int] = {}
    for row in changes.values():
        if row is not None and not _is_counted(connection, repo.id, row, without):
            new[row.sha256 or row.path] = row.size
    return sum(new.values())


def add_bytes(connection: sqlite3.Connection, repo: Repo, number: int) -> None:
    connection.execute("UPDATE repos SET bytes = bytes + ? WHERE id = ?", (number, repo.id))


def require_quota(connection: sqlite3.Connection, repo: Repo, limits: Limits) -> None:
    """Check the quotas of a repository and its account.

    Raises:
        HubHTTPError: 403 if a quota is exceeded.
    """
    if limits.repo_bytes is None and limits.account_bytes is None:
        return
    query = "SELECT bytes, (SELECT sum(bytes) FROM repos AS all_of WHERE owner = repos.owner) FROM repos WHERE id = ?"
    of_repo, of_account = connection.execute(query, (repo.id,)).fetchone()
    for used, limit, whose in (
        (of_repo, limits.repo_bytes, repo.repo_id),
        (of_account, limits.account_bytes, repo.namespace),
    ):
        if limit is not None and used > limit:
            # hidden, since a token restricted to repositories must not reveal the size of other repositories
            total = f"{used:,} bytes of {limit:,}" if whose == repo.repo_id else f"more than {limit:,} bytes"
            raise HubHTTPError(403, f"storage limit reached: {whose} would take {total}")


def check_counters(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a message for each counter that differs from the stored data."""
    query = f"SELECT kind || ' ' || key, bytes, {_SETTLED}, likes, {LIKED} FROM repos WHERE kind <> 'hidden'"
    for name, counted, stored, likes, liked in connection.execute(query).fetchall():
        if counted != stored:
            yield f"{name}: {counted:,} bytes are counted, {stored:,} are stored"
        if likes != liked:
            yield f"{name}: {likes} likes are counted, {liked} are stored"


def repair_counters(connection: sqlite3.Connection) -> None:
    """Recompute every counter."""
    connection.execute(f"UPDATE repos SET bytes = {_SETTLED}, likes = {LIKED} WHERE kind <> 'hidden'")


def _is_counted(connection: sqlite3.Connection, repo: int, row: Row, without: int) -> bool:
    finished = "lines.id <> ? AND lines.id NOT IN (SELECT number FROM unfinished WHERE what = 'line')"
    if row.sha256 is not None:
        query = (
            f"SELECT 1 FROM files JOIN lines ON lines.id = line WHERE sha256 = ? AND repo = ? AND {finished} LIMIT 1"
        )
        return connection.execute(query, (row.sha256, repo, without)).fetchone() is not None
    query = f"""SELECT 1 FROM lines JOIN files ON files.line = lines.id WHERE lines.repo = ? AND files.path = ?
        AND oid = ? AND sha256 IS NULL AND kind = {FILE} AND {finished} LIMIT 1"""
    return connection.execute(query, (repo, row.path, row.oid, without)).fetchone() is not None

"""Marks of work in many transactions, so that gc can remove the remains of interrupted work.

Types of work: `objects` of a commit, after the row `number`; `swept`: the same, after gc has begun to remove them;
`line`: a line of the index without a ref; `repo`: a repository that is being created or deleted; `proposal`: a pull
request without its first commit.
"""

import sqlite3
from typing import Literal

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.base import now
from seqhub.server.store.database import Database

Work = Literal["objects", "line", "repo", "proposal"]
_SLICE = 500  # rows
_FILES = f"""DELETE FROM files WHERE (line, path, added) IN
    (SELECT line, path, added FROM files WHERE line = ? LIMIT {_SLICE})"""


def begin(connection: sqlite3.Connection, what: Work, repo: int, number: int) -> int:
    """Add a mark; return its id for `end`."""
    cursor = connection.execute(
        "INSERT INTO unfinished (what, repo, number, created) VALUES (?, ?, ?, ?)", (what, repo, number, now())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def end(connection: sqlite3.Connection, *marks: int) -> None:
    """Remove marks."""
    connection.executemany("DELETE FROM unfinished WHERE id = ?", [(mark,) for mark in marks])


def require(connection: sqlite3.Connection, mark: int) -> None:
    """Check that gc has not begun to remove the objects of an unfinished commit."""
    query = "SELECT 1 FROM unfinished WHERE id = ? AND what <> 'swept'"
    if connection.execute(query, (mark,)).fetchone() is None:
        raise HubHTTPError(503, "a content was removed in the meantime: send it again", headers={"Retry-After": "1"})


def drop_line(database: Database, line: int, mark: int) -> None:
    """Remove a line without a ref."""
    database.until_none(_FILES, (line,))
    with database.transaction() as connection:
        oids = "SELECT oid FROM commits WHERE line = :line"
        repo = "SELECT repo FROM lines WHERE id = :line"
        connection.execute(f"DELETE FROM objects WHERE repo = ({repo}) AND oid IN ({oids})", {"line": line})
        connection.execute("DELETE FROM commits WHERE line = ?", (line,))
        connection.execute("DELETE FROM lines WHERE id = ?", (line,))
        end(connection, mark)


def drop_repo(database: Database, repo: int, mark: int) -> None:
    """Remove the rows of a hidden repository, then the repository."""
    with database.reading_latest() as connection:
        lines = [row[0] for row in connection.execute("SELECT id FROM lines WHERE repo = ?", (repo,))]
    for line in lines:
        database.until_none(_FILES, (line,))
    with database.transaction() as connection:
        connection.execute("DELETE FROM refs WHERE repo = ?", (repo,))
    for table in ("objects", "commits"):
        rows = f"SELECT rowid FROM {table} WHERE repo = ? LIMIT {_SLICE}"
        database.until_none(f"DELETE FROM {table} WHERE rowid IN ({rows})", (repo,))
    with database.transaction() as connection:
        connection.execute("DELETE FROM repos WHERE id = ?", (repo,))
        end(connection, mark)


def drop_proposal(database: Database, repo: int, number: int, mark: int) -> None:
    """Remove a pull request whose first commit was not written."""
    with database.transaction() as connection:
        connection.execute("DELETE FROM refs WHERE repo = ? AND ref = ?", (repo, f"refs/pr/{number}"))
        connection.execute("DELETE FROM discussions WHERE repo = ? AND number = ?", (repo, number))
        end(connection, mark)


def drop_objects(database: Database, repo: int, last: int, mark: int) -> None:
    """Remove blobs and trees after row `last` of a repository that no commit refers to."""
    named = """SELECT oid FROM files WHERE line IN (SELECT id FROM lines WHERE repo = :repo)
        UNION SELECT tree FROM commits WHERE repo = :repo
        UNION SELECT base FROM objects WHERE repo = :repo AND packed = 2"""
    newest = "SELECT max(id) FROM commits"
    with database.transaction() as connection:  # an unfinished commit detects this and starts again
        connection.execute("UPDATE unfinished SET what = 'swept' WHERE id = ?", (mark,))
    with database.reading_latest() as connection:
        (seen,) = connection.execute(newest).fetchone()
        query = f"""SELECT id FROM objects WHERE repo = :repo AND id > :last AND kind IN ('blob', 'tree')
            AND oid NOT IN ({named})"""
        gone = connection.execute(query, {"repo": repo, "last": last}).fetchall()
    while gone:
        with database.transaction() as connection:
            if connection.execute(newest).fetchone()[0] != seen:
                return  # a newer commit may refer to one of them: left to the next gc
            connection.executemany("DELETE FROM objects WHERE id = ?", gone[:_SLICE])
        gone = gone[_SLICE:]
    with database.transaction() as connection:
        end(connection, mark)


def finish(database: Database, before: int) -> int:
    """Remove the remains of work that began before a time (microseconds); return the number of marks."""
    with database.reading_latest() as connection:
        query = "SELECT id, what, repo, number FROM unfinished WHERE created < ? ORDER BY id DESC"
        rows = connection.execute(query, (before,)).fetchall()
    for mark, what, repo, number in rows:
        if what == "line":
            drop_line(database, number, mark)
        elif what == "proposal":
            drop_proposal(database, repo, number, mark)
        elif what == "repo":
            drop_repo(database, repo, mark)
        else:
            drop_objects(database, repo, number, mark)
    return len(rows)

"""Events of discussions, including commits to a pull request."""

import json
import secrets
import sqlite3
from typing import Literal

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.base import moment, now
from seqhub.server.types import Comment, Commit

_EVENT = "SELECT id, author, kind, content, created, edited, hidden, extra FROM comments"


def pull_request_number(reference: str) -> int | None:
    """Return 3 for refs/pr/3; None for other refs."""
    number = reference.removeprefix("refs/pr/")
    return int(number) if number != reference and number.isascii() and number.isdecimal() and len(number) < 10 else None


def check_pull_request(connection: sqlite3.Connection, repo: int, reference: str) -> None:
    """Check that a pull request is open for commits.

    Raises:
        HubHTTPError: 403 if it is closed or merged.
    """
    number = pull_request_number(reference)
    if number is not None:
        query = "SELECT status FROM discussions WHERE repo = ? AND number = ?"
        row = connection.execute(query, (repo, number)).fetchone()
        if row and row[0] in ("merged", "closed"):
            raise HubHTTPError(403, f"pull request {number} is {row[0]}; commits are not allowed")


def note_commit(connection: sqlite3.Connection, repo: int, reference: str, commit: Commit) -> None:
    """Add an event for a commit to a pull request."""
    number = pull_request_number(reference)
    if number is not None:
        extra = {"oid": commit.oid, "subject": commit.title}
        add_event(connection, repo, number, commit.author, "commit", "", extra)


def add_event(
    connection: sqlite3.Connection,
    repo: int,
    number: int,
    author: str,
    kind: Literal["comment", "status-change", "commit", "title-change"],
    content: str,
    extra: dict[str, str],
) -> Comment:
    """Append an event to a discussion."""
    id = secrets.token_hex(12)
    query = "SELECT coalesce(max(place), 0) + 1 FROM comments WHERE repo = ? AND number = ?"
    place = connection.execute(query, (repo, number)).fetchone()[0]
    values = (id, repo, number, place, author, kind, content, now(), json.dumps(extra))
    connection.execute("INSERT INTO comments VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?)", values)
    return to_comment(connection.execute(_EVENT + " WHERE id = ?", (id,)).fetchone())


def events(connection: sqlite3.Connection, repo: int, number: int) -> list[Comment]:
    """Return the events of a discussion, oldest first."""
    rows = connection.execute(_EVENT + " WHERE repo = ? AND number = ? ORDER BY place", (repo, number))
    return [to_comment(row) for row in rows]


def event(connection: sqlite3.Connection, repo: int, number: int, id: str) -> Comment:
    """Return one event.

    Raises:
        HubHTTPError: 404 if the discussion has no event with this id.
    """
    row = connection.execute(_EVENT + " WHERE repo = ? AND number = ? AND id = ?", (repo, number, id)).fetchone()
    if row is None:
        raise HubHTTPError(404, f"no comment {id[:64]!r} in discussion {number}")
    return to_comment(row)


def to_comment(row: tuple[str, str, str, str, int, int, int, str]) -> Comment:
    """Convert a row of `comments`."""
    id, author, kind, content, created, edited, hidden, extra = row
    return Comment(
        id,
        author,
        kind,  # type: ignore[arg-type] # written by add_event only
        "" if hidden else content,
        moment(created),
        bool(edited),
        bool(hidden),
        json.loads(extra),
    )

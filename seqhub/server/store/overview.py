"""State of a Hub for its operator: sizes, waiting uploads, the last maintenance, and the use of each account."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from seqhub.server import multipart
from seqhub.server.store.base import StorePart, moment, now
from seqhub.server.store.private import DATABASE

Task = Literal["backup", "fsck", "gc"]
TASKS: tuple[Task, ...] = get_args(Task)
_WAITING = """SELECT coalesce(sum(size), 0), count(*) FROM blobs
    WHERE sha256 IN (SELECT sha256 FROM uploads WHERE committed = 0 AND (:account IS NULL OR account = :account))"""


@dataclass(frozen=True, slots=True)
class Maintained:
    """The last run of a maintenance task, and its results."""

    date: datetime
    results: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sizes of a Hub. Bytes of repositories count each version of each file, those of large files each content once."""

    accounts: int
    repos: Mapping[str, int]  # by type
    repo_bytes: int
    large_files: int
    large_bytes: int
    database_bytes: int
    waiting_files: int  # large files that were uploaded and not committed
    waiting_bytes: int
    part_bytes: int  # parts of unfinished uploads
    other_bytes: int  # temporary files and xorbs
    damaged: int  # contents that fsck found damaged and that were not sent again
    free_bytes: int  # of the file system


@dataclass(frozen=True, slots=True)
class Use:
    """Use of a Hub by one account."""

    name: str
    is_org: bool
    created: datetime
    repos: int
    repo_bytes: int
    waiting_bytes: int  # including parts of unfinished uploads


class Overview(StorePart):
    """Sizes, waiting uploads, last maintenance, and the use of each account."""

    def totals(self) -> Totals:
        """Return the sizes of the Hub."""
        with self.database.reading() as connection:
            (accounts,) = connection.execute("SELECT count(*) FROM accounts").fetchone()
            rows = connection.execute(
                "SELECT kind, count(*), sum(bytes) FROM repos WHERE kind <> 'hidden' GROUP BY kind ORDER BY kind"
            ).fetchall()
            large_files, large_bytes = connection.execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM blobs"
            ).fetchone()
            waiting_bytes, waiting_files = connection.execute(_WAITING, {"account": None}).fetchone()
            (damaged,) = connection.execute("SELECT count(*) FROM damaged").fetchone()
        return Totals(
            accounts=accounts,
            repos={kind: count for kind, count, _ in rows},
            repo_bytes=sum(size for _, _, size in rows),
            large_files=large_files,
            large_bytes=large_bytes,
            database_bytes=sum(_size(path) for path in self.root.glob(f"{DATABASE}*")),
            waiting_files=waiting_files,
            waiting_bytes=waiting_bytes,
            part_bytes=sum(_sizes(self.root / "parts")),
            other_bytes=sum(_sizes(self.root / "tmp")) + sum(_sizes(self.root / "xorbs")),
            damaged=damaged,
            free_bytes=shutil.disk_usage(self.root).free,
        )

    def uses(self, offset: int, limit: int) -> list[Use]:
        """Return the use of some accounts, those with the largest repositories first."""
        query = """SELECT accounts.id, name, is_org, created,
            (SELECT count(*) FROM repos WHERE owner = accounts.id AND kind <> 'hidden'),
            (SELECT coalesce(sum(bytes), 0) FROM repos WHERE owner = accounts.id AND kind <> 'hidden') AS size
            FROM accounts ORDER BY size DESC, key LIMIT ? OFFSET ?"""
        with self.database.reading() as connection:
            rows = connection.execute(query, (limit, offset)).fetchall()
            waiting = {id: connection.execute(_WAITING, {"account": id}).fetchone()[0] for id, *_ in rows}
        return [
            Use(name, bool(is_org), moment(created), repos, size, waiting[id] + multipart.waiting_bytes(self.root, id))
            for id, name, is_org, created, repos, size in rows
        ]

    def maintained(self) -> dict[Task, Maintained]:
        """Return the last run of each maintenance task that was run."""
        found: dict[Task, Maintained] = {}
        with self.database.reading() as connection:
            for task in TASKS:
                row = connection.execute("SELECT value FROM meta WHERE key = ?", (f"last_{task}",)).fetchone()
                if row is not None:
                    values: dict[str, Any] = json.loads(row[0])
                    found[task] = Maintained(moment(values.pop("date")), values)
        return found


def record(connection: sqlite3.Connection, task: Task, results: Mapping[str, int]) -> None:
    """Store that a maintenance task was run now, with its results."""
    value = json.dumps({**results, "date": now()}).encode()
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"last_{task}", value))


def _sizes(folder: Path) -> Iterator[int]:
    for path, _, names in os.walk(folder):
        yield from (_size(Path(path, name)) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # removed in the meantime
        return 0

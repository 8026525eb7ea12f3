"""Index from (commit, path) to the tree entry, for all commits of all branches.

A *line* is a linear history. Its commits are numbered (`seq`), continuing the numbers of the line from which it forked.
A row of `files` is valid from commit `added` until before commit `removed` of its line. A forked line has rows only for
changed paths: all others are looked up in its parent line, up to the fork. So a commit writes only changed rows, and a
new branch writes none.
"""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple

LIVE = 2**63 - 1
FILE, FOLDER, NOTHING = 0, 1, 2
DEEP = 8  # nesting of forks at which a line gets a complete index

_COLUMNS = "line, path, added, removed, kind, oid, size, sha256, target"
INSERT = f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Row(NamedTuple):
    """Row of the table `files`."""

    line: int
    path: str
    added: int
    removed: int
    kind: int
    oid: bytes
    size: int  # bytes of the content
    sha256: bytes | None  # large files only
    target: int  # id of the commit that added it

    def same_as(self, other: "Row | None") -> bool:
        return other is not None and (self.kind, self.oid, self.sha256) == (other.kind, other.oid, other.sha256)


class Point(NamedTuple):
    """Position of a commit in the index."""

    line: int
    seq: int


Chain = tuple[Point, ...]
"""Lines in which a path is looked up, in this order: a line up to a commit, its parent line up to the fork, ..."""


def history_chain(connection: sqlite3.Connection, point: Point) -> Chain:
    """Return the points of the lines that form the history of a commit."""
    chain = [point]
    while True:
        row = connection.execute("SELECT parent, fork FROM lines WHERE id = ?", (chain[-1].line,)).fetchone()
        if row is None or row[0] is None:
            return tuple(chain)
        chain.append(Point(row[0], row[1]))


def index_chain(connection: sqlite3.Connection, point: Point) -> Chain:
    """Return the points of the lines that form the index of a commit."""
    chain = [point]
    while True:
        query = "SELECT parent, fork FROM lines WHERE id = ? AND inherits"
        row = connection.execute(query, (chain[-1].line,)).fetchone()
        if row is None:
            return tuple(chain)
        chain.append(Point(row[0], row[1]))


def latest_row(connection: sqlite3.Connection, chain: Chain, path: str) -> Row | None:
    """Return the row of a path in the newest line that has one, even if it marks the path as removed."""
    for line, seq in chain:
        query = f"SELECT {_COLUMNS} FROM files WHERE line = ? AND path = ? AND added <= ? ORDER BY added DESC LIMIT 1"
        row = connection.execute(query, (line, path, seq)).fetchone()
        if row is not None and row[3] > seq:
            return Row._make(row)
    return None


def locate(connection: sqlite3.Connection, chain: Chain, path: str) -> Row | None:
    """Return the file or folder at a path; None if it does not exist."""
    row = latest_row(connection, chain, path)
    return None if row is None or row.kind == NOTHING else row


def visible(connection: sqlite3.Connection, chain: Chain, low: str, high: str | None) -> Iterator[Row]:
    """Yield every file and folder with low <= path < high (None: no end), sorted by path."""
    if len(chain) == 1:
        yield from (row for row in _rows_between(connection, chain[0], low, high) if row.kind != NOTHING)
        return
    merged = heapq.merge(*(_rows_between(connection, point, low, high) for point in chain), key=attrgetter("path"))
    for _, rows in groupby(merged, key=attrgetter("path")):  # heapq.merge is stable: the newest line is first
        row = next(rows)
        if row.kind != NOTHING:
            yield row


def below(connection: sqlite3.Connection, chain: Chain, folder: str, after: str | None = None) -> Iterator[Row]:
    """Yield all entries below a folder ("" for the root), sorted by path, starting after `after`."""
    low = f"{folder}/" if folder else ""
    return visible(connection, chain, max(low, after + "\0") if after else low, f"{folder}0" if folder else None)


def children(connection: sqlite3.Connection, chain: Chain, folder: str, after: str | None = None) -> Iterator[Row]:
    """Yield the direct entries of a folder, sorted by path; deeper entries are skipped without reading them."""
    prefix = f"{folder}/" if folder else ""
    high = f"{folder}0" if folder else None  # "0" is the character after "/"
    low = max(prefix, after + "\0") if after else prefix
    while True:
        for row in visible(connection, chain, low, high):
            name, deeper, _ = row.path[len(prefix) :].partition("/")
            if deeper:
                low = f"{prefix}{name}0"
                break
            yield row
        else:
            return


def write(connection: sqlite3.Connection, chain: Chain, seq: int, target: int, changes: dict[str, Row | None]) -> None:
    """Write the changes of commit number `seq` of line chain[0]: path -> new row, None for a removed path."""
    line = chain[0].line
    ended, added = [], []
    for path, row in changes.items():
        before = latest_row(connection, chain, path)
        if before is not None and before.line == line:
            ended.append((seq, line, path, before.added))
        if row is not None:
            added.append((line, path, seq, LIVE, row.kind, row.oid, row.size, row.sha256, target))
        elif len(chain) > 1:
            added.append((line, path, seq, LIVE, NOTHING, b"", 0, None, target))
    connection.executemany("UPDATE files SET removed = ? WHERE line = ? AND path = ? AND added = ?", ended)
    connection.executemany(INSERT, added)


def new_rows(
    changes: dict[str, Row | None], line: int, seq: int, target: int, *, inherits: bool
) -> Iterator[tuple[object, ...]]:
    """Yield values for `INSERT` for commit number `seq` on a new line."""
    for path, row in changes.items():
        if row is not None:
            yield (line, path, seq, LIVE, row.kind, row.oid, row.size, row.sha256, target)
        elif inherits:
            yield (line, path, seq, LIVE, NOTHING, b"", 0, None, target)


def is_longer(connection: sqlite3.Connection, chain: Chain, number: int) -> bool:
    """Return whether the index of a commit has more rows than `number`."""
    rows = visible(connection, chain, "", None)
    return next(islice(rows, number, None), None) is not None


def paths_of(connection: sqlite3.Connection, chain: Chain, sha256: bytes) -> list[str]:
    """Return the paths of a large file at a commit."""
    lines = ", ".join(str(line) for line, _ in chain)
    query = f"SELECT DISTINCT path FROM files WHERE sha256 = ? AND line IN ({lines})"
    found = (locate(connection, chain, path) for (path,) in connection.execute(query, (sha256,)).fetchall())
    return [row.path for row in found if row is not None and row.sha256 == sha256]


def fork(connection: sqlite3.Connection, repo: int, point: Point) -> Chain:
    """Start a new line after a commit that is not the last of its line; return the chain to write to."""
    inherited = index_chain(connection, point)
    inherits = len(inherited) < DEEP
    line = new_line(connection, repo, point, inherits=inherits)
    here = Point(line, point.seq)
    if inherits:
        return (here, *inherited)
    copy_rows(connection, inherited, line, point.seq, lambda row: row.target)
    return (here,)


def new_line(connection: sqlite3.Connection, repo: int, parent: Point | None, *, inherits: bool) -> int:
    """Add a line and return its id."""
    values = (repo, parent.line if parent else None, parent.seq if parent else -1, inherits)
    cursor = connection.execute("INSERT INTO lines (repo, parent, fork, inherits) VALUES (?, ?, ?, ?)", values)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def copy_rows(connection: sqlite3.Connection, chain: Chain, line: int, seq: int, target: Callable[[Row], int]) -> None:
    """Copy the index of a commit to a line."""
    connection.executemany(INSERT, list(copied(connection, chain, line, seq, target)))


def copied(
    connection: sqlite3.Connection, chain: Chain, line: int, seq: int, target: Callable[[Row], int]
) -> Iterator[tuple[object, ...]]:
    """Yield values for `INSERT` that copy the index of a commit to a line."""
    for row in visible(connection, chain, "", None):
        yield (line, row.path, seq, LIVE, row.kind, row.oid, row.size, row.sha256, target(row))


def _rows_between(connection: sqlite3.Connection, point: Point, low: str, high: str | None) -> Iterator[Row]:
    line, seq = point
    tip = connection.execute("SELECT max(seq) FROM commits WHERE line = ?", (line,)).fetchone()[0]
    # At the end of a line the partial index skips all removed versions.
    when = f"removed = {LIVE}" if tip is not None and seq >= tip else "added <= :seq AND removed > :seq"
    until = "AND path < :high" if high is not None else ""
    query = f"SELECT {_COLUMNS} FROM files WHERE line = :line AND path >= :low {until} AND {when} ORDER BY path"
    for row in connection.execute(query, {"line": line, "low": low, "high": high, "seq": seq}):
        yield Row._make(row)

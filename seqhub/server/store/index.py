"""Index from (commit, path) to the tree entry, for any commit of any branch.

A *line* is one linear history; its commits have numbers (`seq`) that count on from the line it forked from. A row of
`files` is valid from commit `added` until before commit `removed` of its line. A forked line has rows only for paths
that it changes: all others are looked up in its parent line, up to the fork. So a commit writes only what it changes,
and a new branch writes nothing.
"""

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple

LIVE = 2**63 - 1
FILE, FOLDER, NOTHING = 0, 1, 2
DEEP = 8  # forks of forks after which a line gets an index of its own

_COLUMNS = "line, path, added, removed, kind, oid, size, sha256, target"
INSERT = f"INSERT INTO files ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Row(NamedTuple):
    """A row of `files`."""

    line: int
    path: str
    added: int
    removed: int
    kind: int
    oid: bytes
    size: int  # bytes of the content
    sha256: bytes | None  # of a large file
    target: int  # id of the commit that put it there

    def same_as(self, other: "Row | None") -> bool:
        return other is not None and (self.kind, self.oid, self.sha256) == (other.kind, other.oid, other.sha256)


class Point(NamedTuple):
    """The place of a commit in the index."""

    line: int
    seq: int


Chain = tuple[Point, ...]
"""Where to look for a path, in this order: a line up to a commit, the line it forked from up to the fork, ..."""


def history_chain(connection: sqlite3.Connection, point: Point) -> Chain:
    """Return the points whose lines together are the history of a commit."""
    chain = [point]
    while True:
        row = connection.execute("SELECT parent, fork FROM lines WHERE id = ?", (chain[-1].line,)).fetchone()
        if row is None or row[0] is None:
            return tuple(chain)
        chain.append(Point(row[0], row[1]))


def index_chain(connection: sqlite3.Connection, point: Point) -> Chain:
    """Return the points whose lines together are the index of a commit."""
    chain = [point]
    while True:
        query = "SELECT parent, fork FROM lines WHERE id = ? AND inherits"
        row = connection.execute(query, (chain[-1].line,)).fetchone()
        if row is None:
            return tuple(chain)
        chain.append(Point(row[0], row[1]))


def statement(connection: sqlite3.Connection, chain: Chain, path: str) -> Row | None:
    """Return the row of the youngest line that has one for a path, also if it says that nothing is there."""
    for line, seq in chain:
        query = f"SELECT {_COLUMNS} FROM files WHERE line = ? AND path = ? AND added <= ? ORDER BY added DESC LIMIT 1"
        row = connection.execute(query, (line, path, seq)).fetchone()
        if row is not None and row[3] > seq:
            return Row._make(row)
    return None


def locate(connection: sqlite3.Connection, chain: Chain, path: str) -> Row | None:
    """Return the file or folder at a path; None if there is none."""
    row = statement(connection, chain, path)
    return None if row is None or row.kind == NOTHING else row


def visible(connection: sqlite3.Connection, chain: Chain, low: str, high: str | None) -> Iterator[Row]:
    """Yield every file and folder with low <= path < high (None: no end), sorted by path."""
    if len(chain) == 1:
        yield from (row for row in _stated(connection, chain[0], low, high) if row.kind != NOTHING)
        return
    merged = heapq.merge(*(_stated(connection, point, low, high) for point in chain), key=attrgetter("path"))
    for _, rows in groupby(merged, key=attrgetter("path")):  # heapq.merge is stable: the youngest line comes first
        row = next(rows)
        if row.kind != NOTHING:
            yield row


def below(connection: sqlite3.Connection, chain: Chain, folder: str, after: str | None = None) -> Iterator[Row]:
    """Yield all entries below a folder ("": the root), sorted by path, starting after `after`."""
    low = f"{folder}/" if folder else ""
    return visible(connection, chain, max(low, after + "\0") if after else low, f"{folder}0" if folder else None)


def children(connection: sqlite3.Connection, chain: Chain, folder: str, after: str | None = None) -> Iterator[Row]:
    """Yield the direct entries of a folder, sorted by path; deeper entries are skipped, not read."""
    prefix = f"{folder}/" if folder else ""
    high = f"{folder}0" if folder else None  # "0" is the character behind "/"
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
    """Write commit number `seq` of line chain[0]: path -> its row, None where nothing is left."""
    line = chain[0].line
    ended, begun = [], []
    for path, row in changes.items():
        before = statement(connection, chain, path)
        if before is not None and before.line == line:
            ended.append((seq, line, path, before.added))
        if row is not None:
            begun.append((line, path, seq, LIVE, row.kind, row.oid, row.size, row.sha256, target))
        elif len(chain) > 1:
            begun.append((line, path, seq, LIVE, NOTHING, b"", 0, None, target))
    connection.executemany("UPDATE files SET removed = ? WHERE line = ? AND path = ? AND added = ?", ended)
    connection.executemany(INSERT, begun)


def begun(
    changes: dict[str, Row | None], line: int, seq: int, target: int, *, inherits: bool
) -> Iterator[tuple[object, ...]]:
    """Yield values for `INSERT` of commit number `seq` on a new line."""
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


def _stated(connection: sqlite3.Connection, point: Point, low: str, high: str | None) -> Iterator[Row]:
    line, seq = point
    tip = connection.execute("SELECT max(seq) FROM commits WHERE line = ?", (line,)).fetchone()[0]
    # At the end of a line the partial index skips all versions that are gone.
    when = f"removed = {LIVE}" if tip is not None and seq >= tip else "added <= :seq AND removed > :seq"
    until = "AND path < :high" if high is not None else ""
    query = f"SELECT {_COLUMNS} FROM files WHERE line = :line AND path >= :low {until} AND {when} ORDER BY path"
    for row in connection.execute(query, {"line": line, "low": low, "high": high, "seq": seq}):
        yield Row._make(row)

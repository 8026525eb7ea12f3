"""One SQLite file for many threads and processes: a pool of connections, and every failure as one clear refusal."""

import errno
import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import private
from seqhub.server.store.migrations import migrate
from seqhub.server.store.objects import Connection

SLICE_SECONDS: Final = 0.15  # after which a long change lets other writers pass
_SLICE_ROWS, _SLICE_BYTES = 250, 2**20  # between two looks at the clock
_PAUSE: Final = 0.002  # seconds in which a writer of another process finds the database free
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Database:
    """Connections to one file.

    WAL with synchronous=FULL: a transaction that was acknowledged survives a power cut, and readers never wait for a
    writer. Writers of one process queue on a lock, since SQLite's own waiting sleeps and is not fair; writers of other
    processes are waited for by busy_timeout.

    Args:
        path: The file; made if absent.
        busy_seconds: How long to wait for another writer before the request is refused with 503.

    Raises:
        Refusal: 503 or 507; the file cannot be opened or written, or was written by a newer seqhub.
    """

    def __init__(self, path: Path, busy_seconds: float = 30.0) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._idle: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._writing = _FairLock()
        self._closed = False
        self._process = os.getpid()
        with refusing():
            if not path.exists():
                private.touch(path)  # SQLite would make it by the umask
        with self._connection() as connection, refusing():
            migrate(connection)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose statements see one state of the database."""
        with self._connection() as connection, refusing():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection that holds the writer's place; commits at the end, rolls back on any error."""
        if not self._writing.acquire(timeout=self._busy_seconds):
            raise HubHTTPError(503, "the Hub is busy writing; try again", headers={"Retry-After": "1"})
        try:
            with self._connection() as connection, refusing():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except HubHTTPError as refusal:
            if refusal.status == 507:  # SQLite says no more than that the disk fails
                require_writable(self.path.parent)
            raise
        finally:
            self._writing.release()

    def in_slices(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for many rows, in as many transactions as keep other writers from waiting long.

        What it has written must mean nothing until a last transaction names it.
        """
        batches = _batches(rows)
        batch = next(batches, None)
        while batch:
            with self.transaction() as connection:
                until = time.monotonic() + SLICE_SECONDS
                while batch:
                    connection.executemany(statement, batch)
                    batch = next(batches, None)
                    if time.monotonic() >= until:
                        break
            time.sleep(_PAUSE)

    def until_none(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Execute a statement that changes a limited number of rows until it changes none, in many transactions."""
        changed = 1
        while changed:
            with self.transaction() as connection:
                until = time.monotonic() + SLICE_SECONDS
                while changed:
                    changed = connection.execute(statement, values).rowcount
                    if time.monotonic() >= until:
                        break
            time.sleep(_PAUSE)

    def close(self) -> None:
        """Close every idle connection; those in use close when they are given back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        connection = self._take()
        try:
            yield connection
        finally:
            with self._guard:
                keep = not self._closed and self._process == os.getpid()
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def _take(self) -> sqlite3.Connection:
        with self._guard:
            if self._closed:
                raise HubHTTPError(503, "the Hub is shutting down")
            if self._process != os.getpid():  # SQLite's connections must not be carried across a fork
                self._idle, self._process, self._writing = [], os.getpid(), _FairLock()
            if self._idle:
                return self._idle.pop()
        with refusing():
            connection = sqlite3.connect(
                self.path,
                factory=Connection,
                timeout=self._busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=128,
            )
            connection.blobs = self.path.parent / "blobs"
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA cache_size = -2048")  # KiB a connection
            except BaseException:
                connection.close()
                raise
            return connection


class _FairLock:
    """A lock that threads get in the order in which they asked for it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        with self._guard:
            if not self._held:
                self._held = True
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=timeout):
            return True
        with self._guard:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # it came in the last moment

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if len(batch) >= _SLICE_ROWS or size >= _SLICE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_only() -> HubHTTPError:
    return HubHTTPError(503, "the Hub is read-only at present; nothing was stored", code="ReadOnly")


def require_writable(folder: Path) -> None:
    """Make and remove an empty file: what a file system that turned read-only says of itself is not to be relied on.

    Raises:
        Refusal: 503 or 507; it cannot be written.
    """
    probe = folder / f"probe-{secrets.token_hex(8)}"
    with refusing():
        private.touch(probe)
        probe.unlink()


@contextmanager
def refusing() -> Iterator[None]:
    """Turn a full disk, a read-only one and a busy database into refusals that say so."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error) from error
    except UnicodeEncodeError as error:  # JSON may hold half a surrogate pair; no text of ours does
        raise HubHTTPError(400, "a text holds half a character") from error
    except OverflowError as error:
        raise HubHTTPError(400, "a number is out of range") from error
    except OSError as error:
        if error.errno in _FULL:
            raise HubHTTPError(507, f"no space left for the Hub: {error.strerror}; nothing was stored") from error
        if error.errno == errno.EROFS:
            raise read_only() from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EIO}:
            raise HubHTTPError(503, f"the Hub cannot write: {error.strerror}; nothing was stored") from error
        raise


def _of_sqlite(error: sqlite3.Error) -> Exception:
    code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
    refusals: dict[int, Callable[[], HubHTTPError]] = {
        sqlite3.SQLITE_FULL: lambda: HubHTTPError(507, "no space left for the Hub's database; nothing was stored"),
        sqlite3.SQLITE_READONLY: read_only,
        sqlite3.SQLITE_CANTOPEN: lambda: HubHTTPError(503, "the Hub's database cannot be opened; nothing was stored"),
        sqlite3.SQLITE_PERM: lambda: HubHTTPError(503, "the Hub's database may not be written; nothing was stored"),
        sqlite3.SQLITE_IOERR: lambda: HubHTTPError(
            507, "the disk of the Hub's database fails or is full; nothing was stored"
        ),
        sqlite3.SQLITE_BUSY: lambda: HubHTTPError(
            503, "the Hub is busy writing; try again", headers={"Retry-After": "1"}
        ),
        sqlite3.SQLITE_CORRUPT: lambda: HubHTTPError(503, "the Hub's database is damaged; run `seqhub hub fsck`"),
        sqlite3.SQLITE_NOTADB: lambda: HubHTTPError(503, "hub.sqlite3 is no database; restore a backup"),
    }
    make = refusals.get(code)
    return make() if make else error

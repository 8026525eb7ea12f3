"""SQLite for many threads and processes: connection pool, transactions, and conversion of errors to HTTP errors."""

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

SLICE_SECONDS: Final = 0.15  # maximum time of a transaction of a long change
_SLICE_ROWS, _SLICE_BYTES = 250, 2**20  # between two checks of the time
_PAUSE: Final = 0.002  # seconds between slices, for writers of other processes
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class ConnectionPool:
    """Pool of connections to a SQLite file, with a write lock for this process.

    WAL mode with synchronous=FULL: an acknowledged transaction survives a power failure, and readers never wait for a
    writer. Writers of one process queue on a lock, since the busy handler of SQLite sleeps and is not fair. Writers of
    other processes are awaited by busy_timeout.

    Args:
        path: Path of the file; created if it does not exist.
        busy_seconds: Maximum time to wait for another writer before 503 is raised.

    Raises:
        HubHTTPError: 503 or 507 if the file cannot be opened or written, or was written by a newer seqhub.
    """

    def __init__(self, path: Path, busy_seconds: float = 30.0) -> None:
        self.path = path
        self.busy_seconds = busy_seconds
        self._writing = FairLock()
        self._idle: list[sqlite3.Connection] = []
        self._of_parent: list[sqlite3.Connection] = []  # from before a fork; must not be closed here
        self._guard = threading.Lock()
        self._closed = False
        self._process = os.getpid()
        with storage_errors():
            if not path.exists():
                private.touch(path)  # SQLite would apply the umask
        try:
            with self.connection() as connection, storage_errors():
                migrate(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Use a connection of the pool for the duration of a block."""
        connection = self.take()
        try:
            yield connection
        except HubHTTPError:
            self.give_back(connection)
            raise
        except BaseException:
            connection.close()  # an unfinished statement could keep an old snapshot
            raise
        self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """Return an idle or a new connection; the caller must call `give_back`."""
        with self._guard:
            if self._closed:
                raise HubHTTPError(503, "the Hub is shutting down")
            self._notice_fork()
            if self._idle:
                return self._idle.pop()
        with storage_errors():
            connection = sqlite3.connect(
                self.path,
                factory=Connection,
                timeout=self.busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=128,
            )
            connection.blobs = self.path.parent / "blobs"
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA cache_size = -2048")  # KiB for each connection
            except BaseException:
                connection.close()
                raise
            return connection

    @property
    def writing(self) -> "FairLock":
        """Write lock of this process."""
        with self._guard:
            self._notice_fork()
            return self._writing

    def _notice_fork(self) -> None:
        """Start with an empty pool in a forked process: SQLite connections must not be used across a fork."""
        if self._process != os.getpid():
            self._of_parent += self._idle
            self._idle, self._process, self._writing = [], os.getpid(), FairLock()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Return a connection to the pool, or close it if the pool is closed."""
        with self._guard:
            keep = not self._closed and self._process == os.getpid()
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def close(self) -> None:
        """Close all idle connections; connections in use are closed when they are given back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Database:
    """Read and write transactions.

    Args:
        pool: Pool of connections.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction; its statements see one state of the database."""
        with self.pool.connection() as connection, storage_errors():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def reading_latest(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction on the newest state, to plan a write or for work in many slices."""
        connection = self.pool.take()
        try:
            with storage_errors():
                connection.execute("BEGIN")
                yield connection
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except BaseException:
            connection.close()  # an unfinished statement would keep an old snapshot
            raise
        self.pool.give_back(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction; commit at the end of the block, roll back on any error."""
        pool = self.pool
        writing = pool.writing
        if not writing.acquire(timeout=pool.busy_seconds):
            raise HubHTTPError(503, "the Hub is busy writing; try again", headers={"Retry-After": "1"})
        try:
            with pool.connection() as connection, storage_errors():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        except HubHTTPError as error:
            if error.status == 507:  # SQLite does not distinguish full and failing disks
                require_writable(pool.path.parent)
            raise
        finally:
            writing.release()

    def in_slices(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for many rows, in short transactions between which other writers can write.

        The written rows must have no effect until a final transaction refers to them.
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
        """Repeat a statement that changes a limited number of rows, in many transactions, until it changes none."""
        changed = 1
        while changed:
            with self.transaction() as connection:
                until = time.monotonic() + SLICE_SECONDS
                while changed:
                    changed = connection.execute(statement, values).rowcount
                    if time.monotonic() >= until:
                        break
            time.sleep(_PAUSE)


class SnapshotDatabase(Database):
    """Database of a request: reads within `snapshot()` share one transaction.

    A write ends the shared transaction, so that later reads see the written data. Outside `snapshot()`, for example
    while a body is streamed, each read has a separate short transaction. An instance belongs to one request, which uses
    it in one thread at a time.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool)
        self._is_sharing = False
        self._shared: sqlite3.Connection | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Share one transaction, which begins with the first read, between all reads of the block."""
        self._is_sharing = True
        try:
            yield
        except HubHTTPError:
            raise
        except BaseException:
            connection, self._shared = self._shared, None
            if connection is not None:
                connection.close()  # an unfinished statement could keep an old snapshot
            raise
        finally:
            self._is_sharing = False
            self.release()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        if not self._is_sharing:
            with super().reading() as connection:
                yield connection
            return
        with storage_errors():
            if self._shared is None:
                self._shared = self.pool.take()
            if not self._shared.in_transaction:
                self._shared.execute("BEGIN")
            yield self._shared

    @contextmanager
    def reading_latest(self) -> Iterator[sqlite3.Connection]:
        self.release()
        with super().reading_latest() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.release()
        with super().transaction() as connection:
            yield connection

    def release(self) -> None:
        """End the shared transaction; the next read begins a new one."""
        connection, self._shared = self._shared, None
        if connection is not None:
            try:
                if connection.in_transaction:
                    with storage_errors():
                        connection.execute("ROLLBACK")
            finally:
                self.pool.give_back(connection)


class FairLock:
    """Lock that threads acquire in the order of their requests."""

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
        return True  # acquired between the timeout and the check

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
    """Create and remove an empty file, since a read-only file system is not always detected otherwise.

    Raises:
        HubHTTPError: 503 or 507 if the folder cannot be written.
    """
    probe = folder / f"probe-{secrets.token_hex(8)}"
    with storage_errors():
        private.touch(probe)
        probe.unlink()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Convert errors of SQLite and of the disk to HubHTTPError with the matching status."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error) from error
    except UnicodeEncodeError as error:  # JSON may contain lone surrogates
        raise HubHTTPError(400, "a text contains a lone surrogate") from error
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
    errors_by_code: dict[int, Callable[[], HubHTTPError]] = {
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
        sqlite3.SQLITE_NOTADB: lambda: HubHTTPError(503, "hub.sqlite3 is not a database; restore a backup"),
    }
    make = errors_by_code.get(code)
    return make() if make else error

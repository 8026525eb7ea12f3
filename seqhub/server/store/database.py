"""SQLite for many threads and processes: a connection pool, transactions, and failures as HTTP errors."""

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


class ConnectionPool:
    """Pool of connections to one SQLite file, with the lock of the writer in this process.

    WAL with synchronous=FULL: a transaction that was acknowledged survives a power cut, and readers never wait for a
    writer. Writers of one process queue on a lock, since SQLite's own waiting sleeps and is not fair; writers of other
    processes are waited for by busy_timeout.

    Args:
        path: The file; created if absent.
        busy_seconds: Longest wait for another writer before the request is refused with 503.

    Raises:
        HubHTTPError: 503 or 507; the file cannot be opened or written, or was written by a newer seqhub.
    """

    def __init__(self, path: Path, busy_seconds: float = 30.0) -> None:
        self.path = path
        self.busy_seconds = busy_seconds
        self._writing = FairLock()
        self._idle: list[sqlite3.Connection] = []
        self._of_parent: list[sqlite3.Connection] = []  # before a fork; kept, since closing them here would be wrong
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
        """Lend a connection for the duration of a block."""
        connection = self.take()
        try:
            yield connection
        except HubHTTPError:
            self.give_back(connection)
            raise
        except BaseException:
            connection.close()  # a statement that was not finished could hold an old state
            raise
        self.give_back(connection)

    def take(self) -> sqlite3.Connection:
        """Return an idle or a new connection; the caller gives it back."""
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
                connection.execute("PRAGMA cache_size = -2048")  # KiB a connection
            except BaseException:
                connection.close()
                raise
            return connection

    @property
    def writing(self) -> "FairLock":
        """Lock of the writer in this process."""
        with self._guard:
            self._notice_fork()
            return self._writing

    def _notice_fork(self) -> None:
        """Start with an empty pool in a forked process: SQLite connections must not be used across a fork."""
        if self._process != os.getpid():
            self._of_parent += self._idle
            self._idle, self._process, self._writing = [], os.getpid(), FairLock()

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Return a connection to the pool; it is closed if the pool is closed."""
        with self._guard:
            keep = not self._closed and self._process == os.getpid()
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they are given back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Database:
    """Read and write transactions.

    Args:
        pool: Connections to the file.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self.pool = pool

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction, whose statements see one state of the database."""
        with self.pool.connection() as connection, storage_errors():
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def reading_latest(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction on the newest state: for writers that plan, and for work in many slices."""
        connection = self.pool.take()
        try:
            with storage_errors():
                connection.execute("BEGIN")
                yield connection
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except BaseException:
            connection.close()  # rows may be read from it in slices: such a statement would hold an old state
            raise
        self.pool.give_back(connection)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction; commits at the end of the block, rolls back on any error."""
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
            if error.status == 507:  # SQLite only says that the disk fails
                require_writable(pool.path.parent)
            raise
        finally:
            writing.release()

    def in_slices(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for many rows, in transactions short enough that other writers do not wait long.

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
    """The database of one request: reads inside `snapshot()` share one transaction.

    A write ends the shared transaction, so that reads after it see what was written. Outside `snapshot()`, as while a
    body is streamed, each read has a short transaction of its own. An object belongs to one request, which uses it in
    one thread at a time.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool)
        self._is_sharing = False
        self._shared: sqlite3.Connection | None = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of the block share one transaction, which begins with the first read."""
        self._is_sharing = True
        try:
            yield
        except HubHTTPError:
            raise
        except BaseException:
            connection, self._shared = self._shared, None
            if connection is not None:
                connection.close()  # a statement that was not finished could hold an old state
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
        """End the shared transaction; the next read begins another one."""
        connection, self._shared = self._shared, None
        if connection is not None:
            try:
                if connection.in_transaction:
                    with storage_errors():
                        connection.execute("ROLLBACK")
            finally:
                self.pool.give_back(connection)


class FairLock:
    """Lock that threads get in the order of their requests."""

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
    """Create and remove an empty file: a read-only file system is not always reported otherwise.

    Raises:
        HubHTTPError: 503 or 507; it cannot be written.
    """
    probe = folder / f"probe-{secrets.token_hex(8)}"
    with storage_errors():
        private.touch(probe)
        probe.unlink()


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn errors of SQLite and of the disk into HubHTTPError with a status that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _of_sqlite(error) from error
    except UnicodeEncodeError as error:  # JSON may hold lone surrogates
        raise HubHTTPError(400, "a text holds a lone surrogate") from error
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

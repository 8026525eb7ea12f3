"""Atomic file writes, fsync and locks, on POSIX systems and on Windows."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from seqhub.errors import SaveError, SeqhubError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock

    _HAS_FLOCK = True
except ImportError:  # Windows
    _HAS_FLOCK = False

IS_WINDOWS = os.name == "nt"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a temporary file in the same folder, flush it to disk and rename it.

    `path` has either the old content or the new content, never a part of it.

    Raises:
        SaveError: The disk is full or cannot be written; `path` is unchanged.
    """
    with open_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file in the same folder for writing; at the end flush it to disk and rename it.

    After an exception the temporary file is removed, and `path` is unchanged.

    Raises:
        SaveError: The disk is full or cannot be written; `path` is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, SeqhubError):
            raise
        raise SaveError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Flush a file to disk."""
    with path.open("rb+") as file:  # Windows flushes only files that are open for writing
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, so that they survive a power failure.

    Windows has no such call, and opens no folders: there it has no effect.
    """
    if IS_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def try_lock_folder(folder: Path, *, without_locks: bool = True) -> Iterator[bool]:
    """Lock an existing folder against other processes until the end of the block; yield False if one has locked it.

    The folder itself is locked, so there is no lock file, and the system releases the lock when the process ends.
    Windows has no locks for folders: there a file beside the folder is locked.

    Args:
        folder: Folder to lock.
        without_locks: Value to yield on file systems without locks for folders, such as NFS.
    """
    if not _HAS_FLOCK:
        from filelock import FileLock, Timeout

        lock = FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
            with suppress(FileNotFoundError, PermissionError):  # another process has removed it, or locked it since
                Path(lock.lock_file).unlink()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _try_flock(descriptor, without_locks)
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int, without_locks: bool) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        return without_locks and error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
    return True

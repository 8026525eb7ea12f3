"""Folders and files that only the account of the server can read, whatever its umask.

A root contains private files, hashes of tokens and the key that signs URLs.
"""

import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from seqhub import io

FOLDER_MODE, FILE_MODE = 0o700, 0o600
DATABASE = "hub.sqlite3"
_DATABASE_FILES = (f"{DATABASE}-wal", f"{DATABASE}-shm", DATABASE)  # SQLite copies the mode of the last one
_FOLDERS = ("blobs", "tmp", "parts", "xorbs")

logger = logging.getLogger(__name__)


def opener(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)`, with access for its owner only."""
    return os.open(path, flags, FILE_MODE)


def create(path: Path, *, buffering: int = -1) -> BinaryIO:
    """Create a file and open it for writing.

    Raises:
        FileExistsError: It already exists.
    """
    return open(path, "xb", buffering=buffering, opener=opener)  # the caller closes it


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Create a folder and its missing parents.

    Raises:
        FileExistsError: It already exists and `exist_ok` is false, or it is a file.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(FOLDER_MODE, exist_ok=exist_ok)


def touch(path: Path) -> None:
    """Create an empty file, or update the time of an existing one."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, FILE_MODE))
    os.utime(path)


def write(path: Path, content: bytes) -> None:
    """Write a file."""
    with open(path, "wb", opener=opener) as file:
        file.write(content)


def copy(source: Path, target: Path) -> None:
    """Copy the content of a file, but not its mode."""
    with source.open("rb") as given, open(target, "wb", opener=opener) as file:
        shutil.copyfileobj(given, file, 2**20)
    target.chmod(FILE_MODE)


def secure(root: Path) -> None:
    """Remove other users' access to a root that an earlier version created, or that was restored manually.

    Checks the root, its folders and the database, and everything below only if one of these is accessible to others.
    The database is changed last, so that an interrupted run is continued at the next start.
    """
    first = [root, *(root / name for name in (*_FOLDERS, *_DATABASE_FILES))]
    if any(map(is_open, first)):
        for path in [root, *_below(root), *(root / name for name in _DATABASE_FILES)]:
            close(path)


def open_paths(root: Path) -> Iterator[Path]:
    """Yield the paths of a root that other users can read or write."""
    yield from filter(is_open, [root, *_below(root), *(root / name for name in _DATABASE_FILES)])


def is_open(path: Path) -> bool:
    """Return whether other users can read or write a path; on Windows False, since modes say nothing there."""
    if io.IS_WINDOWS:
        return False
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & 0o077)


def close(path: Path) -> None:
    """Remove other users' access to a file or folder."""
    if is_open(path):
        try:
            path.chmod(FOLDER_MODE if path.is_dir() else FILE_MODE)
        except FileNotFoundError:  # removed in the meantime
            pass
        except PermissionError:
            logger.warning("%s is accessible to other users, and only its owner can change this", path)


def _below(root: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        for folder, _, files in os.walk(root / name):
            yield Path(folder)
            yield from (Path(folder, file) for file in files)

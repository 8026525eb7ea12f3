"""Atomic file writes and fsync."""

import os
import secrets
from pathlib import Path

from seqhub.errors import SaveError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a temporary file in the same folder, flush it to disk and rename it.

    `path` has either the old content or the new content, never a part of it.

    Raises:
        SaveError: The disk is full or cannot be written; `path` is unchanged.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SaveError(f"cannot write {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to disk, so that they survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

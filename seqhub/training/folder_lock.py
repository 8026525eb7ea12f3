"""A lock on an output folder, so that it has one writer at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqhub.errors import OutputExistsError


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that exists.

    It lies on the folder itself, so it leaves no file, and the system releases it with the process, whatever ends that.
    A file system that locks no folders, as NFS, is used without it.

    Raises:
        OutputExistsError: Another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise OutputExistsError(
                    f"{folder} is in use by another process; wait for its end, or give another output folder"
                ) from None
        yield
    finally:
        os.close(descriptor)

"""Lock on an output folder, which allows one writer at a time."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqhub.errors import OutputExistsError


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock an existing folder until the end of the block.

    The folder itself is locked, so there is no lock file, and the system releases the lock when the process ends. On
    file systems without locks for folders, such as NFS, the folder is used without a lock.

    Raises:
        OutputExistsError: Another process has the lock.
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

"""Lock on an output folder, which allows one writer at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqhub.errors import OutputExistsError
from seqhub.io import try_lock_folder


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Lock an existing folder until the end of the block.

    Raises:
        OutputExistsError: Another process has the lock.
    """
    with try_lock_folder(folder) as is_free:
        if not is_free:
            raise OutputExistsError(
                f"{folder} is in use by another process; wait for its end, or give another output folder"
            )
        yield

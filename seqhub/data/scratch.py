"""Arrays and tables of any size: small ones in memory, large ones in temporary files.

The files are in the folder of `tempfile` (environment variable `TMPDIR`). They have no name any more when they are in
use, so they vanish with the process, however it ends.
"""

import mmap
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from seqhub.errors import SaveError

IN_MEMORY = 1 << 28  # bytes up to which an array or a table stays in memory


def _unnamed_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="seqhub-")


class GrowingArray:
    """One-dimensional or two-dimensional array to which parts are appended.

    Args:
        dtype: Type of the elements.
        width: Number of columns; 0 for one dimension.

    Raises:
        SaveError: The disk of the temporary folder is full.

    >>> array = GrowingArray(np.int32)
    >>> array.append(np.array([1, 2])), array.append(np.array([3])), array.finish().tolist()
    (None, None, [1, 2, 3])
    """

    def __init__(self, dtype: DTypeLike, width: int = 0) -> None:
        self._dtype, self._width = np.dtype(dtype), width
        self._parts: list[NDArray[Any]] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, part: NDArray[Any]) -> None:
        """Append a part."""
        part = np.ascontiguousarray(part, self._dtype)
        self._parts.append(part)
        self._bytes += part.nbytes
        if self._file is not None or self._bytes > IN_MEMORY:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = _unnamed_file()
            weakref.finalize(self, self._file.close)
        try:
            for part in self._parts:
                self._file.write(part.data)
        except OSError as error:
            raise _full(error) from error
        self._parts = []

    def finish(self) -> NDArray[Any]:
        """Return the array; a large one is memory-mapped."""
        shape = (-1, self._width) if self._width else (-1,)
        if self._file is None:
            parts = self._parts or [np.empty(0, self._dtype)]
            return np.concatenate([part.reshape(-1) for part in parts]).reshape(shape)
        try:
            self._file.flush()
        except OSError as error:
            raise _full(error) from error
        rows = self._bytes // (self._dtype.itemsize * max(1, self._width))
        return np.memmap(self._file, self._dtype, "r", shape=(rows, self._width) if self._width else (rows,))


def gather_tables(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same tables, memory-mapped from one file if they have more than `IN_MEMORY` bytes together.

    The tables are yielded after all of them have been written, so that a consumer may keep them all.

    Raises:
        SaveError: The disk of the temporary folder is full.
    """
    kept: list[pa.Table] = []
    rest = iter(parts)
    size = 0
    for part in rest:
        kept.append(part)
        size += part.nbytes
        if size > IN_MEMORY:
            break
    else:
        yield from kept
        return
    starts: list[int] = []
    with _unnamed_file() as file:
        try:
            for part in _chain(kept, rest):
                starts.append(file.tell())
                with pa.ipc.new_stream(file, part.schema) as writer:
                    writer.write_table(part)
            file.flush()
        except OSError as error:
            raise _full(error) from error
        content = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    for start in starts:
        reader = pa.BufferReader(content)
        reader.seek(start)
        yield pa.ipc.open_stream(reader).read_all()


def _chain(kept: list[pa.Table], rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the kept tables, which are then freed, and the rest."""
    while kept:
        yield kept.pop(0)
    yield from rest


def _full(error: OSError) -> SaveError:
    return SaveError(
        f"cannot write to {tempfile.gettempdir()}, the folder for temporary files: {error.strerror or error}; choose "
        "another one by the environment variable TMPDIR"
    )

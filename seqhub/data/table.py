"""Examples as Arrow columns and back, without a Python object per row."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.tasks.base import Batch
from seqhub.tasks.splits import Split

if TYPE_CHECKING:  # drawing rows and digesting them need no `datasets`, which takes a second or two to import
    from datasets import Dataset

SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])


def batch_table(batch: Batch) -> pa.Table:
    """The columns `text` and `label` of a batch."""
    offsets = np.zeros(len(batch) + 1, dtype=np.int32)
    np.cumsum(batch.lengths, out=offsets[1:])
    characters = batch.characters.tobytes().translate(None, delete=b"\0")  # twice as fast as picking by a mask
    text = pa.StringArray.from_buffers(len(batch), pa.py_buffer(offsets), pa.py_buffer(characters))
    return pa.table([text, pa.array(batch.labels, pa.int64())], schema=SCHEMA)


def rows_table(split: Split, start: int, stop: int) -> pa.Table:
    """Rows `start` to `stop` (not included) of a split."""
    tables = [batch_table(batch) for batch in split.batches(start, stop)]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def as_table(rows: "Dataset | pa.Table") -> pa.Table:
    """The columns of a `datasets.Dataset`, its selection and order kept, or a table as it is."""
    return rows if isinstance(rows, pa.Table) else rows.with_format("arrow")[:]


def flat_text(chunk: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 bytes of an array of large strings and the N + 1 offsets of its rows in them, both without a copy."""
    if not len(chunk):  # Arrow then leaves out the one offset
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, characters = chunk.buffers()
    rows = np.frombuffer(offsets, np.int64, count=chunk.offset + len(chunk) + 1)[chunk.offset :]
    return np.frombuffer(characters or b"", np.uint8), rows

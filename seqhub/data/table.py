"""Drawn examples as Arrow columns, without a Python object per row."""

from typing import Any

import numpy as np
import pyarrow as pa

from seqhub.tasks.base import Batch
from seqhub.tasks.splits import Split

SCHEMA = pa.schema([("text", pa.string()), ("label", pa.int64())])


def batch_columns(batch: Batch) -> list[pa.Array]:
    """The columns `text` and `label` of a batch."""
    offsets = np.zeros(len(batch) + 1, dtype=np.int32)
    np.cumsum(batch.lengths, out=offsets[1:])
    characters = batch.characters[np.arange(batch.characters.shape[1]) < batch.lengths[:, None]]
    text = pa.StringArray.from_buffers(len(batch), pa.py_buffer(offsets), pa.py_buffer(characters))
    return [text, pa.array(batch.labels, pa.int64())]


def rows_table(split: Split, start: int, stop: int) -> pa.Table:
    """Rows `start` to `stop` (not included) of a split."""
    batches: list[Any] = [
        pa.RecordBatch.from_arrays(batch_columns(batch), schema=SCHEMA) for batch in split.batches(start, stop)
    ]
    return pa.Table.from_batches(batches, schema=SCHEMA)

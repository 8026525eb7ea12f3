"""Conversion of batches to Arrow tables, without a Python object per row.

pyarrow and `datasets` are imported by the functions that need them, because training on generated rows does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema
from seqhub.tasks.splits import Split
from seqhub.tasks.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


def schema_of(schema: TaskSchema) -> pa.Schema:
    """Return the Arrow schema of a task schema.

    The columns are `text`, a string, `input_ids`, a list of int64 for the tokens of a tokenizer, or `input_values`, a
    list of steps of F float32 each; then `label`, int64 or float32, `labels`, a list of one int64 for each step or for
    each label of a row, or of several float32, or `target`, a string.
    """
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "input_ids": pa.list_(pa.int64()),
        "input_values": pa.list_(pa.list_(pa.float32(), schema.num_features)) if schema.num_features else None,
        "label": pa.float32() if schema.target == "number" else pa.int64(),
        "labels": pa.list_(pa.float32(), len(schema.numbers)) if schema.numbers else pa.list_(pa.int64()),
        "target": pa.string(),
    }
    return pa.schema([(name, types[name]) for name in schema.columns])


def batch_table(batch: Batch, schema: TaskSchema) -> pa.Table:
    """Return a batch as an Arrow table."""
    import pyarrow as pa

    offsets = np.zeros(len(batch) + 1, dtype=np.int32)
    np.cumsum(batch.lengths, out=offsets[1:])
    if schema.vocabulary is None:
        columns = [_lists(offsets, _vectors(batch.inputs[_real(batch)]))]
    elif schema.has_tokenizer:
        columns = [_lists(offsets, _array(batch.inputs[_real(batch)].astype(np.int64)))]
    elif schema.vocabulary.bytewise:
        characters = batch.inputs.tobytes().translate(None, delete=b"\0")  # twice as fast as a mask
        columns = [pa.StringArray.from_buffers(len(batch), pa.py_buffer(offsets), pa.py_buffer(characters))]
    else:
        columns = [_texts(offsets, batch.inputs[_real(batch)], schema.vocabulary)]
    if schema.target == "step_class":
        columns.append(_lists(offsets, _array(batch.labels[_real(batch)].astype(np.int64))))
    elif schema.target in ("class", "number"):
        columns.append(_array(batch.labels))
    elif schema.target == "multi_label":
        ends = np.zeros(len(batch) + 1, dtype=np.int32)
        np.cumsum((batch.labels > 0).sum(axis=1), out=ends[1:])
        columns.append(_lists(ends, _array(batch.labels.nonzero()[1].astype(np.int64))))
    elif schema.target == "numbers":
        columns.append(_vectors(batch.labels))
    elif schema.target_vocabulary is not None:
        real = batch.labels != NO_LABEL
        ends = np.zeros(len(batch) + 1, dtype=np.int32)
        np.cumsum(real.sum(axis=1), out=ends[1:])
        columns.append(_texts(ends, batch.labels[real], schema.target_vocabulary))
    return pa.table(columns, schema=schema_of(schema))


def _real(batch: Batch) -> NDArray[np.bool_]:
    """Return a mask (N, T), True before the padding."""
    real: NDArray[np.bool_] = np.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
    return real


def _lists(offsets: NDArray[np.int32], values: pa.Array) -> pa.ListArray:
    import pyarrow as pa

    return pa.ListArray.from_arrays(_array(offsets), values)


def _array(values: NDArray[Any]) -> pa.Array:
    """Return a one-dimensional array as one of Arrow. `pa.array` imports pandas, which takes half a second."""
    import pyarrow as pa

    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), len(flat), [None, pa.py_buffer(flat)])


def numbers_of(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Return an array of numbers without missing values. Conversions of Arrow itself import pandas."""
    import pyarrow as pa

    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    dtype = np.dtype(array.type.to_pandas_dtype())
    pieces = [
        np.frombuffer(chunk.buffers()[1], dtype, count=chunk.offset + len(chunk))[chunk.offset :]
        for chunk in chunks
        if len(chunk)
    ]
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, dtype), *pieces])


def _vectors(steps: NDArray[np.float32]) -> pa.FixedSizeListArray:
    """Return the rows of (M, F) as Arrow lists of F values."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(_array(steps.ravel()), steps.shape[1])


def _texts(offsets: NDArray[np.int32], ids: NDArray[np.integer], vocabulary: Vocabulary) -> pa.Array:
    """Return the texts of concatenated ids, divided into rows by `offsets`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # Without conversions of Python strings by Arrow, which import pandas
    entries = [each.encode() for each in ("", *vocabulary.entries, vocabulary.separator)]
    bounds = np.cumsum([0, *map(len, entries)], dtype=np.int32)
    symbols = pa.StringArray.from_buffers(len(entries), pa.py_buffer(bounds), pa.py_buffer(b"".join(entries)))
    words = pc.take(symbols, _array(ids.astype(np.int32)))
    return pc.binary_join(_lists(offsets, words), symbols[len(entries) - 1])


def rows_table(split: Split, start: int, stop: int) -> pa.Table:
    """Return rows `start` to `stop` (excluded) of a split."""
    import pyarrow as pa

    tables = [batch_table(batch, split.schema) for batch in split.batches(start, stop)]
    return pa.concat_tables(tables) if tables else schema_of(split.schema).empty_table()


def as_table(rows: Dataset | pa.Table) -> pa.Table:
    """Return a `datasets.Dataset` as a table, with its selection and order; a table is returned unchanged."""
    import pyarrow as pa

    return rows if isinstance(rows, pa.Table) else rows.with_format("arrow")[:]


def flat_text(chunk: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the UTF-8 bytes of an array of large strings and the N + 1 offsets of its rows, both without a copy."""
    if not len(chunk):  # Arrow then has no offsets
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, characters = chunk.buffers()
    rows = np.frombuffer(offsets, np.int64, count=chunk.offset + len(chunk) + 1)[chunk.offset :]
    return np.frombuffer(characters or b"", np.uint8), rows

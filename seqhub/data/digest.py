"""SHA-256 digest of the rows of a table, independent of their storage format.

The digest is the SHA-256 of the JSON text `[[name, content], ...]`, with columns in the order of their names and the
separators `,` and `:` without spaces. `content` is

- `["text", L, V]` for strings: L is the SHA-256 of the lengths in bytes, V of the concatenated UTF-8 bytes;
- `["integer", V]` for integers of any width and for `ClassLabel`: V is the SHA-256 of the values as little-endian
  int64;
- `["boolean", V]`: V is the SHA-256 of one byte for each value, 0 or 1;
- `["real", V]` for floats of any width: V is the SHA-256 of the values as little-endian float64;
- `["list", L, content]` for lists of any type: L is the SHA-256 of the lengths in elements, `content` describes the
  concatenated elements.

Lengths are hashed as little-endian int64, and hashes are written in hexadecimal. So the digest does not depend on
chunks, on Arrow or Parquet, on dictionary encoding, on the width of offsets or integers, or on the names of labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.arrow import as_table, batch_table, flat_text, numbers_of
from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import Batch, TaskSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset


def digest(rows: Dataset | pa.Table) -> str:
    """Return the digest of a dataset or table, as defined above: 64 hexadecimal digits.

    Raises:
        InvalidInputError: A value is missing, or a column has a type without a definition above.

    >>> import pyarrow as pa
    >>> digest(pa.table({"text": ["BaXcbYcE"], "label": [1]}))
    '7ddcd61900986b3d871f092e7b66c014f4e0a13d2a71bc6991eba1e196bbac7e'
    >>> digest(pa.table({"label": pa.array([1], pa.int8()), "text": pa.array(["BaXcbYcE"], pa.large_string())}))
    '7ddcd61900986b3d871f092e7b66c014f4e0a13d2a71bc6991eba1e196bbac7e'
    """
    table = as_table(rows)
    columns = [
        [name, _content(name, table.column(name).chunks, table.schema.field(name).type)]
        for name in sorted(table.column_names)
    ]
    return hashlib.sha256(json.dumps(columns, separators=(",", ":")).encode()).hexdigest()


def digest_batches(batches: Iterable[Batch], schema: TaskSchema) -> str:
    """Return the digest of the table of some batches of a task; without Arrow, unless texts are of words.

    Args:
        batches: At least one row in all.
        schema: Schema of the rows.
    """
    vocabulary = schema.vocabulary
    if schema.target_vocabulary is not None or (vocabulary is not None and not vocabulary.bytewise):
        import pyarrow as pa

        return digest(pa.concat_tables([batch_table(batch, schema) for batch in batches]))
    columns = {name: _Column(name, schema) for name in schema.columns}
    for batch in batches:
        for column in columns.values():
            column.add(batch)
    content = [[name, columns[name].content()] for name in sorted(columns)]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


class _Column:
    """Running hashes of a column of a table of batches, in the order of nesting: lengths of lists, then values."""

    def __init__(self, name: str, schema: TaskSchema) -> None:
        self.name = name
        self.schema = schema
        self.hashes = [hashlib.sha256() for _ in range(3)]

    def add(self, batch: Batch) -> None:
        """Add the rows of a batch."""
        parts = self._parts(batch)
        for running, values in zip(self.hashes, parts, strict=False):
            if isinstance(values, bytes):
                running.update(values)
            else:
                wide = values.astype("<i8" if values.dtype.kind in "iub" else "<f8", copy=False)
                running.update(np.ascontiguousarray(wide).data)

    def content(self) -> list[Any]:
        """Return the content as `digest` defines it."""
        found = [each.hexdigest() for each in self.hashes]
        if self.name == "text":
            return ["text", *found[:2]]
        if self.name == "input_values":
            return ["list", found[0], ["list", found[1], ["real", found[2]]]]
        if self.name == "labels":
            return ["list", found[0], ["integer", found[1]]]
        return ["real" if self.schema.target == "number" else "integer", found[0]]

    def _parts(self, batch: Batch) -> list[NDArray[Any] | bytes]:
        real = np.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
        if self.name == "text":
            return [batch.lengths, batch.inputs.tobytes().translate(None, delete=b"\0")]
        if self.name == "input_values":
            steps = batch.inputs[real]
            return [batch.lengths, np.full(len(steps), steps.shape[1]), steps.astype(np.float32, copy=False)]
        if self.name == "labels":
            return [batch.lengths, batch.labels[real]]
        return [batch.labels]


def _content(name: str, chunks: list[Any], kind: pa.DataType) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if any(chunk.null_count for chunk in chunks):
        raise InvalidInputError(f"column {name!r} has missing values; need one in every row")
    if pa.types.is_dictionary(kind):
        return _content(name, [chunk.dictionary_decode() for chunk in chunks], kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        pieces = [flat_text(chunk.cast(pa.large_string())) for chunk in chunks]
        lengths = _hash(np.diff(offsets) for _, offsets in pieces)
        return ["text", lengths, _hash(characters[rows[0] : rows[-1]] for characters, rows in pieces)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = _hash(pc.list_value_length(chunk).cast(pa.int64()) for chunk in chunks)
        return ["list", lengths, _content(name, [chunk.flatten() for chunk in chunks], kind.value_type)]
    numbers = (
        (pa.types.is_boolean, "boolean", pa.uint8()),
        (pa.types.is_integer, "integer", pa.int64()),
        (pa.types.is_floating, "real", pa.float64()),
    )
    for test, label, width in numbers:
        if test(kind):
            return [label, _hash(chunk.cast(width) for chunk in chunks)]
    raise InvalidInputError(f"column {name!r} has type {kind}; need strings, numbers, booleans or lists of them")


def _hash(pieces: Iterable[Any]) -> str:
    """Return the SHA-256 of concatenated arrays, little-endian."""
    running = hashlib.sha256()
    for piece in pieces:
        values = piece if isinstance(piece, np.ndarray) else numbers_of(piece)
        running.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)
    return running.hexdigest()

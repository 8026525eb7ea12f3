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

from seqhub.data.arrow import as_table, batch_table, flat_text, numbers_of, schema_of
from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import Batch, TaskSchema
from seqhub.tasks.splits import Split

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
    return digest_of_parts([as_table(rows)])


def digest_of_parts(tables: Iterable[pa.Table]) -> str:
    """Return the digest of the concatenation of tables with the same schema, at least one, which are read once."""
    columns: dict[str, _Column] = {}
    for table in tables:
        for name in table.column_names:
            field = table.schema.field(name)
            columns.setdefault(name, _Column(name, field.type)).add(table.column(name).chunks)
    content = [[name, columns[name].content()] for name in sorted(columns)]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def split_digest(split: Split, rows: int | None = None) -> str:
    """Return the digest of the first rows of a split, or of all rows of a split with an end; computed in parts."""
    stop = split.size if rows is None else rows
    if split.ragged is not None and stop == len(split.ragged):
        memo = split.ragged.memo
        if "digest" not in memo:
            memo["digest"] = _digest_to(split, stop)
        return str(memo["digest"])
    return _digest_to(split, stop)


def _digest_to(split: Split, stop: int | None) -> str:
    if stop == 0:
        return digest_of_parts([schema_of(split.schema).empty_table()])
    return digest_batches(split.batches(0, stop), split.schema)


def digest_batches(batches: Iterable[Batch], schema: TaskSchema) -> str:
    """Return the digest of the table of some batches of a task, computed in parts.

    Arrow is imported only for texts of words, ids of a tokenizer, texts that are targets, and several labels or
    numbers.

    Args:
        batches: At least one row in all.
        schema: Schema of the rows.
    """
    vocabulary = schema.vocabulary
    plain = vocabulary is None or (vocabulary.bytewise and not schema.has_tokenizer)
    if not plain or schema.target in ("sequence", "multi_label", "numbers"):
        return digest_of_parts(batch_table(batch, schema) for batch in batches)
    columns = {name: _BatchColumn(name, schema) for name in schema.columns}
    for batch in batches:
        for column in columns.values():
            column.add(batch)
    content = [[name, columns[name].content()] for name in sorted(columns)]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


class _BatchColumn:
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


class _Column:
    """Running hashes of a column of Arrow, or of the elements of its lists."""

    def __init__(self, name: str, kind: pa.DataType) -> None:
        import pyarrow as pa

        self._name = name
        self._decoded = kind.value_type if pa.types.is_dictionary(kind) else None
        kind = self._decoded or kind
        types = pa.types
        self._text = types.is_string(kind) or types.is_large_string(kind)
        self._elements = None
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            self._elements = _Column(name, kind.value_type)
        numbers = (
            (types.is_boolean, "boolean", pa.uint8()),
            (types.is_integer, "integer", pa.int64()),
            (types.is_floating, "real", pa.float64()),
        )
        self._number = next(((label, width) for test, label, width in numbers if test(kind)), None)
        if not (self._text or self._elements or self._number):
            raise InvalidInputError(
                f"column {name!r} has type {kind}; need strings, numbers, booleans or lists of them"
            )
        self._lengths, self._values = hashlib.sha256(), hashlib.sha256()

    def add(self, chunks: list[Any]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if any(chunk.null_count for chunk in chunks):
            raise InvalidInputError(f"column {self._name!r} has missing values; need one in every row")
        if self._decoded is not None:
            chunks = [chunk.dictionary_decode() for chunk in chunks]
        for chunk in chunks:
            if self._text:
                characters, rows = flat_text(chunk.cast(pa.large_string()))
                _update(self._lengths, np.diff(rows))
                _update(self._values, characters[rows[0] : rows[-1]])
            elif self._elements is not None:
                _update(self._lengths, numbers_of(pc.list_value_length(chunk).cast(pa.int64())))
                self._elements.add([chunk.flatten()])
            elif self._number is not None:
                _update(self._values, numbers_of(chunk.cast(self._number[1])))

    def content(self) -> list[Any]:
        if self._text:
            return ["text", self._lengths.hexdigest(), self._values.hexdigest()]
        if self._elements is not None:
            return ["list", self._lengths.hexdigest(), self._elements.content()]
        assert self._number is not None
        return [self._number[0], self._values.hexdigest()]


def _update(running: Any, values: NDArray[Any]) -> None:
    """Add an array in little-endian order to a hash."""
    running.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)

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

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqhub.data.arrow import as_table, batch_table, flat_text, schema_of
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import Split

if TYPE_CHECKING:
    from datasets import Dataset


def digest(rows: "Dataset | pa.Table") -> str:
    """Return the digest of a dataset or table, as defined above: 64 hexadecimal digits.

    Raises:
        InvalidInputError: A value is missing, or a column has a type without a definition above.

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
    tables = (batch_table(batch, split.schema) for batch in split.batches(0, stop))
    return digest_of_parts([schema_of(split.schema).empty_table()] if stop == 0 else tables)


class _Column:
    """Running hashes of a column, or of the elements of its lists."""

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self._name = name
        self._decoded = kind.value_type if pa.types.is_dictionary(kind) else None
        kind = self._decoded or kind
        types = pa.types
        self._text = types.is_string(kind) or types.is_large_string(kind)
        self._elements = None
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            self._elements = _Column(name, kind.value_type)
        self._number = next(((label, width) for test, label, width in _NUMBERS if test(kind)), None)
        if not (self._text or self._elements or self._number):
            raise InvalidInputError(
                f"column {name!r} has type {kind}; need strings, numbers, booleans or lists of them"
            )
        self._lengths, self._values = hashlib.sha256(), hashlib.sha256()

    def add(self, chunks: list[Any]) -> None:
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
                _update(self._lengths, pc.list_value_length(chunk).cast(pa.int64()))
                self._elements.add([chunk.flatten()])
            elif self._number is not None:
                _update(self._values, chunk.cast(self._number[1]))

    def content(self) -> list[Any]:
        if self._text:
            return ["text", self._lengths.hexdigest(), self._values.hexdigest()]
        if self._elements is not None:
            return ["list", self._lengths.hexdigest(), self._elements.content()]
        assert self._number is not None
        return [self._number[0], self._values.hexdigest()]


_NUMBERS: list[tuple[Callable[[pa.DataType], bool], str, pa.DataType]] = [
    (pa.types.is_boolean, "boolean", pa.uint8()),
    (pa.types.is_integer, "integer", pa.int64()),
    (pa.types.is_floating, "real", pa.float64()),
]


def _update(running: Any, piece: Any) -> None:
    """Add an array in little-endian order to a hash."""
    values = np.asarray(piece)
    running.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)

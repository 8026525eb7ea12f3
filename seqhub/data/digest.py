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

from seqhub.data.arrow import as_table, flat_text, numbers_of
from seqhub.errors import InvalidInputError

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
    table = as_table(rows)
    columns = [
        [name, _content(name, table.column(name).chunks, table.schema.field(name).type)]
        for name in sorted(table.column_names)
    ]
    return hashlib.sha256(json.dumps(columns, separators=(",", ":")).encode()).hexdigest()


def _content(name: str, chunks: list[Any], kind: pa.DataType) -> list[Any]:
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
    for test, label, width in _NUMBERS:
        if test(kind):
            return [label, _hash(chunk.cast(width) for chunk in chunks)]
    raise InvalidInputError(f"column {name!r} has type {kind}; need strings, numbers, booleans or lists of them")


_NUMBERS: list[tuple[Callable[[pa.DataType], bool], str, pa.DataType]] = [
    (pa.types.is_boolean, "boolean", pa.uint8()),
    (pa.types.is_integer, "integer", pa.int64()),
    (pa.types.is_floating, "real", pa.float64()),
]


def _hash(pieces: Iterable[Any]) -> str:
    """Return the SHA-256 of concatenated arrays, little-endian."""
    running = hashlib.sha256()
    for piece in pieces:
        values = piece if isinstance(piece, np.ndarray) else numbers_of(piece)
        running.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)
    return running.hexdigest()

"""Collation of rows of Arrow tables or tasks as padded NumPy arrays, and batches as tensors.

pyarrow and torch are imported by the functions that need them, because native training does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.arrow import flat_text, numbers_of
from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

_UNKNOWN = 255  # entry in the table of ids for bytes that are not symbols
_ROWS_AT_ONCE = 8192  # rows that are padded together, so that intermediate arrays stay in the cache


@dataclass(frozen=True, slots=True)
class CollatedArrays:
    """N rows as arrays, padded on the right to T steps.

    Args:
        inputs: Ids (N, T), uint8 or uint16, 0 in the padding; or values (N, T, F), float32, 0.0 in the padding.
        lengths: (N,), number of steps before the padding.
        labels: As in `tasks.schema.Batch`.
        schema: Schema of the rows.
    """

    inputs: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]
    schema: TaskSchema

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> CollatedArrays:
        """Select rows by NumPy indexing."""
        return CollatedArrays(self.inputs[rows], self.lengths[rows], self.labels[rows], self.schema)

    def concatenate(self, other: CollatedArrays) -> CollatedArrays:
        """Return these rows followed by the rows of `other`, which must have the same schema."""
        return CollatedArrays(
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.lengths, other.lengths]),
            np.concatenate([self.labels, other.labels]),
            self.schema,
        )


def collate_batch(batch: Batch, schema: TaskSchema) -> CollatedArrays:
    """Return the arrays of a batch of a task, with ids instead of characters."""
    inputs = batch.inputs
    if schema.vocabulary is not None and schema.vocabulary.bytewise:
        inputs = _ids_of_characters(inputs, schema.vocabulary)
    return CollatedArrays(inputs, batch.lengths, batch.labels, schema)


def _ids_of_characters(characters: NDArray[np.uint8], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Return the ids of valid characters (N, T), by a table of pairs."""
    single, double = _id_tables(vocabulary)
    flat = np.ascontiguousarray(characters).reshape(-1)
    even = len(flat) // 2 * 2
    ids = np.empty_like(flat)
    np.take(double, flat[:even].view(np.uint16), out=ids[:even].view(np.uint16), mode="clip")  # never clips
    ids[even:] = single[flat[even:]]
    return ids.reshape(characters.shape)


@lru_cache(maxsize=32)
def _id_tables(vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return the id of each byte, (256,), and the ids of each pair of bytes, (65536,)."""
    table = _id_table(vocabulary)
    table[0] = PAD_ID  # padding of a batch; not valid in the texts of a table
    return table, table[np.arange(1 << 16, dtype=np.uint16).view(np.uint8)].view(np.uint16)


def collate_table(table: pa.Table, schema: TaskSchema) -> CollatedArrays:
    """Return the rows of a table as arrays, after validation.

    Raises:
        InvalidInputError: No rows, a missing column or value, a sequence without steps, a symbol outside the
            vocabulary, steps with the wrong number of values, NaN or infinity, or labels of the wrong type; the message
            has row and position.
    """
    inputs, lengths = _inputs(_column(table, schema.columns[0], schema), schema)
    labels: NDArray[Any] = np.empty((len(lengths), 0), np.int64)
    if schema.target in ("class", "number"):
        labels = _labels(_column(table, "label", schema), schema)
    elif schema.target == "multi_label":
        labels = _label_sets(_column(table, "labels", schema), schema)
    elif schema.target == "numbers":
        labels = _several_numbers(_column(table, "labels", schema), schema)
    elif schema.target == "step_class":
        labels = _step_labels(_column(table, "labels", schema), lengths, inputs.shape[1], schema)
    elif schema.target == "sequence":
        labels = target_ids(_column(table, "target", schema).to_pylist(), schema)
    return CollatedArrays(inputs, lengths, labels, schema)


def target_ids(targets: Sequence[Any], schema: TaskSchema) -> NDArray[np.int64]:
    """Return the ids of targets that are texts: (N, S), NO_LABEL in the padding on the right.

    Raises:
        InvalidInputError: A target is not a text, empty, longer than the schema allows, or has a symbol outside the
            vocabulary; the message has row and position.
    """
    vocabulary = schema.target_vocabulary
    assert vocabulary is not None, "only for the target sequence"
    rows = []
    for row, target in enumerate(targets):
        if not isinstance(target, str):
            raise InvalidInputError(f"target of row {row}: {type(target).__name__}; need a text")
        try:
            ids = vocabulary.encode(target)
        except InvalidInputError as error:
            raise InvalidInputError(f"target of row {row}: {error}") from None
        if len(ids) > schema.max_target:
            raise InvalidInputError(f"target of row {row}: {len(ids)} symbols; must be at most {schema.max_target}")
        rows.append(ids)
    labels = np.full((len(rows), max(map(len, rows))), NO_LABEL, np.int64)
    for label, ids in zip(labels, rows, strict=True):
        label[: len(ids)] = ids
    return labels


def target_width(labels: NDArray[np.int64]) -> int:
    """Return the number of symbols of the longest target of labels (N, S)."""
    return int((labels != NO_LABEL).sum(axis=1).max(initial=0))


def _add_target(batch: dict[str, torch.Tensor], labels: NDArray[np.int64], schema: TaskSchema, width: int) -> None:
    """Add the labels, (N, width + 1), with the end of each target, and the ids that a decoder reads to predict them."""
    import torch

    ids = _pad_to(labels, width + 1, NO_LABEL).copy()
    real = ids != NO_LABEL
    previous = np.zeros_like(ids)  # PAD_ID starts a target
    previous[:, 1:] = np.where(real, ids, PAD_ID)[:, :-1]
    ids[np.arange(len(ids)), real.sum(axis=1)] = schema.end_id
    batch["decoder_input_ids"] = torch.from_numpy(previous)
    batch["labels"] = torch.from_numpy(ids)


def to_tensors(arrays: CollatedArrays, width: int, targets: int | None = None) -> dict[str, torch.Tensor]:
    """Return a batch of new tensors (see `loader.BatchLoader`), padded to `width` steps, at least the longest row.

    Args:
        arrays: Rows.
        width: Number of steps.
        targets: Number of symbols to which targets of the kind `sequence` are padded; None for the longest.
    """
    import torch

    schema = arrays.schema
    inputs = _pad_to(arrays.inputs, width, PAD_ID)
    if schema.vocabulary is None:
        mask = np.arange(width) < arrays.lengths[:, None]
        batch = {"input_values": torch.from_numpy(inputs.copy())}
    else:
        mask = inputs != PAD_ID
        batch = {"input_ids": torch.from_numpy(inputs.astype(np.int64))}
    batch["attention_mask"] = torch.from_numpy(mask.astype(np.int64))
    if schema.target == "inputs":
        batch["labels"] = batch["input_values"]
    elif schema.target == "next_symbol":
        batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, NO_LABEL)
    elif schema.target == "step_class":
        batch["labels"] = torch.from_numpy(_pad_to(arrays.labels, width, NO_LABEL).copy())
    elif schema.target == "sequence":
        _add_target(batch, arrays.labels, schema, target_width(arrays.labels) if targets is None else targets)
    else:
        batch["labels"] = torch.from_numpy(arrays.labels.copy())
    return batch


def _pad_to(array: NDArray[Any], width: int, filling: int) -> NDArray[Any]:
    """Return the first `width` steps of (N, T, ...), padded with `filling` if there are fewer."""
    if width > array.shape[1]:
        rest = [(0, 0)] * (array.ndim - 2)
        array = np.pad(array, [(0, 0), (0, width - array.shape[1]), *rest], constant_values=filling)
    return array[:, :width]


def _column(table: pa.Table, name: str, schema: TaskSchema) -> pa.ChunkedArray:
    if name not in table.column_names:
        need = " and ".join(schema.columns)
        raise InvalidInputError(f"columns {', '.join(table.column_names)}; need {need}")
    if not table.num_rows:
        raise InvalidInputError("a table without rows; need at least one row")
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no {name} in row {row}; need one in every row")
    return column


def _labels(column: pa.ChunkedArray, schema: TaskSchema) -> NDArray[Any]:
    """Return class numbers or real numbers (N,), as a copy because the memory of Arrow is read-only."""
    import pyarrow as pa

    if schema.target == "class":
        if not pa.types.is_integer(column.type):
            raise InvalidInputError(f"labels of type {column.type}; need integers")
        return np.array(numbers_of(column.cast(pa.int64())))
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InvalidInputError(f"labels of type {column.type}; need numbers")
    numbers: NDArray[np.float32] = np.array(numbers_of(column), dtype=np.float32)
    if not np.isfinite(numbers).all():
        row = int((~np.isfinite(numbers)).argmax())
        raise InvalidInputError(f"label {numbers[row]} in row {row}; need finite numbers")
    return numbers


def _step_labels(
    column: pa.ChunkedArray, lengths: NDArray[np.int64], width: int, schema: TaskSchema
) -> NDArray[np.int64]:
    """Return class numbers (N, T), NO_LABEL for steps without a class."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat, counts = _flat_lists(column)
    if (counts != lengths).any():
        row = int((counts != lengths).argmax())
        raise InvalidInputError(f"{counts[row]} labels in row {row}; need one for each of its {lengths[row]} steps")
    if not pa.types.is_integer(flat.type):
        raise InvalidInputError(f"labels of type {flat.type} per step; need integers")
    labels = np.full((len(lengths), width), NO_LABEL, np.int64)
    labels[np.arange(width) < lengths[:, None]] = numbers_of(pc.fill_null(flat.cast(pa.int64()), NO_LABEL))
    return labels


def _label_sets(column: pa.ChunkedArray, schema: TaskSchema) -> NDArray[np.float32]:
    """Return 1 for each label of a row, given as a list of class numbers, and 0 for others: (N, C)."""
    import pyarrow as pa

    flat, counts = _flat_lists(column)
    if not pa.types.is_integer(flat.type) or flat.null_count:
        raise InvalidInputError(f"labels of type {flat.type}; need lists of integers")
    numbers, rows = numbers_of(flat), np.repeat(np.arange(len(counts)), counts)
    wrong = (numbers < 0) | (numbers >= len(schema.labels))
    if wrong.any():
        first = int(wrong.argmax())
        raise InvalidInputError(f"label {numbers[first]} in row {rows[first]}; need 0 to {len(schema.labels) - 1}")
    labels = np.zeros((len(counts), len(schema.labels)), np.float32)
    labels[rows, numbers] = 1
    return labels


def _several_numbers(column: pa.ChunkedArray, schema: TaskSchema) -> NDArray[np.float32]:
    """Return the numbers of each row: (N, K)."""
    import pyarrow as pa

    flat, counts = _flat_lists(column)
    width = len(schema.numbers)
    if (counts != width).any():
        row = int((counts != width).argmax())
        raise InvalidInputError(f"{counts[row]} numbers in row {row}; need {width}")
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise InvalidInputError(f"labels of type {flat.type}; need numbers")
    numbers: NDArray[np.float32] = np.array(flat.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, width)
    if not np.isfinite(numbers).all():
        row = int((~np.isfinite(numbers)).any(axis=1).argmax())
        raise InvalidInputError(f"labels of row {row} have NaN or infinity; need finite numbers")
    return numbers


def _inputs(column: pa.ChunkedArray, schema: TaskSchema) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return ids (N, T) or values (N, T, F), padded on the right, and lengths (N,)."""
    import pyarrow as pa

    if schema.vocabulary is None:
        return _padded_values(column, schema.num_features)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InvalidInputError(f"texts of type {column.type}; need strings")
    if schema.vocabulary.bytewise:
        return _padded_bytes(column, schema.vocabulary)
    ids = schema.vocabulary.encode_batch(column.to_pylist())
    return ids.astype(np.uint16), (ids != PAD_ID).sum(axis=1)


def _flat_lists(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the concatenated elements of a column of lists, and the number of elements of each row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if not any(is_kind(column.type) for is_kind in (types.is_list, types.is_large_list, types.is_fixed_size_list)):
        raise InvalidInputError(f"a column of type {column.type}; need lists")
    counts = numbers_of(pc.list_value_length(column)).astype(np.int64)
    return pc.list_flatten(column).combine_chunks(), counts


def _padded_values(column: pa.ChunkedArray, features: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    steps, lengths = _flat_lists(column)
    if not lengths.all():
        raise InvalidInputError(f"no steps in row {int(lengths.argmin())}; need at least one")
    if not any(test(steps.type) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        raise InvalidInputError(f"steps of type {steps.type}; need lists of {features} numbers")
    ends = np.cumsum(lengths)
    widths = _numbers_or_nan(pc.list_value_length(steps))
    if (widths != features).any():  # the width of a missing step is NaN
        wrong = int((widths != features).argmax())
        row = int(np.searchsorted(ends, wrong, side="right"))
        where = f"step {wrong - (ends[row] - lengths[row])} of row {row}"
        given = "no values" if np.isnan(widths[wrong]) else f"{widths[wrong]:.0f} values"
        raise InvalidInputError(f"{given} at {where}; need {features} at every step")
    flat = _numbers_or_nan(pc.list_flatten(steps))
    values = flat.astype(np.float32, copy=False).reshape(-1, features)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        wrong = int(finite.argmin())
        row = int(np.searchsorted(ends, wrong, side="right"))
        bad = values[wrong][~np.isfinite(values[wrong])][0]
        raise InvalidInputError(f"{bad} at step {wrong - (ends[row] - lengths[row])} of row {row}; need finite numbers")
    padded = np.zeros((len(lengths), int(lengths.max()), features), np.float32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = values
    return padded, lengths


def _numbers_or_nan(array: pa.Array) -> NDArray[Any]:
    """Return an array of numbers, with NaN for missing values."""
    return array.to_numpy(zero_copy_only=False) if array.null_count else numbers_of(array)


def _id_table(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Return the id of each of the 256 bytes: k + 1 for symbol number k, 255 for bytes that are not symbols."""
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[np.frombuffer("".join(vocabulary.symbols).encode(), np.uint8)] = np.arange(1, len(vocabulary) + 1)
    return table


def _padded_bytes(texts: pa.ChunkedArray, vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return ids and lengths like `_inputs`, for a bytewise vocabulary."""
    import pyarrow as pa

    table = _id_table(vocabulary)
    pieces = [flat_text(chunk) for chunk in texts.cast(pa.large_string()).chunks]
    lengths = np.concatenate([np.diff(offsets) for _, offsets in pieces])
    if not lengths.all():
        raise InvalidInputError(f"empty text in row {int(lengths.argmin())}; need at least one symbol")
    padded = np.empty((len(lengths), lengths.max()), dtype=np.uint8)
    row = 0
    for characters, offsets in pieces:
        for start in range(0, len(offsets) - 1, _ROWS_AT_ONCE):
            part = offsets[start : start + _ROWS_AT_ONCE + 1]
            ids = np.take(table, characters[part[0] : part[-1]])
            if (ids == _UNKNOWN).any():
                where = int((ids == _UNKNOWN).argmax())
                wrong = row + int(np.searchsorted(part - part[0], where, side="right")) - 1
                _raise_unknown_symbol(texts[wrong].as_py(), wrong, vocabulary)
            stop = row + len(part) - 1
            padded[row:stop] = _padded(ids, part - part[0], padded.shape[1])
            row = stop
    return padded, lengths


def _padded(ids: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return rows (N, width) of concatenated `ids`, divided by `offsets` (N + 1,).

    Each row is copied as `width` bytes, which include the beginning of the next rows; these bytes are then set to
    padding. NumPy does both passes in whole rows, which is much faster than a gather by element.
    """
    padding = np.full(width, PAD_ID, np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([ids, padding]), width)
    lengths = np.diff(offsets)
    rows: NDArray[np.uint8] = windows[offsets[:-1]]
    tail = np.arange(lengths.min(), width)
    rows[:, lengths.min() :] *= tail < lengths[:, None]
    return rows


def _raise_unknown_symbol(text: str, row: int, vocabulary: Vocabulary) -> None:
    position = next(i for i, symbol in enumerate(text) if symbol not in vocabulary.ids)
    symbols = "".join(vocabulary.symbols)
    raise InvalidInputError(
        f"symbol {text[position]!r} at position {position} of row {row}; the vocabulary is {symbols!r}"
    )

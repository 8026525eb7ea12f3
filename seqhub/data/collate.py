"""Rows as padded NumPy arrays, out of a table or straight from a task, and batches of them as tensors."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from seqhub.data.arrow import flat_text
from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import NO_LABEL, Batch, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

_OUTSIDE = 255  # stands in the table of ids for every byte that is no symbol
_ROWS_AT_ONCE = 8192  # rows padded at a time, so that the intermediate arrays stay in cache


@dataclass(frozen=True, slots=True)
class CollatedArrays:
    """N rows, padded on the right to T steps or more.

    Args:
        inputs: Ids (N, T), uint8 or uint16, 0 where padded; or values (N, T, F), float32, 0.0 where padded.
        lengths: (N,), steps before the padding.
        labels: As in `tasks.schema.Batch`.
        schema: What the rows hold.
    """

    inputs: NDArray[Any]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]
    schema: TaskSchema

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> "CollatedArrays":
        """Pick rows, as a NumPy array would."""
        return CollatedArrays(self.inputs[rows], self.lengths[rows], self.labels[rows], self.schema)

    def concatenate(self, other: "CollatedArrays") -> "CollatedArrays":
        """These rows, then the others, of the same task."""
        return CollatedArrays(
            np.concatenate([self.inputs, other.inputs]),
            np.concatenate([self.lengths, other.lengths]),
            np.concatenate([self.labels, other.labels]),
            self.schema,
        )


def collate_batch(batch: Batch, schema: TaskSchema) -> CollatedArrays:
    """What a task has drawn, with ids in place of characters."""
    inputs = batch.inputs
    if schema.vocabulary is not None and schema.vocabulary.bytewise:
        inputs = _drawn_ids(inputs, schema.vocabulary)
    return CollatedArrays(inputs, batch.lengths, batch.labels, schema)


def _drawn_ids(characters: NDArray[np.uint8], vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Ids of characters (N, T) that a task has drawn, two looked up at a time."""
    single, double = _drawn_tables(vocabulary)
    flat = np.ascontiguousarray(characters).reshape(-1)
    even = len(flat) // 2 * 2
    ids = np.empty_like(flat)
    np.take(double, flat[:even].view(np.uint16), out=ids[:even].view(np.uint16), mode="clip")  # none is outside
    ids[even:] = single[flat[even:]]
    return ids.reshape(characters.shape)


@lru_cache(maxsize=32)
def _drawn_tables(vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Id of each byte, (256,), and the two ids of each two bytes, (65536,)."""
    table = _id_table(vocabulary)
    table[0] = PAD_ID  # what pads a batch; in a text of a table it is no symbol
    return table, table[np.arange(1 << 16, dtype=np.uint16).view(np.uint8)].view(np.uint16)


def collate_table(table: pa.Table, schema: TaskSchema) -> CollatedArrays:
    """The columns of a table, checked.

    Raises:
        InvalidInputError: No rows, a missing column or value, a sequence without steps, a symbol outside the alphabet,
            steps of the wrong number of values, NaN or infinity, or labels of another kind; the message names row and
            position.
    """
    inputs, lengths = _inputs(_column(table, schema.columns[0], schema), schema)
    labels: NDArray[Any] = np.empty((len(lengths), 0), np.int64)
    if schema.target in ("class", "number"):
        labels = _labels(_column(table, "label", schema), schema)
    elif schema.target == "step_class":
        labels = _step_labels(_column(table, "labels", schema), lengths, inputs.shape[1], schema)
    return CollatedArrays(inputs, lengths, labels, schema)


def to_tensors(columns: CollatedArrays, width: int) -> dict[str, torch.Tensor]:
    """Rows as tensors of their own, cut or padded to `width` steps, which no row exceeds (see `feed.BatchLoader`)."""
    schema = columns.schema
    inputs = _fit(columns.inputs, width, PAD_ID)
    if schema.vocabulary is None:
        mask = np.arange(width) < columns.lengths[:, None]
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
        batch["labels"] = torch.from_numpy(_fit(columns.labels, width, NO_LABEL).copy())
    else:
        batch["labels"] = torch.from_numpy(columns.labels.copy())
    return batch


def _fit(array: NDArray[Any], width: int, filling: int) -> NDArray[Any]:
    """The first `width` steps of (N, T, ...), filled up where there are fewer."""
    if width > array.shape[1]:
        rest = [(0, 0)] * (array.ndim - 2)
        array = np.pad(array, [(0, 0), (0, width - array.shape[1]), *rest], constant_values=filling)
    return array[:, :width]


def _column(table: pa.Table, name: str, schema: TaskSchema) -> pa.ChunkedArray:
    if name not in table.column_names:
        need = " and ".join(schema.columns)
        raise InvalidInputError(f"columns {', '.join(table.column_names)}; a feed needs {need}")
    if not table.num_rows:
        raise InvalidInputError("a table without rows; a feed needs at least one")
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no {name} in row {row}; a feed needs one in every row")
    return column


def _labels(column: pa.ChunkedArray, schema: TaskSchema) -> NDArray[Any]:
    """(N,) class numbers or real numbers; a copy, as Arrow's own memory is not to be written."""
    if schema.target == "class":
        if not pa.types.is_integer(column.type):
            raise InvalidInputError(f"labels of type {column.type}; a feed needs integers")
        return np.array(column.cast(pa.int64()).to_numpy())
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise InvalidInputError(f"labels of type {column.type}; a feed needs numbers")
    numbers: NDArray[np.float32] = np.array(column.to_numpy(), dtype=np.float32)
    if not np.isfinite(numbers).all():
        row = int((~np.isfinite(numbers)).argmax())
        raise InvalidInputError(f"label {numbers[row]} in row {row}; a feed needs finite numbers")
    return numbers


def _step_labels(
    column: pa.ChunkedArray, lengths: NDArray[np.int64], width: int, schema: TaskSchema
) -> NDArray[np.int64]:
    """(N, T) class numbers, NO_LABEL where a step has none."""
    flat, counts = _flat_lists(column)
    if (counts != lengths).any():
        row = int((counts != lengths).argmax())
        raise InvalidInputError(f"{counts[row]} labels in row {row}, which has {lengths[row]} steps; need one for each")
    if not pa.types.is_integer(flat.type):
        raise InvalidInputError(f"labels of type {flat.type} per step; a feed needs integers")
    labels = np.full((len(lengths), width), NO_LABEL, np.int64)
    labels[np.arange(width) < lengths[:, None]] = pc.fill_null(flat.cast(pa.int64()), NO_LABEL).to_numpy()
    return labels


def _inputs(column: pa.ChunkedArray, schema: TaskSchema) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Ids (N, T) or values (N, T, F), padded on the right to the longest of all, and lengths (N,)."""
    if schema.vocabulary is None:
        return _padded_values(column, schema.num_features)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InvalidInputError(f"texts of type {column.type}; a feed needs strings")
    if schema.vocabulary.bytewise:
        return _padded_bytes(column, schema.vocabulary)
    ids = schema.vocabulary.encode_batch(column.to_pylist())
    return ids.astype(np.uint16), (ids != PAD_ID).sum(axis=1)


def _flat_lists(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """The elements of a column of lists one after the other, and how many each row has."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise InvalidInputError(f"a column of type {column.type}; a feed needs lists")
    counts = pc.list_value_length(column).to_numpy().astype(np.int64)
    return pc.list_flatten(column).combine_chunks(), counts


def _padded_values(column: pa.ChunkedArray, features: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    steps, lengths = _flat_lists(column)
    if not lengths.all():
        raise InvalidInputError(f"no steps in row {int(lengths.argmin())}; a sequence has one or more")
    if not (pa.types.is_list(steps.type) or pa.types.is_fixed_size_list(steps.type)):
        raise InvalidInputError(f"steps of type {steps.type}; a feed needs a list of {features} numbers at each")
    ends = np.cumsum(lengths)
    widths = pc.list_value_length(steps).to_numpy(zero_copy_only=False)
    if (widths != features).any():  # NaN, where a step is missing, is no number of values either
        wrong = int((widths != features).argmax())
        row = int(np.searchsorted(ends, wrong, side="right"))
        where = f"step {wrong - (ends[row] - lengths[row])} of row {row}"
        given = "no values" if np.isnan(widths[wrong]) else f"{widths[wrong]:.0f} values"
        raise InvalidInputError(f"{given} at {where}; every step needs {features}")
    flat = pc.list_flatten(steps).to_numpy(zero_copy_only=False)
    values = flat.astype(np.float32, copy=False).reshape(-1, features)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        wrong = int(finite.argmin())
        row = int(np.searchsorted(ends, wrong, side="right"))
        bad = values[wrong][~np.isfinite(values[wrong])][0]
        raise InvalidInputError(
            f"{bad} at step {wrong - (ends[row] - lengths[row])} of row {row}; a feed needs finite numbers"
        )
    padded = np.zeros((len(lengths), int(lengths.max()), features), np.float32)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = values
    return padded, lengths


def _id_table(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """Id of each of the 256 bytes: k + 1 for symbol number k, 255 for everything else."""
    table = np.full(256, _OUTSIDE, dtype=np.uint8)
    table[np.frombuffer("".join(vocabulary.symbols).encode(), np.uint8)] = np.arange(1, len(vocabulary) + 1)
    return table


def _padded_bytes(texts: pa.ChunkedArray, vocabulary: Vocabulary) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """As `_inputs`, of a bytewise alphabet."""
    table = _id_table(vocabulary)
    pieces = [flat_text(chunk) for chunk in texts.cast(pa.large_string()).chunks]
    lengths = np.concatenate([np.diff(offsets) for _, offsets in pieces])
    if not lengths.all():
        raise InvalidInputError(f"empty text in row {int(lengths.argmin())}; a sequence has a symbol or more")
    padded = np.empty((len(lengths), lengths.max()), dtype=np.uint8)
    row = 0
    for characters, offsets in pieces:
        for start in range(0, len(offsets) - 1, _ROWS_AT_ONCE):
            part = offsets[start : start + _ROWS_AT_ONCE + 1]
            ids = np.take(table, characters[part[0] : part[-1]])
            if (ids == _OUTSIDE).any():
                where = int((ids == _OUTSIDE).argmax())
                wrong = row + int(np.searchsorted(part - part[0], where, side="right")) - 1
                _refuse(texts[wrong].as_py(), wrong, vocabulary)
            stop = row + len(part) - 1
            padded[row:stop] = _padded(ids, part - part[0], padded.shape[1])
            row = stop
    return padded, lengths


def _padded(ids: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """The rows (N, width) that `offsets` (N + 1,) cut from `ids`.

    Each row is copied with `width` bytes, the beginning of the next ones included, which are then set to padding:
    two passes that NumPy does in whole rows, where a gather by element would be far slower.
    """
    beyond_the_last = np.full(width, PAD_ID, np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([ids, beyond_the_last]), width)
    lengths = np.diff(offsets)
    rows: NDArray[np.uint8] = windows[offsets[:-1]]
    tail = np.arange(lengths.min(), width)
    rows[:, lengths.min() :] *= tail < lengths[:, None]
    return rows


def _refuse(text: str, row: int, vocabulary: Vocabulary) -> None:
    position = next(i for i, symbol in enumerate(text) if symbol not in vocabulary.ids)
    symbols = "".join(vocabulary.symbols)
    raise InvalidInputError(
        f"symbol {text[position]!r} at position {position} of row {row}; the vocabulary is {symbols!r}"
    )

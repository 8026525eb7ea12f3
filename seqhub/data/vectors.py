"""Files of labelled sequences of real vectors, such as images and embedded texts.

    input_values   list of steps, each a list of numbers of the same length
    label          a text or a number, the name of the class (see `labels`)
    split          train, validation, test or a missing value; optional column

The file is Parquet, as from `write_vectors`, or any other format of `table_reader`. Rows are assigned to splits by
their values as little-endian float32, see `assignment`.
"""

from collections.abc import Iterable
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.assignment import assign
from seqhub.data.collate import collate_table
from seqhub.data.table_reader import read_table
from seqhub.data.user_table import SPLIT_COLUMN, UserTable, parse_split
from seqhub.errors import InvalidInputError, OutputExistsError
from seqhub.io import write_atomically
from seqhub.tasks.schema import CUSTOM, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows

_MAX_VALUES = 1 << 28  # of all rows, padded to the longest: 1 GiB
_ROWS_AT_ONCE = 1024


class VectorRow(NamedTuple):
    """Labelled sequence."""

    values: NDArray[np.float32]  # (T, F)
    label: str
    split: str | None = None


def write_vectors(file: Path, rows: Iterable[VectorRow], *, overwrite: bool = False) -> dict[str, int]:
    """Write rows to a Parquet file for `read_vectors`.

    Returns:
        Number of rows of each split, "" for rows without a split.

    Raises:
        OutputExistsError: The file exists and `overwrite` is False.
        InvalidInputError: No rows, or steps of different widths; nothing is written.
        SaveError: The disk is full; the previous file is unchanged.
    """
    if file.exists() and not overwrite:
        raise OutputExistsError(f"{file} exists; overwrite it, or choose another file")
    buffer, counts = BytesIO(), dict.fromkeys(("", *SPLITS), 0)
    writer: pq.ParquetWriter | None = None
    rest, width = iter(rows), 0
    while part := list(islice(rest, _ROWS_AT_ONCE)):
        if writer is None:
            width = part[0].values.shape[1]
            steps = pa.list_(pa.list_(pa.float32(), width))
            schema = pa.schema([("input_values", steps), ("label", pa.string()), ("split", pa.string())])
            writer = pq.ParquetWriter(buffer, schema, compression="zstd")
        for row in part:
            counts[row.split or ""] += 1
            if row.values.shape[1] != width:
                raise InvalidInputError(f"steps of {row.values.shape[1]} values after steps of {width}; need one width")
        flat = pa.array(np.concatenate([row.values.ravel() for row in part]))
        offsets = np.cumsum([0, *(len(row.values) for row in part)], dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat, width))
        columns = [values, pa.array([row.label for row in part]), pa.array([row.split for row in part], pa.string())]
        writer.write_table(pa.table(columns, schema=writer.schema))
    if writer is None:
        raise InvalidInputError(f"no rows for {file}; need at least one")
    writer.close()
    write_atomically(file, buffer.getvalue())
    return {name: count for name, count in counts.items() if count}


def read_vectors(file: Path) -> FileRows:
    """Return the rows of a file of vectors by split.

    Raises:
        InvalidInputError: No such file, another format, missing columns, values that are not finite, steps of different
            widths, or too few rows or classes. The message has file and position.
    """
    table = read_table(file)
    try:
        schema, whole, named = _read(table)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error
    contents = [
        (values[:n] + np.float32(0)).astype("<f4").tobytes()  # adding 0 changes -0.0 to 0.0
        for values, n in zip(whole.inputs, whole.lengths, strict=True)
    ]
    places = assign(contents, named, "sequences", file)
    seen = set(whole.labels[places == 0].tolist())
    missing = next((name for number, name in enumerate(schema.labels) if number not in seen), None)
    if missing is not None:
        raise InvalidInputError(f"label {missing!r} of {file} has no training row; add rows with this label")
    return FileRows(schema, {name: whole[np.flatnonzero(places == place)] for place, name in enumerate(SPLITS)})


def _read(given: UserTable) -> tuple[TaskSchema, Batch, list[str | None]]:
    """Return the schema, all rows, and the value of the column `split` of each row."""
    table = given.columns
    if "input_values" in table.column_names:
        place = table.column_names.index("input_values")
        table = table.set_column(place, "input_values", given.column("input_values"))
    lists = table.column("input_values") if "input_values" in table.column_names else None
    first = lists[0].as_py() if lists is not None and len(lists) and pa.types.is_nested(lists.type) else None
    width = len(first[0]) if first and isinstance(first[0], list) else 0
    numbers, names = _labels(given)
    schema = TaskSchema(step_shape=(max(1, width),), labels=names)
    longest = pc.max(pc.list_value_length(lists)).as_py() if width else 0
    if longest > CUSTOM.length[1] or table.num_rows * longest * width > _MAX_VALUES:
        raise InvalidInputError(
            f"{table.num_rows:,} rows of up to {longest:,} steps of {width:,} values; allowed: {CUSTOM.length[1]:,} "
            f"steps in a row, and {_MAX_VALUES:,} values in all rows, padded to the longest"
        )
    place = table.column_names.index("label")
    arrays = collate_table(table.set_column(place, "label", pa.array(numbers)), schema)
    named: list[str | None] = [None] * table.num_rows
    if SPLIT_COLUMN in table.column_names:
        values = given.texts(SPLIT_COLUMN).to_pylist()
        named = [parse_split(split, partial(_row, given, row)) for row, split in enumerate(values)]
    return schema, Batch(arrays.inputs, arrays.lengths, arrays.labels), named


def _row(table: UserTable, row: int) -> str:
    """Return the position of a row, without the file, which begins the message."""
    return table.where(row).removesuffix(f" of {table.file}")


def _labels(table: UserTable) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return class numbers (N,) and names."""
    names_of_columns = table.columns.column_names
    if "label" not in names_of_columns:
        raise InvalidInputError(f"columns {', '.join(names_of_columns)}; need input_values and label")
    given = []
    for row, value in enumerate(table.texts("label").to_pylist()):
        try:
            text = labels.label_text(value)
        except TypeError:
            raise InvalidInputError(f"label {value!r} in {_row(table, row)}; need texts or numbers") from None
        if text is None:
            raise InvalidInputError(f"no label in {_row(table, row)}; need one in every row")
        given.append(text)
    classes, names = labels.class_names(given)
    if not 2 <= len(names) <= labels.MAX_CLASSES:
        raise InvalidInputError(f"{len(names):,} different labels; need 2 to {labels.MAX_CLASSES:,}")
    number = {text: names.index(name) for text, name in classes.items()}
    return np.array([number[text] for text in given]), names

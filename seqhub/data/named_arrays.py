"""Named arrays as columns of a table: NumPy's .npz files and dictionaries of arrays."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.data.user_table import SPLIT_COLUMN
from seqhub.errors import InvalidInputError

_OF_A_SPLIT = re.compile(r"(.*?)_?(train|training|valid|validation|val|dev|test)", re.IGNORECASE)
_SPLITS = {"training": "train", "valid": "validation", "val": "validation", "dev": "validation"}


def read_npz(file: Path) -> pa.Table:
    """Return the arrays of a file as a table.

    Raises:
        InvalidInputError: See `table_of_columns`; or the file cannot be read.
    """
    columns: dict[str, pa.Array] = {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                columns[name] = array_column(arrays[name], name, file)
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidInputError(f"{file} cannot be read as NumPy's .npz: {str(error).partition(chr(10))[0]}") from None
    return table_of_columns(columns, "arrays", str(file))


def array_column(array: NDArray[Any], name: str, file: Path) -> pa.Array:
    """Return an array with one entry for each row as a column: numbers, texts, or nested lists of numbers."""
    if array.dtype.kind not in "biufU" or not 1 <= array.ndim <= 3:
        raise InvalidInputError(
            f"array {name!r} of {file} has {array.ndim} dimensions of type {array.dtype}; need (rows,), (rows, steps) "
            "or (rows, steps, features) of numbers or texts"
        )
    column = pa.array(array.reshape(-1).tolist() if array.dtype.kind == "U" else array.reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def table_of_columns(columns: Mapping[str, pa.Array], what: str, name: str) -> pa.Table:
    """Return a table of columns with one entry for each row.

    If all names end with a split, as in `x_train` and `x_test`, the columns are those of `x` with a column `split`.

    Args:
        columns: Columns by name.
        what: The word for columns in messages.
        name: The file or object, for messages.

    Raises:
        InvalidInputError: No columns, or different numbers of entries.

    >>> arrays = {"x_train": pa.array([1, 2]), "x_test": pa.array([3])}
    >>> table_of_columns(arrays, "arrays", "a.npz").to_pydict()
    {'x': [1, 2, 3], 'split': ['train', 'train', 'test']}
    """
    by_split: dict[str, dict[str, pa.Array]] = {}
    for key, column in columns.items():
        found = _OF_A_SPLIT.fullmatch(key)
        if found is None or not found[1]:
            return _of_equal_sizes(columns, what, name)
        split = _SPLITS.get(found[2].lower(), found[2].lower())
        by_split.setdefault(split, {})[found[1]] = column
    names = [set(part) for part in by_split.values()]
    if "train" not in by_split or any(part != names[0] for part in names[1:]):
        return _of_equal_sizes(columns, what, name)
    tables = []
    for split, part in by_split.items():
        shown = {f"{key} for {split}": column for key, column in part.items()}
        size = _of_equal_sizes(shown, what, name).num_rows
        tables.append(pa.table({**part, SPLIT_COLUMN: pa.array([split] * size, pa.string())}))
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"{what} of the splits of {name} have different types: {reason}") from None


def _of_equal_sizes(columns: Mapping[str, pa.Array], what: str, name: str) -> pa.Table:
    sizes = {key: len(column) for key, column in columns.items()}
    if not columns or len(set(sizes.values())) > 1:
        shown = ", ".join(f"{key} with {size:,}" for key, size in sizes.items())
        raise InvalidInputError(f"{what} {shown or 'none'} in {name}; need {what} with one entry for each row")
    return pa.table(dict(columns))

"""Tables with one step in each row: the rows of each id become one row with lists."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqhub.data.table_reader import read_table
from seqhub.data.user_table import SPLIT_COLUMN, UserTable
from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from seqhub.data.file_kinds import FileOptions


def read_grouped(file: Path, options: "FileOptions") -> UserTable:
    """Return the table of a file; one with an `id` has one row for each of its values.

    A column becomes a column of lists, unless it has one value for each id. Inputs are always lists. A target, a group
    and a split must have one value for each id, except for a target of which most ids have several values: those are
    labels of the steps.

    Raises:
        InvalidInputError: See `table_reader.read_table`; or a missing id or place in the order, or several values.
    """
    table = read_table(file, options.separator, options.header)
    if options.id is not None:
        table = group_rows(table, options)
    return table if options.label_separator is None else _with_label_lists(table, options)


def _with_label_lists(table: UserTable, options: "FileOptions") -> UserTable:
    """Return a table in which the texts of the target are lists of labels; an empty text has none."""
    assert options.label_separator is not None
    columns = table.columns
    for name in options.target:
        if name not in columns.column_names:
            continue  # an error of `choose_columns`
        texts = table.texts(name)
        if not pa.types.is_large_string(texts.type):
            raise InvalidInputError(f"--label-separator: column {name!r} of {table.file} has no texts; omit the option")
        cells = pc.fill_null(texts, "").to_pylist()
        lists = [[label for each in cell.split(options.label_separator) if (label := each.strip())] for cell in cells]
        column = pa.array(lists, pa.large_list(pa.large_string()))
        columns = columns.set_column(columns.column_names.index(name), name, column)
    return UserTable(table.file, columns, table.lines, table.images, table.found)


def group_rows(table: UserTable, options: "FileOptions") -> UserTable:
    """Return a table with one row for each value of the column `options.id`, in the order of their first rows."""
    names = table.columns.column_names
    for option in ("id", "order"):
        name = getattr(options, option)
        if name is not None and name not in names:
            shown = ", ".join(map(repr, names[:12]))
            raise InvalidInputError(f"--{option} {name}: no such column; columns {shown} of {table.file}")
    assert options.id is not None
    ids = table.keys(options.id).combine_chunks().dictionary_encode()
    _require_values(ids.indices, options.id, table)
    codes = np.array(ids.indices.to_numpy(zero_copy_only=False), np.int64)
    order = np.argsort(codes, kind="stable")
    scattered = int((codes[1:] != codes[:-1]).sum()) + 1 - len(ids.dictionary)
    if options.order is not None:
        places = table.column(options.order)
        _require_values(places, options.order, table)
        ranks = pc.rank(places.combine_chunks(), tiebreaker="dense").to_numpy()
        order = np.lexsort((ranks, codes))  # equal places stay in the order of the file
    counts = np.bincount(codes)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    first = np.full(len(counts), len(codes))
    np.minimum.at(first, codes, np.arange(len(codes)))
    columns: dict[str, Any] = {}
    for name in names:
        if name == options.order:
            continue
        if name == options.id:
            columns[name] = table.columns.column(name).take(pa.array(first))
            continue
        column = table.texts(name).take(pa.array(order))
        several = _several(column, codes[order])
        columns[name] = column.take(pa.array(offsets[:-1]))
        if name in options.inputs or (name not in (options.group, options.time, SPLIT_COLUMN) and several.any()):
            if name not in options.inputs:
                _require_one_of_most(name, several, counts, column, offsets, ids, table, options)
            values = table.column(name).take(pa.array(order)).combine_chunks()
            columns[name] = pa.LargeListArray.from_arrays(pa.array(offsets), values)
        elif several.any() and name != options.time:
            raise InvalidInputError(_message(name, int(several.argmax()), column, offsets, ids, table))
    found = {"long_form": {"rows": len(codes), "ids": len(counts), "scattered": scattered}}
    lines = None if table.lines is None else table.lines[first]
    return UserTable(table.file, pa.table(columns), lines, table.images, found)


def _require_values(column: Any, name: str, table: UserTable) -> None:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no value in column {name!r} in {table.where(row)}; need one in every row")


def _several(column: pa.ChunkedArray, codes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids have several values of a column whose rows are ordered by id; missing values are one value."""
    if pa.types.is_nested(column.type):
        return np.ones(int(codes[-1]) + 1, np.bool_)
    values = column.combine_chunks().dictionary_encode(null_encoding="encode").indices.to_numpy(zero_copy_only=False)
    differs = (values[1:] != values[:-1]) & (codes[1:] == codes[:-1])
    found = np.zeros(int(codes[-1]) + 1, np.bool_)
    found[codes[1:][differs]] = True
    return found


def _require_one_of_most(
    name: str,
    several: NDArray[np.bool_],
    counts: NDArray[np.int64],
    column: pa.ChunkedArray,
    offsets: NDArray[np.int64],
    ids: Any,
    table: UserTable,
    options: "FileOptions",
) -> None:
    """Raise InvalidInputError for a target that most ids, but not all, have one value of."""
    possible = counts > 1
    if name in options.target and 2 * int(several.sum()) < int(possible.sum()):
        raise InvalidInputError(_message(name, int(several.argmax()), column, offsets, ids, table))


def _message(
    name: str, number: int, column: pa.ChunkedArray, offsets: NDArray[np.int64], ids: Any, table: UserTable
) -> str:
    values = column[int(offsets[number]) : int(offsets[number + 1])].to_pylist()
    other = next(value for value in values if value != values[0])
    shown = ids.dictionary[number].as_py()
    return (
        f"values {values[0]!r} and {other!r} in column {name!r} for the id {shown!r} of {table.file}; need one value "
        "for each id, as most have"
    )

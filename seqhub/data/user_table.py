"""Columns of a table in any format: the same values of texts, numbers and lists."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

ColumnKind = Literal["number", "text", "numbers", "words", "steps", "empty", "other"]

SPLIT_COLUMN = "split"  # optional column with the split of each row
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")  # in any case, in columns of numbers


@dataclass(frozen=True)
class UserTable:
    """Columns of a file.

    Args:
        file: The file, for error messages.
        columns: Columns as in the file; texts are not interpreted, see `column`.
        lines: Line of each row in the file, counted from 1; None for formats without lines.
        images: Names of the columns that have lists of the pixel columns of images.
        found: Counts of what was found in the file, for records.
    """

    file: Path
    columns: pa.Table
    lines: NDArray[np.int64] | None = None
    images: tuple[str, ...] = ()
    found: Mapping[str, Any] = field(default_factory=dict)
    _kinds: dict[str, ColumnKind] = field(default_factory=dict, repr=False, compare=False)
    _lists: dict[str, pa.ChunkedArray] = field(default_factory=dict, repr=False, compare=False)

    def where(self, row: int) -> str:
        """Return the position of a row for messages."""
        return f"row {row} of {self.file}" if self.lines is None else f"line {self.lines[row]} of {self.file}"

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of texts, numbers (float64), or lists of these, in the same way for every format."""
        if name in self._lists:
            return self._lists[name]
        plain = _plain(self.columns.column(name))
        found = _interpreted(plain)
        if pa.types.is_large_list(found.type) and not pa.types.is_large_list(plain.type):
            self._lists[name] = found  # parsed from texts, which takes long
        return found

    def keys(self, name: str) -> pa.ChunkedArray:
        """Return a column of names, such as those of groups: the texts of `texts`, with null for empty ones."""
        column = self.texts(name)
        if not pa.types.is_large_string(column.type):
            return column
        return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)

    def kind(self, name: str) -> ColumnKind:
        """Return the kind of the values of a column, see `column_kind`."""
        if name not in self._kinds:
            self._kinds[name] = column_kind(self.column(name))
        return self._kinds[name]

    def texts(self, name: str) -> pa.ChunkedArray:
        """Return a column as in the file, without the interpretation of texts as numbers or lists."""
        column = self.columns.column(name)
        if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):  # so that 0.1 stays 0.1
            column = column.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
        return _plain(column)


def column_kind(column: pa.ChunkedArray) -> ColumnKind:
    """Return the kind of the values of a column: numbers, texts, lists of numbers or words, or lists of steps."""
    kind, types = column.type, pa.types
    if column.null_count == len(column):
        return "empty"
    if types.is_large_list(kind):
        inner = kind.value_type
        if types.is_large_list(inner):
            return "steps" if types.is_floating(inner.value_type) or types.is_integer(inner.value_type) else "other"
        if types.is_large_string(inner):
            return "words"
        return "numbers" if types.is_floating(inner) or types.is_integer(inner) or types.is_boolean(inner) else "other"
    if types.is_floating(kind) or types.is_integer(kind):
        return "number"
    return "text" if types.is_large_string(kind) else "other"


def parse_split(value: Any, where: Callable[[], str]) -> str | None:
    """Return the split in the column `split` of a row; None for a missing value.

    Args:
        value: The value.
        where: Returns the position of the row, for the message.

    Raises:
        InvalidInputError: Another value.
    """
    if value is None or value != value or value == "":
        return None
    if value not in SPLITS:
        raise InvalidInputError(f"split {value!r} in {where()}; need {', '.join(SPLITS)} or nothing")
    return str(value)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with one type for each kind of value: large texts, float64, and large lists of these."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    wanted = _plain_type(kind)
    return column if wanted == kind else column.cast(wanted)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_nested(kind) and not types.is_struct(kind) and not types.is_map(kind) and not types.is_union(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    if types.is_boolean(kind) or types.is_integer(kind):  # the classes of these columns have other names
        return kind
    return pa.large_string() if not types.is_null(kind) and not types.is_struct(kind) else kind


def _interpreted(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the numbers or lists of a column of texts; other columns and texts are returned unchanged."""
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return column.cast(pa.int64()).cast(pa.float64(), safe=False)
    if not pa.types.is_large_string(column.type):
        return column
    for convert in (_numbers_of, _lists_of):
        chunks: list[pa.Array] = []
        for chunk in column.chunks:  # texts are recognised in the first part of a large table
            found = convert(_without_missing(chunk))
            if found is None:
                break
            chunks.append(found)
        else:
            if all(each.null_count == len(each) for each in chunks):
                return column
            try:
                return pa.concat_tables([pa.table([each], [""]) for each in chunks], promote_options="permissive")[0]
            except pa.ArrowException:
                continue
    return column


def _without_missing(texts: pa.Array) -> pa.Array:
    """Return stripped texts, with null for `MISSING`."""
    stripped = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.is_in(pc.utf8_lower(stripped), pa.array(MISSING, pa.large_string())), None, stripped)


def _numbers_of(texts: pa.Array) -> pa.Array | None:
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None


def _lists_of(texts: pa.Array) -> pa.Array | None:
    """Return the lists of texts in JSON; None unless all are."""
    if not pc.all(pc.starts_with(texts, "[")).as_py() and texts.null_count < len(texts):  # missing values do not count
        return None
    try:
        lists = pa.array([None if value is None else json.loads(value) for value in texts.to_pylist()])
        return lists.cast(_plain_type(lists.type))
    except (ValueError, RecursionError, pa.ArrowException):
        return None

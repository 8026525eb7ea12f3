"""Evaluation of filters, searches and orders over the columns of a split."""

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.split import Indices, Split
from seqhub.server.viewer.where import (
    Column,
    Combined,
    Compare,
    Constant,
    Expression,
    IsIn,
    IsNull,
    Like,
    Not,
    Order,
    columns_of,
    position_error,
)

MAX_SELECTED: Final = 10_000  # rows up to which a sorted page is selected instead of sorting all rows
_FUNCTIONS = {
    "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip


def matching_rows(split: Split, expression: Expression) -> Indices:
    """Return the indices of the rows for which a filter is true, in order.

    Comparisons with null are null, as in SQL; AND, OR and NOT have three values.
    """
    columns = columns_of(expression)
    for column in columns:
        type_of(split, column, "where")
    names = sorted({column.names[0] for column in columns})
    filter_ = _Filter(split, expression)
    found = [_true(filter_.mask(batch), start) for start, batch in split.batches(names)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def search_rows(split: Split, text: str) -> Indices:
    """Return the indices of the rows with a text in any column of strings, in any case; also inside of lists."""
    names = [field.name for field in split.schema if _has_text(field.type)]
    found = []
    for start, batch in split.batches(names):
        masks = [_contains(column, text) for column in batch.columns]
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.or_(mask, other)
        found.append(_true(mask, start))
    return np.concatenate(found) if found else np.empty(0, np.int64)


def has_text(split: Split) -> bool:
    """Return whether a split has a column that can be searched."""
    return any(_has_text(field.type) for field in split.schema)


def sorted_page(split: Split, rows: Indices | None, order: Order, offset: int, length: int) -> Indices:
    """Return the indices of a page of sorted rows. Equal values are in order of the rows; null and NaN come last.

    Args:
        split: The split.
        rows: Indices of the rows to sort, in order; None for all rows.
        order: Column and direction.
        offset: First row of the page.
        length: Maximum number of rows of the page.
    """
    arrow = type_of(split, order.column, "orderby")
    if pa.types.is_nested(arrow) or pa.types.is_null(arrow):
        raise position_error("orderby", order.column.position, f"a column of type {arrow} cannot be sorted")
    pieces, at = [], 0
    for start, batch in split.batches([order.column.names[0]]):
        values = field_of(batch, order.column)
        if rows is not None:
            end = int(np.searchsorted(rows, start + batch.num_rows))
            values = values.take(pa.array(rows[at:end] - start))
            at = end
        pieces.append(_sortable(values))
    count = split.num_rows if rows is None else len(rows)
    values = pa.chunked_array(pieces) if pieces else pa.chunked_array([], arrow)
    table = pa.table({"value": values, "row": np.arange(count)})
    keys = [("value", "descending" if order.descending else "ascending"), ("row", "ascending")]
    end = min(offset + length, count)
    if offset >= end:
        return np.empty(0, np.int64)
    if end <= MAX_SELECTED:
        places = pc.select_k_unstable(table, end, keys).to_numpy()[offset:end]
    else:
        places = pc.sort_indices(table, keys).to_numpy()[offset:end]
    page: Indices = places.astype(np.int64)
    return page if rows is None else rows[page]


def type_of(split: Split, column: Column, parameter: str) -> pa.DataType:
    """Return the type of a column or of a field of a struct column.

    Raises:
        ViewerError: There is no such column; the message lists the columns.
    """
    fields: Any = split.schema
    path = ""
    for name in column.names:
        names = [field.name for field in fields] if isinstance(fields, (pa.Schema, pa.StructType)) else []
        if name not in names:
            known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "") if names else "none"
            what = f"{path} has no field {name!r}" if path else f"there is no column {name!r}"
            raise position_error(parameter, column.position, f"{what}; allowed: {known}")
        fields = fields.field(name).type
        path = f"{path}.{name}" if path else name
    return fields


def field_of(batch: pa.RecordBatch, column: Column) -> pa.Array:
    """Return the values of a column or of a field of a struct column."""
    values = batch.column(column.names[0])
    for name in column.names[1:]:
        values = pc.struct_field(values, name)
    return values


class _Filter:
    """Filter whose values are converted to the types of the columns once."""

    def __init__(self, split: Split, expression: Expression) -> None:
        self._split = split
        self._expression = expression
        self._values: dict[tuple[Column, Constant], pa.Scalar] = {}

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        return self._mask(batch, self._expression)

    def _mask(self, batch: pa.RecordBatch, expression: Expression) -> pa.Array:
        if isinstance(expression, Not):
            return pc.invert(self._mask(batch, expression.operand))
        if isinstance(expression, Combined):
            combine = pc.and_kleene if expression.operator == "AND" else pc.or_kleene
            mask = self._mask(batch, expression.operands[0])
            for operand in expression.operands[1:]:
                mask = combine(mask, self._mask(batch, operand))
            return mask
        values = field_of(batch, expression.column)
        if isinstance(expression, IsNull):
            return pc.is_null(values)
        if isinstance(expression, Compare):
            value = self._value(expression.column, expression.value)
            return _FUNCTIONS[expression.operator](*_comparable(values, value))
        if isinstance(expression, IsIn):
            mask = None
            for constant in expression.values:
                equal = pc.equal(*_comparable(values, self._value(expression.column, constant)))
                mask = equal if mask is None else pc.or_kleene(mask, equal)
            return mask
        self._require_text(expression)
        return pc.match_like(_text(values), str(expression.pattern.value), ignore_case=expression.ignore_case)

    def _require_text(self, expression: Like) -> None:
        arrow = type_of(self._split, expression.column, "where")
        if not _is_text(arrow):
            problem = f"LIKE needs a column of strings; {'.'.join(expression.column.names)} is {arrow}"
            raise position_error("where", expression.column.position, problem)

    def _value(self, column: Column, constant: Constant) -> pa.Scalar:
        key = column, constant
        if key not in self._values:
            self._values[key] = _converted(type_of(self._split, column, "where"), column, constant)
        return self._values[key]


def _converted(arrow: pa.DataType, column: Column, constant: Constant) -> pa.Scalar:
    """Return a value of an expression as a scalar that can be compared with a column."""
    types, value = pa.types, constant.value
    arrow = arrow.value_type if types.is_dictionary(arrow) else arrow
    is_number = not isinstance(value, (bool, str))
    try:
        if types.is_boolean(arrow) and isinstance(value, bool):
            return pa.scalar(value)
        if types.is_integer(arrow) and is_number:
            return (
                pa.scalar(value, pa.int64())
                if isinstance(value, int) and -(2**63) <= value < 2**63
                else pa.scalar(float(value))
            )
        if (types.is_floating(arrow) or types.is_decimal(arrow)) and is_number:
            return pa.scalar(float(value))
        if _is_text(arrow) and isinstance(value, str):
            return pa.scalar(value, arrow)
        if types.is_temporal(arrow) and isinstance(value, str):
            return pa.scalar(value).cast(arrow)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
        name = ".".join(column.names)
        raise position_error("where", constant.position, f"{value!r} is not a value of {name} ({arrow})") from None
    given = "a number" if is_number else "a string" if isinstance(value, str) else "a boolean"
    name = ".".join(column.names)
    raise position_error("where", constant.position, f"{name} ({arrow}) cannot be compared with {given}")


def _comparable(values: pa.Array, value: pa.Scalar) -> tuple[pa.Array, pa.Scalar]:
    """Return both sides in types that Arrow can compare without loss."""
    types = pa.types
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_decimal(values.type) or types.is_float16(values.type):
        values = values.cast(pa.float64())
    if types.is_uint64(values.type) and types.is_int64(value.type):
        value = pa.scalar(value.as_py(), pa.uint64()) if value.as_py() >= 0 else pa.scalar(float(value.as_py()))
    if types.is_integer(values.type) and types.is_floating(value.type):
        values = values.cast(pa.float64(), safe=False)
    return values, value


def _sortable(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        return values.dictionary_decode()
    return values.cast(pa.float32()) if pa.types.is_float16(values.type) else values


def _true(mask: pa.Array, start: int) -> Indices:
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).astype(np.int64) + start


def _is_text(arrow: pa.DataType) -> bool:
    types = pa.types
    arrow = arrow.value_type if types.is_dictionary(arrow) else arrow
    return bool(types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow))


def _has_text(arrow: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow):
        return _has_text(arrow.value_type)
    if types.is_struct(arrow):
        return any(_has_text(field.type) for field in arrow)
    return _is_text(arrow)


def _text(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _contains(values: pa.Array, text: str) -> pa.Array:
    """Return which rows contain a text, false for null."""
    types = pa.types
    if types.is_list(values.type) or types.is_large_list(values.type) or types.is_fixed_size_list(values.type):
        mask = np.zeros(len(values), bool)
        inside = pc.fill_null(_contains(pc.list_flatten(values), text), False).to_numpy(zero_copy_only=False)
        mask[pc.list_parent_indices(values).to_numpy()[inside]] = True
        return pa.array(mask)
    if types.is_struct(values.type):
        masks = [_contains(pc.struct_field(values, f.name), text) for f in values.type if _has_text(f.type)]
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.or_(mask, other)
        return mask
    values = _text(values)
    ignore_case = bool(re.search(r"[^\W\d_]", text))
    return pc.fill_null(pc.match_substring(values, text, ignore_case=ignore_case), False)


def unknown_column(split: Split, name: str) -> ViewerError:
    """Return the error for a column that does not exist."""
    known = ", ".join(split.schema.names[:20])
    return ViewerError(404, "ColumnNotFoundError", f"There is no column {name!r}; allowed: {known}.")

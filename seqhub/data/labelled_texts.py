"""Labelled texts of a table in any format of `table_reader`; words are separated by white space."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from seqhub.data.file_names import looks_like_a_file
from seqhub.data.labels import label_text
from seqhub.data.table_reader import read_table
from seqhub.data.user_table import SPLIT_COLUMN, UserTable, parse_split
from seqhub.errors import InvalidInputError

_ROWS_AT_ONCE = 10_000


class TextRow(NamedTuple):
    """Labelled text."""

    text: str  # words separated by single spaces
    label: str  # see `labels.label_text`
    split: str | None


def text_rows(file: Path, text: str, label: str) -> Iterator[TextRow]:
    """Yield the labelled texts of a file in order.

    Args:
        file: A table; one with another suffix than those of `table_reader` is read as CSV.
        text: Column with the texts.
        label: Column with the labels.

    Raises:
        InvalidInputError: The file cannot be read in its format, or a column or a value is missing. The message has the
            file and the line, or the row counted from 0 for formats without lines.
    """
    table = read_table(file, None if looks_like_a_file(file.name) else ",")
    names = table.columns.column_names
    for name in (text, label):
        if name not in names:
            shown = ", ".join(map(repr, names[:10]))
            raise InvalidInputError(f"columns {shown} of {file}; need {name!r} once, or choose another column")
    splits = SPLIT_COLUMN in names and SPLIT_COLUMN not in (text, label)
    for start in range(0, table.columns.num_rows, _ROWS_AT_ONCE):
        columns = [table.texts(name).slice(start, _ROWS_AT_ONCE).to_pylist() for name in (text, label)]
        named = (
            table.texts(SPLIT_COLUMN).slice(start, _ROWS_AT_ONCE).to_pylist() if splits else [None] * len(columns[0])
        )
        for row, (words, value, split) in enumerate(zip(*columns, named, strict=True), start):
            found = split.strip() if isinstance(split, str) else split
            where = partial(table.where, row)
            yield TextRow(_words(words, table, row), _label(value, table, row), parse_split(found, where))


def _words(value: Any, table: UserTable, row: int) -> str:
    if value is not None and not isinstance(value, (str, bool, int, float)):
        raise InvalidInputError(f"text of type {type(value).__name__} in {table.where(row)}; need a text")
    words = "" if value is None or value != value else " ".join(str(value).split())
    if not words:
        raise InvalidInputError(f"no text in {table.where(row)}")
    return _require_text(words, table, row)


def _label(value: Any, table: UserTable, row: int) -> str:
    try:
        found = label_text(value)
    except TypeError:
        kind = type(value).__name__
        raise InvalidInputError(f"label of type {kind} in {table.where(row)}; need a text or a number") from None
    if found is None:
        raise InvalidInputError(f"no label in {table.where(row)}")
    return _require_text(found, table, row)


def _require_text(text: str, table: UserTable, row: int) -> str:
    """Return a text, or raise InvalidInputError for unpaired surrogates, which JSON can contain but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"character {text[error.start]!r} in {table.where(row)}; need a text in UTF-8"
        ) from None
    return text

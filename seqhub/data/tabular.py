"""Readers of tables with labelled rows: CSV, TSV, JSON lines, Parquet and Arrow.

    .csv, or any other suffix    a header and records; quoted line breaks, BOM and CRLF are allowed
    .tsv                         the same with tabs
    .jsonl, .ndjson, .json       one object in each line
    .parquet, .arrow, .feather   columns; these formats are also detected by their first bytes, with any suffix

Empty text, null, NaN and a missing key are missing values. For the classes of a label column, see `labels`. An optional
column `split` has the split of each row, or a missing value (see `assignment`).
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seqhub.data.labels import label_text
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

Format = Literal["csv", "tsv", "json", "parquet", "arrow"]

SPLIT_COLUMN = "split"  # optional column with the split of each row

_MAX_BYTES = 1 << 26
_BOM = b"\xef\xbb\xbf"
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_MAGIC_NUMBERS: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}


class TextRow(NamedTuple):
    """Labelled text."""

    text: str  # words separated by single spaces
    label: str  # see `labels.label_text`
    split: str | None


def detect_format(file: Path, otherwise: Format) -> Format:
    """Return the format of a file by its first bytes or its suffix."""
    try:
        with file.open("rb") as opened:
            first = opened.read(8)
    except OSError:
        first = b""
    found = next((form for magic, form in _MAGIC_NUMBERS.items() if first.startswith(magic)), None)
    return found or _SUFFIXES.get(file.suffix.lower(), otherwise)


def text_rows(file: Path, text: str, label: str) -> Iterator[TextRow]:
    """Yield the labelled texts of a file in order.

    Args:
        file: See the top of this module.
        text: Column with the texts.
        label: Column with the labels.

    Raises:
        InvalidInputError: The file cannot be read in its format, or a column or a value is missing. The message has the
            file and the line, or the row counted from 0 for formats without lines.
    """
    form = detect_format(file, "csv")
    if form in ("csv", "tsv"):
        rows = _separated(file, "," if form == "csv" else "\t", text, label)
    elif form == "json":
        rows = _objects(file, text, label)
    else:
        rows = _columns(arrow_table(file), file, text, label)
    for cells, where in rows:
        yield TextRow(_words(cells[0], where), _label(cells[1], where), parse_split(cells[2], where))


def _words(value: Any, where: str) -> str:
    if value is not None and not isinstance(value, (str, bool, int, float, np.floating)):
        raise InvalidInputError(f"text of type {type(value).__name__} in {where}; need a text")
    words = "" if value is None or value != value else " ".join(str(value).split())
    if not words:
        raise InvalidInputError(f"no text in {where}")
    _require_text(words, where)
    return words


def _label(value: Any, where: str) -> str:
    try:
        found = label_text(value)
    except TypeError:
        raise InvalidInputError(f"label of type {type(value).__name__} in {where}; need a text or a number") from None
    if found is None:
        raise InvalidInputError(f"no label in {where}")
    _require_text(found, where)
    return found


def _require_text(text: str, where: str) -> None:
    """Raise InvalidInputError for unpaired surrogates, which JSON can contain but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"character {text[error.start]!r} in {where}; need a text in UTF-8") from None


def parse_split(value: Any, where: str) -> str | None:
    """Return the split in the column `split` of a row; None for a missing value.

    Raises:
        InvalidInputError: Another value.
    """
    if value is None or value != value or value == "":
        return None
    if value not in SPLITS:
        raise InvalidInputError(f"split {value!r} in {where}; need {', '.join(SPLITS)} or nothing")
    return str(value)


def read_text(file: Path) -> str:
    """Return the text of a UTF-8 file without a BOM; error messages have the file and the byte, counted from 0."""
    try:
        size = file.stat().st_size
        if size > _MAX_BYTES:
            raise InvalidInputError(f"{file} has {size:,} bytes; need {_MAX_BYTES:,} or fewer")
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}") from error
    skipped = len(_BOM) if content.startswith(_BOM) else 0
    wrong = content.find(b"\0")  # UTF-16, most likely
    try:
        text = content[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        first = error.start + skipped
        wrong = first if wrong < 0 else min(wrong, first)
    if wrong >= 0:
        raise InvalidInputError(f"byte 0x{content[wrong]:02x} at position {wrong} of {file}; need a text in UTF-8")
    if not text.strip():
        raise InvalidInputError(f"{file} is empty; need 10 rows or more")
    return text


def arrow_table(file: Path) -> pa.Table:
    """Return the table of a Parquet, Arrow or JSON lines file.

    Raises:
        InvalidInputError: The file cannot be read in its format; the message has the file.
    """
    form = detect_format(file, "parquet")
    if form == "json":
        return _json_table(file)
    if form in ("csv", "tsv"):
        raise InvalidInputError(f"{file} is a {form.upper()} file, without lists; need Parquet, Arrow or JSON lines")
    kind = "Parquet" if form == "parquet" else "Arrow"
    try:
        if form == "parquet":
            return pq.ParquetFile(file).read()  # `read_table` would add columns for folders such as label=1
        content = file.read_bytes()  # not memory-mapped, because the file may be replaced while its rows are in use
        try:
            return pa.ipc.open_file(content).read_all()
        except pa.ArrowInvalid:
            return pa.ipc.open_stream(content).read_all()  # the format of `datasets`
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as {kind}: {reason}") from error


_Rows = Iterator[tuple[tuple[Any, Any, Any], str]]  # text, label and split of each row, and its position for messages


def _separated(file: Path, delimiter: str, text: str, label: str) -> _Rows:
    reader = csv.reader(io.StringIO(read_text(file), newline=""), delimiter=delimiter)
    try:
        header = [name.strip() for name in next(reader)]
        _require_columns(header, (text, label), file)
        places = header.index(text), header.index(label)
        split = (
            header.index(SPLIT_COLUMN)
            if header.count(SPLIT_COLUMN) == 1 and SPLIT_COLUMN not in (text, label)
            else None
        )
        for values in reader:
            if not values:  # an empty line
                continue
            if len(values) != len(header):
                raise InvalidInputError(
                    f"{len(values)} values in line {reader.line_num} of {file}; the header has {len(header)} columns"
                )
            named = None if split is None else values[split].strip()
            yield (values[places[0]], values[places[1]], named), f"line {reader.line_num} of {file}"
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num} of {file} is not valid CSV: {error}") from None


def _objects(file: Path, text: str, label: str) -> _Rows:
    rows = list(_json_lines(file))
    _require_columns(list(dict.fromkeys(name for row, _ in rows for name in row)), (text, label), file)
    for row, where in rows:
        yield (row.get(text), row.get(label), None if SPLIT_COLUMN in (text, label) else row.get(SPLIT_COLUMN)), where


def _json_lines(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number} of {file}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{where} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise InvalidInputError(f'{where} is not a JSON object, as in {{"text": ..., "label": ...}}')
        yield row, where


def _columns(table: pa.Table, file: Path, text: str, label: str) -> _Rows:
    _require_columns(table.column_names, (text, label), file)
    split = table.column_names.count(SPLIT_COLUMN) == 1 and SPLIT_COLUMN not in (text, label)
    names = [pa.nulls(table.num_rows)] if not split else [table.column(SPLIT_COLUMN)]
    columns = [list(_values(column)) for column in (table.column(text), table.column(label), *names)]
    for number, cells in enumerate(zip(*columns, strict=True)):
        yield cells, f"row {number} of {file}"


def _values(column: Any) -> list[Any]:
    """Return the Python values of an Arrow column; float32 and float16 stay NumPy values, so that 0.1 stays 0.1."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        nulls = column.is_null().to_pylist()
        values = column.to_numpy()
        return [None if null else value for null, value in zip(nulls, values, strict=True)]
    found: list[Any] = column.to_pylist()
    return found


def _json_table(file: Path) -> pa.Table:
    rows = [row for row, _ in _json_lines(file)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            steps = pa.list_(pa.list_(pa.float64()))
            columns[name] = pa.array(values, steps) if name == "input_values" else pa.array(_plain(values))
        except (pa.ArrowException, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInputError(f"{file}: column {name} cannot be read: {reason}") from error
    return pa.table(columns)


def _plain(values: list[Any]) -> list[Any]:
    """Return values of one type for an Arrow column; values of several types are converted to texts."""
    kinds = {type(value) for value in values if value is not None}
    return values if len(kinds) <= 1 else [None if value is None else str(value) for value in values]


def label_column(column: Any) -> list[Any]:
    """Return the labels of an Arrow column, for `labels.label_text`."""
    return _values(column)


def _require_columns(given: list[str], needed: tuple[str, ...], file: Path) -> None:
    missing = [name for name in needed if given.count(name) != 1]
    if missing:
        shown = ", ".join(map(repr, given[:10]))
        raise InvalidInputError(f"columns {shown} of {file}; need {missing[0]!r} once, or choose another column")

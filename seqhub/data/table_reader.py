"""Reader of tables in any format: CSV, TSV, JSON lines, Parquet, Arrow, text and NumPy's .npz.

    .csv, .tsv                   a header and records; quoted line breaks, BOM and CRLF are allowed
    .jsonl, .ndjson, .json       one object in each line; or, in a .json file, one list of objects
    .parquet, .arrow, .feather   columns
    .npz                         arrays with one entry for each row; a dictionary of names and arrays
    .txt, or any other suffix    one text in each line

Files with the suffix .gz, .bz2, .xz or .zst are decompressed. Parquet, Arrow, .npz and compressed files are also
detected by their first bytes, with any suffix.

Columns have the same values in every format: a column of texts that are all numbers is a column of numbers, and a
column of texts that are all JSON lists is a column of lists. In a column of numbers, the texts of `MISSING` are
missing values.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError

MISSING = ("", "na", "n/a", "nan", "null", "none", "?")  # in any case, in columns of numbers

_MAX_BYTES = 1 << 31  # of a file after decompression
_ROWS_AT_ONCE = 1 << 14
_BOM = b"\xef\xbb\xbf"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_JSON = (".jsonl", ".ndjson", ".json")
_COMPRESSED: dict[str, tuple[bytes, Callable[[Any], Any]]] = {
    ".gz": (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": (b"BZh", bz2.BZ2File),
    ".xz": (b"\xfd7zXZ\x00", lzma.LZMAFile),
    ".zst": (b"\x28\xb5\x2f\xfd", lambda file: pa.CompressedInputStream(pa.PythonFile(file), "zstd")),
}
_ARROW = (b"ARROW1", b"\xff\xff\xff\xff")
_FILE_SUFFIXES = (*_SEPARATORS, *_JSON, ".parquet", ".arrow", ".feather", ".npz", ".txt", *_COMPRESSED)


def looks_like_a_file(name: str) -> bool:
    """Return whether a name on a command line has the suffix of a file of rows.

    >>> looks_like_a_file("reviews.csv.gz"), looks_like_a_file("qrsu/hard")
    (True, False)
    """
    return Path(name).suffix.lower() in _FILE_SUFFIXES


@dataclass(frozen=True)
class UserTable:
    """Columns of a file.

    Args:
        file: The file, for error messages.
        columns: Columns as in the file; texts are not interpreted, see `column`.
        lines: Line of each row in the file, counted from 1; None for formats without lines.
    """

    file: Path
    columns: pa.Table
    lines: NDArray[np.int64] | None = None

    def where(self, row: int) -> str:
        """Return the position of a row for messages."""
        return f"row {row} of {self.file}" if self.lines is None else f"line {self.lines[row]} of {self.file}"

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of texts, numbers (float64), or lists of these, in the same way for every format."""
        return _interpreted(_plain(self.columns.column(name)))

    def texts(self, name: str) -> pa.ChunkedArray:
        """Return a column as in the file, without the interpretation of texts as numbers or lists."""
        return _plain(self.columns.column(name))


def read_table(file: Path, separator: str | None = None) -> UserTable:
    """Return the table of a file, see the top of this module.

    Args:
        file: The file.
        separator: Separator of the values in a line of a .csv or .tsv file; None for a comma or a tab.

    Raises:
        InvalidInputError: The file is missing, empty, too large, changes while it is read, or cannot be read in its
            format. The message has file and position.
    """
    try:
        before = file.stat()
        table = _read_once(file, separator, before.st_size, before.st_mtime_ns)
        after = file.stat()
    except IsADirectoryError:
        raise InvalidInputError(f"{file} is a folder; need a file") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InvalidInputError(f"{file} changed while it was read; read it again when it is complete")
    if not table.columns.num_rows:
        raise InvalidInputError(f"{file} has no rows; need 10 or more")
    names = table.columns.column_names
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InvalidInputError(f"column {repeated!r} occurs {names.count(repeated)} times in {file}; need other names")
    return table


@lru_cache(maxsize=1)
def _read_once(file: Path, separator: str | None, size: int, changed: int) -> UserTable:
    """Read a file; cached by its size and modification time, because it is read for its kind and then for its rows."""
    return _read(file, separator)


def forget_table() -> None:
    """Free the memory of the table that was read last."""
    _read_once.cache_clear()


def _read(file: Path, separator: str | None) -> UserTable:
    with file.open("rb") as opened:
        first = opened.read(8)
    if first[:4] == b"PAR1":
        return UserTable(file, _arrow(file, "Parquet"))
    if first.startswith(_ARROW):
        return UserTable(file, _arrow(file, "Arrow"))
    if first[:4] == b"PK\x03\x04":
        return UserTable(file, _npz(file))
    suffixes = [each.lower() for each in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in (".parquet", ".arrow", ".feather", ".npz"):
        kind = {".parquet": "Parquet", ".npz": "NumPy's .npz"}.get(suffix, "Arrow")
        raise InvalidInputError(f"{file} cannot be read as {kind}: it starts with other bytes")
    if suffix in _JSON:
        return _json(file, suffix)
    if suffix in _SEPARATORS or separator is not None:
        return _separated(file, separator or _SEPARATORS[suffix])
    return _lines_of_text(file)


@contextmanager
def _open(file: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed if it is compressed."""
    with file.open("rb") as opened:
        first = opened.read(8)
        opened.seek(0)
        wrap = next((wrap for magic, wrap in _COMPRESSED.values() if first.startswith(magic)), None)
        try:
            yield opened if wrap is None else io.BufferedReader(wrap(opened), 1 << 20)
        except (EOFError, lzma.LZMAError, pa.ArrowException, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidInputError(f"{file} cannot be decompressed: {error}") from None


def _text_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their ends; errors have the byte, counted from 0."""
    position = 0
    with _open(file) as opened:
        for raw in opened:
            start = len(_BOM) if not position and raw.startswith(_BOM) else 0
            wrong = raw.find(b"\0")  # UTF-16, most likely
            try:
                text = raw[start:].decode()
            except UnicodeDecodeError as error:
                wrong = error.start + start if wrong < 0 else min(wrong, error.start + start)
            if wrong >= 0:
                where = f"byte 0x{raw[wrong]:02x} at position {position + wrong:,} of {file}"
                raise InvalidInputError(f"{where}; need a text in UTF-8, as `iconv -t UTF-8` writes it")
            position += len(raw)
            if position > _MAX_BYTES:
                raise InvalidInputError(f"{file} has more than {_MAX_BYTES:,} bytes of text; need fewer")
            yield text


@contextmanager
def _long_fields() -> Iterator[None]:
    """Allow fields of any length in the CSV reader, whose default limit is 131,072 characters."""
    before = csv.field_size_limit(_MAX_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separated(file: Path, separator: str) -> UserTable:
    chunks: list[pa.Table] = []
    lines: list[int] = []
    rows: list[list[str]] = []
    reader = csv.reader(_text_lines(file), delimiter=separator, strict=True)
    try:
        with _long_fields():
            header = [name.strip() for name in next(reader, [])]
            _require_header(header, separator, file)
            for values in reader:
                if not values:  # an empty line
                    continue
                if len(values) != len(header):
                    raise InvalidInputError(
                        f"{len(values)} values in line {reader.line_num} of {file}; the header has {len(header)} "
                        f"columns, separated by {separator!r}"
                    )
                rows.append(values)
                lines.append(reader.line_num)
                if len(rows) == _ROWS_AT_ONCE:
                    chunks.append(_strings(rows, header))
                    rows = []
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num} of {file} is not valid CSV: {error}") from None
    chunks.append(_strings(rows, header))
    return UserTable(file, pa.concat_tables(chunks), np.array(lines, np.int64))


def _require_header(header: list[str], separator: str, file: Path) -> None:
    if not any(header):
        raise InvalidInputError(f"{file} is empty; need a header and 10 rows or more")
    if len(header) == 1:
        other = next((each for each in (";", "\t", "|", ",") if each in header[0]), None)
        if other is not None:
            raise InvalidInputError(
                f"one column, {header[0][:60]!r}, in {file}; if its values are separated by {other!r}, give "
                f"--separator {other!r}"
            )


def _strings(rows: list[list[str]], header: list[str]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return pa.Table.from_arrays([pa.array(list(column), pa.large_string()) for column in columns], header)


def _lines_of_text(file: Path) -> UserTable:
    texts, lines = [], []
    for number, line in enumerate(_text_lines(file), start=1):
        if line.strip():
            texts.append(line.rstrip("\r\n"))
            lines.append(number)
    return UserTable(file, pa.table({"text": pa.array(texts, pa.large_string())}), np.array(lines, np.int64))


def _json(file: Path, suffix: str) -> UserTable:
    rows: list[Any] = []
    lines: list[int] | None = []
    source = _text_lines(file)
    start = next((line for line in source if line.strip()), "")
    if suffix == ".json" and start.lstrip().startswith("["):
        try:
            rows, lines = json.loads(start + "".join(source)), None
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{file} is not JSON: {error}") from None
    else:
        source = _text_lines(file)
        for number, line in enumerate(source, start=1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise InvalidInputError(f"line {number} of {file} is not JSON: {error}") from None
                assert lines is not None
                lines.append(number)
    for row, each in enumerate(rows):
        if not isinstance(each, dict):
            where = f"row {row} of {file}" if lines is None else f"line {lines[row]} of {file}"
            raise InvalidInputError(f'{where} is not a JSON object, as in {{"text": ..., "label": ...}}')
    names = list(dict.fromkeys(name for each in rows for name in each))
    columns = {name: _json_column([each.get(name) for each in rows], name, file) for name in names}
    return UserTable(file, pa.table(columns), None if lines is None else np.array(lines, np.int64))


def _json_column(values: list[Any], name: str, file: Path) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and not kinds & {list, dict}:  # numbers and texts, as in a CSV file
        values = [value if value is None else _shown(value) for value in values]
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"column {name!r} of {file} has values of several types: {reason}") from None


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _arrow(file: Path, kind: str) -> pa.Table:
    """Return the table of a Parquet or Arrow file; classes of `datasets` have their names instead of numbers."""
    try:
        if kind == "Parquet":
            table = pq.ParquetFile(file).read()  # `read_table` would add columns for folders such as label=1
        else:
            content = file.read_bytes()  # not memory-mapped, because the file may be replaced while it is in use
            try:
                table = pa.ipc.open_file(content).read_all()
            except pa.ArrowInvalid:
                table = pa.ipc.open_stream(content).read_all()  # the format of `datasets`
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as {kind}: {reason}") from None
    return table


def _npz(file: Path) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    try:
        with np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                columns[name] = _array_column(arrays[name], name, file)
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidInputError(f"{file} cannot be read as NumPy's .npz: {str(error).partition(chr(10))[0]}") from None
    sizes = {name: len(column) for name, column in columns.items()}
    if not columns or len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} with {size:,}" for name, size in sizes.items())
        raise InvalidInputError(f"arrays {shown or 'none'} in {file}; need arrays with one entry for each row")
    return pa.table(columns)


def _array_column(array: NDArray[Any], name: str, file: Path) -> pa.Array:
    if array.dtype.kind not in "biufU" or not 1 <= array.ndim <= 3:
        raise InvalidInputError(
            f"array {name!r} of {file} has {array.ndim} dimensions of type {array.dtype}; need (rows,), (rows, steps) "
            "or (rows, steps, features) of numbers or texts"
        )
    column = pa.array(array.reshape(-1).tolist() if array.dtype.kind == "U" else array.reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


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
    stripped = pc.utf8_trim_whitespace(column)
    known = pc.if_else(pc.is_in(pc.utf8_lower(stripped), pa.array(MISSING, pa.large_string())), None, stripped)
    if known.null_count == len(known):
        return column
    try:
        return known.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    filled = pc.starts_with(known, "[")
    if not pc.all(filled).as_py():  # missing values do not count
        return column
    try:
        lists = [None if value is None else json.loads(value) for value in known.to_pylist()]
        return _plain(pa.chunked_array([pa.array(lists)]))
    except (ValueError, RecursionError, pa.ArrowException):
        return column

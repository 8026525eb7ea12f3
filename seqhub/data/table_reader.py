"""Reader of tables in any format: CSV, TSV, JSON lines, Parquet, Arrow, text and NumPy's .npz.

    .csv, .tsv                   a header and records; quoted line breaks, BOM and CRLF are allowed. Without a header,
                                 the columns are named `column 1`, `column 2` and so on
    .jsonl, .ndjson, .json       one object in each line; or, in a .json file, one list of objects
    .parquet, .arrow, .feather   columns
    .npz                         arrays, see `named_arrays`
    .txt, or any other suffix    one text in each line
    folder                       images with a table metadata.csv, .jsonl or .parquet, see `image_columns`

Files with the suffix .gz, .bz2, .xz or .zst are decompressed. Parquet, Arrow, .npz and compressed files are also
detected by their first bytes, with any suffix.

Columns have the same values in every format, see `user_table`: a column of texts that are all numbers is a column of
numbers, and a column of texts that are all JSON lists is a column of lists. In a column of numbers, the texts of
`MISSING` are missing values. A column of class numbers whose names are in the metadata of `datasets` is a column of
these names.

A table of any size can be read: large ones are memory-mapped, see `scratch`.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seqhub.data.file_names import COMPRESSED, JSON, SEPARATORS
from seqhub.data.image_columns import decode_columns, image_columns, table_of
from seqhub.data.named_arrays import read_npz
from seqhub.data.scratch import gather_tables
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError

Header = Literal["first", "none"]  # line of a CSV file

_MAX_BYTES = 1 << 40  # of a file after decompression
_ROWS_AT_ONCE = 1 << 14
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOM = b"\xef\xbb\xbf"
_FORMATS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (  # in the order of `COMPRESSED`
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"\x28\xb5\x2f\xfd", lambda file: pa.CompressedInputStream(pa.PythonFile(file), "zstd")),
)
_COMPRESSED = dict(zip(COMPRESSED, _FORMATS, strict=True))
_ARROW = (b"ARROW1", b"\xff\xff\xff\xff")


def read_table(file: Path, separator: str | None = None, header: Header = "first") -> UserTable:
    """Return the table of a file, see the top of this module.

    Args:
        file: The file, or a folder of images with a table, see `image_columns`.
        separator: Separator of the values in a line of a .csv or .tsv file; None for a comma or a tab.
        header: Line of such a file that has the names of the columns: the first one or none.

    Raises:
        InvalidInputError: The file is missing, empty, too large, changes while it is read, or cannot be read in its
            format. The message has file and position.
    """
    file = table_of(file)
    with _readable(file):
        status = file.stat()
        table = _read_once(file, separator, header, status.st_size, status.st_mtime_ns)
    if not table.columns.num_rows:
        raise InvalidInputError(f"{file} has no rows; need 10 or more")
    return table


def iterate_tables(
    file: Path, separator: str | None = None, header: Header = "first", rows: int = _ROWS_AT_ONCE
) -> Iterator[UserTable]:
    """Yield the rows of a file in parts, so that memory does not depend on its size.

    Parts have up to `rows` rows. An .npz file and a .json file with one list are read at once. Errors are those of
    `read_table`, except that a file without rows is allowed.
    """
    file = table_of(file)
    with _readable(file):
        yield from _parts(file, separator, header, rows, 1 << 63)


def text_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text in UTF-8 with their ends; errors are those of `read_table`."""
    with _readable(file):
        yield from _text_lines(file, _MAX_BYTES)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Raise InvalidInputError if a file cannot be opened, or has changed at the end."""
    try:
        before = file.stat()
        yield
        after = file.stat()
    except IsADirectoryError:
        raise InvalidInputError(f"{file} is a folder; need a file") from None
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InvalidInputError(f"{file} changed while it was read; read it again when it is complete")


@lru_cache(maxsize=1)
def _read_once(file: Path, separator: str | None, header: Header, size: int, changed: int) -> UserTable:
    """Read a file; cached by its size and modification time, because it is read for its kind and then for its rows."""
    return _read(file, separator, header)


def forget_table() -> None:
    """Free the memory of the table that was read last."""
    _read_once.cache_clear()


def _read(file: Path, separator: str | None, header: Header) -> UserTable:
    lines: list[NDArray[np.int64]] = []
    images: dict[str, None] = {}

    def columns() -> Iterator[pa.Table]:
        for part in _parts(file, separator, header, _ROWS_AT_ONCE, _MAX_BYTES):
            if part.lines is not None:
                lines.append(part.lines)
            images.update(dict.fromkeys(part.images))
            yield part.columns

    table = _joined(list(gather_tables(columns())), file)
    return UserTable(file, table, np.concatenate(lines) if lines else None, tuple(images))


def _joined(parts: list[pa.Table], file: Path) -> pa.Table:
    """Return the concatenation of tables whose columns may differ in type and number, as those of JSON lines can."""
    if all(part.schema.equals(parts[0].schema) for part in parts[1:]):
        return pa.concat_tables(parts)
    names = list(dict.fromkeys(name for part in parts for name in part.column_names))
    for name in names:
        types = {part.schema.field(name).type for part in parts if name in part.column_names}
        if any(pa.types.is_string(kind) for kind in types) and any(pa.types.is_primitive(kind) for kind in types):
            parts = [_with_texts(part, name) for part in parts]  # numbers and texts, as in a CSV file
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"{file} has a column with values of several types: {reason}") from None


def _with_texts(part: pa.Table, name: str) -> pa.Table:
    """Return a table in which the numbers of a column are texts."""
    if name not in part.column_names or not pa.types.is_primitive(part.schema.field(name).type):
        return part
    values = [None if value is None else _shown(value) for value in part.column(name).to_pylist()]
    return part.set_column(part.column_names.index(name), name, pa.array(values, pa.string()))


def _parts(file: Path, separator: str | None, header: Header, rows: int, most: int) -> Iterator[UserTable]:
    """Yield at least one table of a file, of up to `rows` rows. Texts of more than `most` bytes are an error."""
    heights: dict[str, int] = {}  # of the images of a column
    for part in _parts_of_format(file, separator, header, rows, most):
        names = part.columns.column_names
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise InvalidInputError(
                f"column {repeated!r} occurs {names.count(repeated)} times in {file}; need other names"
            )
        images = image_columns(part.columns)
        if images:
            columns = decode_columns(part.columns, images, file, part.lines, heights)
            part = UserTable(file, columns, part.lines, tuple(images))
        yield part


def _parts_of_format(file: Path, separator: str | None, header: Header, rows: int, most: int) -> Iterator[UserTable]:
    with file.open("rb") as opened:
        first = opened.read(8)
    suffixes = [each.lower() for each in file.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if first[:4] == b"PAR1":
        yield from _arrow(file, "Parquet", rows)
    elif first.startswith(_ARROW):
        yield from _arrow(file, "Arrow", rows)
    elif first[:4] == b"PK\x03\x04":
        yield UserTable(file, read_npz(file))
    elif first[:6] == b"\x93NUMPY":
        raise InvalidInputError(
            f"{file} has one array without a name; need an .npz file, as in np.savez(file, x=x, y=y)"
        )
    elif suffix in (".parquet", ".arrow", ".feather", ".npz"):
        kind = {".parquet": "Parquet", ".npz": "NumPy's .npz"}.get(suffix, "Arrow")
        raise InvalidInputError(f"{file} cannot be read as {kind}: it starts with other bytes")
    elif suffix in JSON:
        yield from _json(file, suffix, rows, most)
    elif suffix in SEPARATORS or separator is not None:
        yield from _separated(file, separator or SEPARATORS[suffix], header, rows, most)
    else:
        yield from _lines_of_text(file, rows, most)


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


def _text_lines(file: Path, most: int) -> Iterator[str]:
    """Yield the lines of a UTF-8 file of up to `most` bytes with their ends; errors have the byte, counted from 0."""
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
            if position > most:
                raise InvalidInputError(f"{file} has more than {most:,} bytes of text; need fewer")
            yield text


@contextmanager
def _long_fields() -> Iterator[None]:
    """Allow fields of any length in the CSV reader, whose default limit is 131,072 characters."""
    before = csv.field_size_limit(_MAX_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separated(file: Path, separator: str, first: Header, at_once: int, most: int) -> Iterator[UserTable]:
    lines: list[int] = []
    rows: list[list[str]] = []
    reader = csv.reader(_text_lines(file, most), delimiter=separator, strict=True)
    record = _next_record(reader, file)
    header = [name.strip() for name in record[0] or ()]
    _require_header(header, separator, first, file)
    if first == "none":
        header = [f"column {number}" for number in range(1, len(header) + 1)]
    else:
        record = _next_record(reader, file)
    yielded = False
    while record[0] is not None:
        values, number = record
        record = _next_record(reader, file)
        if not values:  # an empty line
            continue
        if len(values) != len(header):
            raise InvalidInputError(
                f"{len(values)} values in line {number} of {file}; the header has {len(header)} columns, separated by "
                f"{separator!r}"
            )
        rows.append(values)
        lines.append(number)
        if len(rows) == at_once:
            yield UserTable(file, _strings(rows, header), np.array(lines, np.int64))
            rows, lines, yielded = [], [], True
    if rows or not yielded:
        yield UserTable(file, _strings(rows, header), np.array(lines, np.int64))


def _next_record(reader: Any, file: Path) -> tuple[list[str] | None, int]:
    """Return the next record of a CSV reader, None at the end, and the number of its last line."""
    try:
        with _long_fields():  # not around a `yield`, which would change the limit for the consumer
            return next(reader, None), reader.line_num
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num} of {file} is not valid CSV: {error}") from None


def _require_header(header: list[str], separator: str, first: Header, file: Path) -> None:
    if not any(header):
        raise InvalidInputError(f"{file} is empty; need a header and 10 rows or more")
    if first == "first" and _are_values(header):
        raise InvalidInputError(
            f"the first line of {file} has the values {', '.join(map(repr, header[:3]))}{' …' if header[3:] else ''}, "
            "not names of columns; if it is a row, give --header none"
        )
    if len(header) == 1:
        other = next((each for each in (";", "\t", "|", ",") if each in header[0]), None)
        if other is not None:
            raise InvalidInputError(
                f"one column, {header[0][:60]!r}, in {file}; if its values are separated by {other!r}, give "
                f"--separator {other!r}"
            )


def _are_values(header: list[str]) -> bool:
    """Return whether a first line has numbers with a fraction that cannot be names of ordered columns."""
    numbers = [float(cell) for cell in header if _NUMBER.fullmatch(cell)]
    ordered = all(before < after for before, after in pairwise(numbers))
    return not ordered and any(not number.is_integer() for number in numbers)


def _strings(rows: list[list[str]], header: list[str]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return pa.Table.from_arrays([pa.array(list(column), pa.large_string()) for column in columns], header)


def _lines_of_text(file: Path, at_once: int, most: int) -> Iterator[UserTable]:
    lines = ((number, line) for number, line in enumerate(_text_lines(file, most), start=1) if line.strip())
    yielded = False
    while (part := list(islice(lines, at_once))) or not yielded:
        texts = pa.array([line.rstrip("\r\n") for _, line in part], pa.large_string())
        yield UserTable(file, pa.table({"text": texts}), np.array([number for number, _ in part], np.int64))
        yielded = True


def _json(file: Path, suffix: str, at_once: int, most: int) -> Iterator[UserTable]:
    start = next((line for line in _text_lines(file, most) if line.strip()), "")
    if suffix == ".json" and start.lstrip().startswith("["):
        try:
            rows = json.loads("".join(_text_lines(file, most)))
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{file} is not JSON: {error}") from None
        yield _of_objects(file, rows, None)
        return
    lines = ((number, line) for number, line in enumerate(_text_lines(file, most), start=1) if line.strip())
    yielded = False
    while (part := list(islice(lines, at_once))) or not yielded:
        rows = []
        for number, line in part:
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise InvalidInputError(f"line {number} of {file} is not JSON: {error}") from None
        yield _of_objects(file, rows, np.array([number for number, _ in part], np.int64))
        yielded = True


def _of_objects(file: Path, rows: list[Any], lines: NDArray[np.int64] | None) -> UserTable:
    for row, each in enumerate(rows):
        if not isinstance(each, dict):
            where = f"row {row} of {file}" if lines is None else f"line {lines[row]} of {file}"
            raise InvalidInputError(f'{where} is not a JSON object, as in {{"text": ..., "label": ...}}')
    names = list(dict.fromkeys(name for each in rows for name in each))
    columns = {name: _json_column([each.get(name) for each in rows], name, file, lines) for name in names}
    return UserTable(file, pa.table(columns), lines)


def _json_column(values: list[Any], name: str, file: Path, lines: NDArray[np.int64] | None) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and not kinds & {list, dict}:  # numbers and texts, as in a CSV file
        values = [value if value is None else _shown(value) for value in values]
    try:
        return pa.array(values)
    except UnicodeEncodeError as error:  # an unpaired surrogate, which JSON can contain but UTF-8 cannot
        row = next(row for row, value in enumerate(values) if not _is_utf8(value))
        where = f"row {row} of {file}" if lines is None else f"line {lines[row]} of {file}"
        wrong = error.object[error.start]
        raise InvalidInputError(f"character {wrong!r} in column {name!r} in {where}; need a text in UTF-8") from None
    except (pa.ArrowException, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise InvalidInputError(f"column {name!r} of {file} has values of several types: {reason}") from None


def _is_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _arrow(file: Path, kind: str, at_once: int) -> Iterator[UserTable]:
    """Yield the rows of a Parquet or Arrow file."""
    try:
        if kind == "Parquet":  # not `read_table`, which would add columns for folders such as label=1
            with pq.ParquetFile(file) as opened:
                yield from _batches(file, opened.schema_arrow, opened.iter_batches(at_once))
            return
        with pa.OSFile(str(file)) as content:  # not memory-mapped, because the file may be replaced while in use
            try:
                reader = pa.ipc.open_file(content)
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            except pa.ArrowInvalid:
                content.seek(0)
                reader = pa.ipc.open_stream(content)  # the format of `datasets`
                batches = iter(reader)
            parts = (batch.slice(n, at_once) for batch in batches for n in range(0, batch.num_rows, at_once))
            yield from _batches(file, reader.schema, parts)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as {kind}: {reason}") from None


def _batches(file: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[UserTable]:
    """Yield at least one table, with the names of classes instead of their numbers."""
    yielded = False
    for batch in batches:
        yield UserTable(file, _with_class_names(pa.Table.from_batches([batch]), schema))
        yielded = True
    if not yielded:
        yield UserTable(file, schema.empty_table())


def _with_class_names(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the classes of `datasets` as texts; the metadata of the schema has their names."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return table.replace_schema_metadata()
    for place, (name, kind) in enumerate(zip(schema.names, schema.types, strict=True)):
        feature = features.get(name, {}) if isinstance(features, dict) else {}
        inner = feature.get("feature", feature) if isinstance(feature, dict) else {}
        names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
        if not isinstance(names, list):
            continue
        column = table.column(name).combine_chunks()
        if pa.types.is_integer(kind):
            table = table.set_column(place, name, _named(column, names))
        elif pa.types.is_list(kind) and pa.types.is_integer(kind.value_type) and not column.null_count:
            texts = _named(column.flatten(), names)
            offsets = pc.subtract(column.offsets, column.offsets[0])
            table = table.set_column(place, name, pa.ListArray.from_arrays(offsets, texts))
    return table.replace_schema_metadata()


def _named(numbers: pa.Array, names: list[str]) -> pa.Array:
    """Return the names of class numbers; none for others, such as -1."""
    known = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, len(names)))
    return pc.take(pa.array(names, pa.large_string()), pc.if_else(known, numbers, None))

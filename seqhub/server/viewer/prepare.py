"""Data files as Parquet files with small row groups, which can be paged and scanned in bounded memory.

A Parquet file with small row groups is used unchanged. CSV, JSON lines and Parquet files with large row groups are
converted once; the copy is a temporary file, named by content and options, which `gc` removes after a day without use.
"""

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from seqhub.server.viewer.errors import ViewerError

ROWS: Final = 65_536  # maximum number of rows in a row group of a copy
GROUP_BYTES: Final = 16 * 2**20  # approximate maximum size of a row group of a copy, in memory
MAX_GROUP_ROWS: Final = 4 * ROWS  # a Parquet file with larger row groups is converted
MAX_GROUP_BYTES: Final = 64 * 2**20  # uncompressed
MAX_CONVERTED: Final = 256 * 2**20  # bytes of Arrow data in a copy; the rest of the file is omitted
MAX_JSON_ARRAY: Final = 16 * 2**20  # bytes of a JSON file that is not JSON lines
BLOCK: Final = 4 * 2**20
MAX_BLOCK: Final = 32 * 2**20  # maximum length of a line
MAX_COLUMNS: Final = 2_000
_PARTIAL: Final = b"seqhub.partial"
# Errors of JSON lines that do not occur with a larger first block, which determines the types
_LARGER_BLOCK: Final = ("straddling object", "changed from", "unexpected field", "Failed to convert JSON")
_NEXT_TYPE = {pa.null(): pa.bool_(), pa.bool_(): pa.string(), pa.int64(): pa.float64(), pa.float64(): pa.string()}


_Writer = Callable[[Path, Path, dict[str, Any]], None]


class Unreadable(Exception):  # noqa: N818  an intermediate form of ViewerError, without the name of the file
    """Raised for a file that cannot be read in its format."""


def open_prepared(file: dict[str, Any]) -> tuple[Path, pq.ParquetFile]:
    """Open a Parquet file with small row groups and the content of a data file; return its path and reader.

    Args:
        file: `name` in the repository, `path` on disk, `copy` (path of a converted copy), `format`, `separator`.

    Raises:
        ViewerError: The file cannot be read.
    """
    source, copy = Path(file["path"]), Path(file["copy"])
    with reading(file):
        with contextlib.suppress(FileNotFoundError):
            os.utime(copy)  # in use: the garbage collection keeps it
            return copy, open_parquet(copy)
        if file["format"] == "parquet":
            parquet = open_parquet(source)
            if _has_small_groups(parquet.metadata):
                return source, parquet
            write: _Writer = _write_parquet
        else:
            _check_is_text(source)
            write = _write_csv if file["format"] == "csv" else _write_json
        part = copy.with_name(f"{copy.name}.{os.getpid()}")
        try:
            write(source, part, file)
            part.replace(copy)
        finally:
            part.unlink(missing_ok=True)
        return copy, open_parquet(copy)


def is_partial(metadata: pq.FileMetaData) -> bool:
    """Return whether a file is a copy of the first rows of a longer file."""
    return _PARTIAL in (metadata.metadata or {})


@contextlib.contextmanager
def reading(file: dict[str, Any]) -> Iterator[None]:
    """Raise a ViewerError with the name of the file for errors of a block that reads it."""
    kind = {"parquet": "Parquet", "csv": "CSV", "json": "JSON lines"}[file["format"]]
    try:
        yield
    except (Unreadable, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError) as problem:
        text = _one_line(problem, file)
        raise ViewerError(422, "UnreadableFileError", f"{file['name']} is not a readable {kind} file: {text}") from None
    except FileNotFoundError:
        raise ViewerError(
            503, "FileChangedError", f"{file['name']} was removed during the request; try again"
        ) from None
    except OSError as problem:  # Arrow raises it for data that are truncated or not decompressible
        if problem.errno is not None and not isinstance(problem, pa.ArrowException):
            raise
        text = _one_line(problem, file)
        raise ViewerError(422, "UnreadableFileError", f"{file['name']} is not a readable {kind} file: {text}") from None


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file; its pages are read on demand."""
    return pq.ParquetFile(path, memory_map=False, pre_buffer=False, buffer_size=2**20)


def _one_line(problem: BaseException, file: dict[str, Any]) -> str:
    text = " ".join(str(problem).split()).replace(file["path"], file["name"]).replace(file["copy"], file["name"])
    return text[:300] or type(problem).__name__


def _has_small_groups(metadata: pq.FileMetaData) -> bool:
    if metadata.num_columns > MAX_COLUMNS:
        raise Unreadable(f"it has {metadata.num_columns} columns; at most {MAX_COLUMNS} are allowed")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return all(group.num_rows <= MAX_GROUP_ROWS and group.total_byte_size <= MAX_GROUP_BYTES for group in groups)


def _check_is_text(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            raise Unreadable("its content is Parquet; rename it to .parquet")


def _write_parquet(source: Path, target: Path, given: dict[str, Any]) -> None:
    with open_parquet(source) as file:
        metadata = file.metadata
        size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        rows = max(1, min(ROWS, int(GROUP_BYTES * metadata.num_rows / max(size, 1))))
        _write(file.iter_batches(batch_size=rows, use_threads=False), file.schema_arrow, target)


def _write(batches: Iterator[pa.RecordBatch], schema: pa.Schema, target: Path) -> None:
    """Write batches as row groups, up to a total size."""
    written, is_whole = 0, True
    waiting: list[pa.RecordBatch] = []
    with pq.ParquetWriter(target, schema, compression="snappy", write_statistics=False) as writer:

        def flush() -> None:
            if waiting:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table, row_group_size=max(1, min(ROWS, _rows_of(table))))
                waiting.clear()

        for batch in batches:
            waiting.append(batch)
            written += batch.nbytes
            if sum(each.num_rows for each in waiting) >= ROWS or sum(each.nbytes for each in waiting) >= GROUP_BYTES:
                flush()
            if written > MAX_CONVERTED:
                is_whole = False
                break
        flush()
        if not is_whole:
            writer.add_key_value_metadata({_PARTIAL.decode(): "1"})


def _rows_of(table: pa.Table) -> int:
    return int(GROUP_BYTES * table.num_rows / max(table.nbytes, 1)) + 1


def _opened(path: Path, name: str) -> Any:
    file = pa.OSFile(str(path))
    return pa.CompressedInputStream(file, "gzip") if name.lower().endswith(".gz") else file


def _write_csv(source: Path, target: Path, given: dict[str, Any]) -> None:
    """Convert a CSV file. A column that is not of the type of its first block is read again with a wider type."""
    name = given["name"].lower().removesuffix(".gz")
    parse = pa_csv.ParseOptions(
        delimiter=given["separator"] or ("\t" if name.endswith(".tsv") else ","), newlines_in_values=True
    )
    types: dict[str, pa.DataType] = {}
    block = BLOCK
    while True:
        convert = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        read = pa_csv.ReadOptions(use_threads=False, block_size=block)
        schema: pa.Schema | None = None
        try:
            with _opened(source, given["name"]) as stream, pa_csv.open_csv(stream, read, parse, convert) as reader:
                schema = reader.schema
                _check_columns(schema)
                dates = {field.name: pa.string() for field in schema if pa.types.is_temporal(field.type)}
                if dates:  # as pandas, which `datasets` uses
                    types |= dates
                    continue
                _write(iter(reader), schema, target)
                return
        except pa.ArrowInvalid as problem:
            found = re.match(r"In CSV column #(\d+)", str(problem))
            if found is not None and schema is not None and int(found[1]) < len(schema):
                field = schema.field(int(found[1]))
                if field.type in _NEXT_TYPE:
                    types[field.name] = _NEXT_TYPE[field.type]
                    continue
            if "straddling object" in str(problem) and block < MAX_BLOCK:
                block = min(4 * block, MAX_BLOCK)
                continue
            raise


def _write_json(source: Path, target: Path, given: dict[str, Any]) -> None:
    """Convert JSON lines, or a short JSON array of objects."""
    with _opened(source, given["name"]) as stream:
        head = stream.read(4096).lstrip()
    if head.startswith(b"["):
        table = _array(source, given)
        _check_columns(table.schema)
        _write(iter(table.to_batches(max_chunksize=ROWS)), table.schema, target)
        return
    block = BLOCK
    while True:
        read = pa_json.ReadOptions(use_threads=False, block_size=block)
        parse = pa_json.ParseOptions(newlines_in_values=False)
        try:
            with _opened(source, given["name"]) as stream:
                reader = pa_json.open_json(stream, read, parse)
                _check_columns(reader.schema)
                _write(iter(reader), reader.schema, target)
            return
        except pa.ArrowInvalid as problem:
            if block < MAX_BLOCK and any(text in str(problem) for text in _LARGER_BLOCK):
                block = min(4 * block, MAX_BLOCK)
                continue
            raise


def _array(source: Path, file: dict[str, Any]) -> pa.Table:
    with _opened(source, file["name"]) as stream:
        content = stream.read(MAX_JSON_ARRAY + 1)
    if len(content) > MAX_JSON_ARRAY:
        raise Unreadable(f"a JSON array may have at most {MAX_JSON_ARRAY:,} bytes; use JSON lines")
    try:
        items = json.load(io.BytesIO(content))
    except (ValueError, RecursionError) as problem:
        raise Unreadable(str(problem)) from None
    if not all(isinstance(item, dict) for item in items):
        raise Unreadable("each item of the array must be an object")
    return pa.Table.from_pylist(items)


def _check_columns(schema: pa.Schema) -> None:
    if len(schema) > MAX_COLUMNS:
        raise Unreadable(f"it has {len(schema)} columns; at most {MAX_COLUMNS} are allowed")
    if len(set(schema.names)) < len(schema):
        repeated = next(name for name in schema.names if schema.names.count(name) > 1)
        raise Unreadable(f"the column {repeated!r} occurs more than once")

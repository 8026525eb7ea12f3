"""Rows of a split: a sequence of Parquet files with one schema, read by columns and row groups."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.feature_types import Feature
from seqhub.server.viewer.features import features_of
from seqhub.server.viewer.prepare import is_partial, open_parquet, open_prepared, reading

Indices = npt.NDArray[np.int64]

ROW_BATCH: Final = 4096  # rows of all columns that are decoded at a time; more would not fit into the processor's cache
COLUMN_BATCH: Final = 65_536  # rows of single columns


class _File(NamedTuple):
    given: dict[str, Any]
    path: Path
    groups: list[int]  # number of rows of each row group
    first: int  # index of the first row
    schema: pa.Schema
    memory_bytes: int
    is_partial: bool

    @property
    def num_rows(self) -> int:
        return sum(self.groups)


class Split:
    """Rows of a split.

    Args:
        files: Data files, see `prepare.open_prepared`, in order.
        card: Features in the card.
        is_partial: Whether the split has more files.

    Raises:
        ViewerError: A file cannot be read, or the columns of the files have different types.
    """

    def __init__(self, files: Sequence[dict[str, Any]], card: list[Any], is_partial: bool = False) -> None:
        self.files: list[_File] = []
        self._reader: tuple[Path, pq.ParquetFile] | None = None  # of the file that was read last
        first = 0
        for given in files:
            self.files.append(self._opened(given, first))
            first += self.files[-1].num_rows
        self.num_rows = first
        self.is_partial = is_partial or any(file.is_partial for file in self.files)
        self.schema = _common_schema(self.files)
        self.features: dict[str, Feature] = features_of(self.schema, card)

    @property
    def memory_bytes(self) -> int:
        """Uncompressed size of all columns."""
        return sum(file.memory_bytes for file in self.files)

    def batches(self, columns: Sequence[str], max_rows: int | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the index of the first row and the values of some columns, in order.

        Args:
            columns: Names of columns.
            max_rows: Maximum number of rows; None for all rows.
        """
        end = self.num_rows if max_rows is None else max_rows
        for file in self.files:
            at = file.first
            for group in range(len(file.groups)):
                for batch in self._group(file, group, columns, COLUMN_BATCH):
                    if at >= end:
                        return
                    yield at, batch.slice(0, end - at)
                    at += batch.num_rows

    def take(self, indices: Indices) -> pa.Table:
        """Return rows in a given order; only the row groups that contain them are read."""
        order = np.argsort(indices, kind="stable")
        wanted = indices[order]
        pieces: list[pa.RecordBatch] = []
        names = self.schema.names
        for file in self.files:
            start = file.first
            for group, count in enumerate(file.groups):
                low, high = np.searchsorted(wanted, [start, start + count])
                if low < high:
                    pieces += self._rows_of_group(file, group, names, wanted[low:high] - start)
                start += count
        table = pa.Table.from_batches(pieces, self.schema)
        if (order == np.arange(len(order))).all():
            return table
        return table.take(pa.array(np.argsort(order)))

    def _rows_of_group(self, file: _File, group: int, names: list[str], local: Indices) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in self._group(file, group, names, ROW_BATCH):
            low, high = np.searchsorted(local, [start, start + batch.num_rows])
            if low < high:
                inside = local[low:high] - start
                is_range = inside[-1] - inside[0] + 1 == len(inside)
                yield batch.slice(inside[0], len(inside)) if is_range else batch.take(pa.array(inside))
            start += batch.num_rows
            if high == len(local):
                return

    def _group(self, file: _File, group: int, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of a row group with the schema of the split."""
        schema = pa.schema([self.schema.field(name) for name in names], self.schema.metadata)
        if not names:
            return
        present = [name for name in names if file.schema.get_field_index(name) >= 0]
        with reading(file.given):
            if not present:
                yield pa.record_batch([pa.nulls(file.groups[group], field.type) for field in schema], schema=schema)
                return
            for batch in self._parquet(file).iter_batches(rows, [group], present, use_threads=False):
                yield _with_schema(batch, schema)

    def _parquet(self, file: _File) -> pq.ParquetFile:
        if self._reader is None or self._reader[0] != file.path:
            self._reader = file.path, open_parquet(file.path)
        return self._reader[1]

    def _opened(self, given: dict[str, Any], first: int) -> _File:
        path, parquet = self._reader = open_prepared(given)
        with reading(given):
            metadata, schema = parquet.metadata, parquet.schema_arrow
            if len(set(schema.names)) < len(schema):
                raise ViewerError(422, "UnreadableFileError", f"{given['name']} has two columns of the same name")
            groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
            sizes = [group.num_rows for group in groups]
            partial = is_partial(metadata)
            return _File(given, path, sizes, first, schema, sum(group.total_byte_size for group in groups), partial)


def _common_schema(files: Sequence[_File]) -> pa.Schema:
    """Return the schema of all files; a column that a file does not have is null there."""
    schema = files[0].schema
    for file in files[1:]:
        if file.schema.equals(schema):
            continue
        try:
            schema = pa.unify_schemas([schema, file.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
            text = " ".join(str(problem).split())[:300]
            message = f"{file.given['name']} has other columns than {files[0].given['name']}: {text}"
            raise ViewerError(422, "SchemaMismatchError", message) from None
    return schema


def _with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = []
    for field in schema:
        place = batch.schema.get_field_index(field.name)
        if place < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
        else:
            column = batch.column(place)
            columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.record_batch(columns, schema=schema)

"""Labelled sequences of real vectors as one Parquet file: what images and texts become, and what a run can learn from.

    input_values   list of steps, each a list of as many numbers
    label          a text or whole number, the name of the class
    split          train, validation, test, or nothing; the column may be missing

Rows go where `split` says. A split that no row names takes its tenths out of the rows for training, by their content:
the different ones, ranked by SHA-256. So equal sequences stay together, and the same file gives the same splits.
"""

import hashlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from seqhub.data.columns import read_columns
from seqhub.errors import InvalidInputError, OutputExistsError
from seqhub.records import write_atomically
from seqhub.tasks.base import OWN, Batch, Layout
from seqhub.tasks.splits import SPLITS, FileRows

MOST_LABELS = 100

_MOST_VALUES = 1 << 28  # of all rows, were each as long as the longest: 1 GiB
_ROWS_AT_ONCE = 1024


class VectorRow(NamedTuple):
    """One labelled sequence."""

    values: NDArray[np.float32]  # (T, F)
    label: str
    split: str | None = None


def write_vectors(file: Path, rows: Iterable[VectorRow], *, overwrite: bool = False) -> dict[str, int]:
    """Write rows as a file that `read_vectors` takes.

    Returns:
        Rows of each split that was named, "" for those without.

    Raises:
        OutputExistsError: The file is there, and is not to be replaced.
        InvalidInputError: No rows, or steps of different widths; nothing is written then.
        SaveError: The disk is full; what was there before is whole.
    """
    if file.exists() and not overwrite:
        raise OutputExistsError(f"{file} is there; overwrite it, or give another file")
    buffer, counts = BytesIO(), dict.fromkeys(("", *SPLITS), 0)
    writer: pq.ParquetWriter | None = None
    rest, width = iter(rows), 0
    while part := list(islice(rest, _ROWS_AT_ONCE)):
        if writer is None:
            width = part[0].values.shape[1]
            steps = pa.list_(pa.list_(pa.float32(), width))
            schema = pa.schema([("input_values", steps), ("label", pa.string()), ("split", pa.string())])
            writer = pq.ParquetWriter(buffer, schema, compression="zstd")
        for row in part:
            counts[row.split or ""] += 1
            if row.values.shape[1] != width:
                raise InvalidInputError(f"steps of {row.values.shape[1]} values after steps of {width}; need one width")
        flat = pa.array(np.concatenate([row.values.ravel() for row in part]))
        offsets = np.cumsum([0, *(len(row.values) for row in part)], dtype=np.int32)
        values = pa.ListArray.from_arrays(offsets, pa.FixedSizeListArray.from_arrays(flat, width))
        columns = [values, pa.array([row.label for row in part]), pa.array([row.split for row in part], pa.string())]
        writer.write_table(pa.table(columns, schema=writer.schema))
    if writer is None:
        raise InvalidInputError(f"no rows for {file}; need one or more")
    writer.close()
    write_atomically(file, buffer.getvalue())
    return {name: count for name, count in counts.items() if count}


def read_vectors(file: Path) -> FileRows:
    """The rows of a file of vectors, each in its split.

    Raises:
        InvalidInputError: No such file, no Parquet, no such columns, values that are not finite or not so many at every
            step, too few rows or classes. The message names file and place.
    """
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as Parquet: {reason}") from error
    try:
        return _read(table)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file}: {error}") from error


def _read(table: pa.Table) -> FileRows:
    lists = table.column("input_values") if "input_values" in table.column_names else None
    first = lists[0].as_py() if lists is not None and len(lists) and pa.types.is_nested(lists.type) else None
    width = len(first[0]) if first and isinstance(first[0], list) else 0
    numbers, names = _labels(table)
    layout = Layout(step_shape=(max(1, width),), labels=names)
    longest = pc.max(pc.list_value_length(lists)).as_py() if width else 0
    if longest > OWN.length[1] or table.num_rows * longest * width > _MOST_VALUES:
        raise InvalidInputError(
            f"{table.num_rows:,} rows of up to {longest:,} steps of {width:,} values; need {OWN.length[1]:,} steps or "
            f"fewer, and {_MOST_VALUES:,} values in all were each row as long as the longest"
        )
    place = table.column_names.index("label")
    columns = read_columns(table.set_column(place, "label", pa.array(numbers)), layout)
    whole = Batch(columns.inputs, columns.lengths, columns.labels)
    owners = np.array([list(SPLITS).index(split) for split in _owners(whole, _named_splits(table))])
    taught = set(whole.labels[owners == 0].tolist())
    missing = next((name for number, name in enumerate(names) if number not in taught), None)
    if missing is not None:
        raise InvalidInputError(f"label {missing!r} has no row among those for training; it needs more rows")
    return FileRows(layout, {name: whole[np.flatnonzero(owners == place)] for place, name in enumerate(SPLITS)})


def _labels(table: pa.Table) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class numbers (N,) and names; whole numbers stand in their order, other names in that of the alphabet."""
    if "label" not in table.column_names:
        raise InvalidInputError(f"columns {', '.join(table.column_names)}; need input_values and label")
    given = table.column("label").to_pylist()
    if None in given:
        raise InvalidInputError(f"no label in row {given.index(None)}; every row needs one")
    wrong = next((each for each in given if not isinstance(each, (str, int))), None)
    if wrong is not None:
        raise InvalidInputError(f"label {wrong!r}; need texts or whole numbers")
    names = sorted(set(map(str, given)))
    if all(name.lstrip("-").isdecimal() for name in names):
        names.sort(key=int)
    if not 2 <= len(names) <= MOST_LABELS:
        raise InvalidInputError(f"{len(names):,} different labels; need 2 to {MOST_LABELS}")
    number = {name: each for each, name in enumerate(names)}
    return np.array([number[str(each)] for each in given]), tuple(names)


def _named_splits(table: pa.Table) -> list[str | None]:
    if "split" not in table.column_names:
        return [None] * table.num_rows
    given: list[Any] = table.column("split").to_pylist()
    for row, split in enumerate(given):
        if split is not None and split not in SPLITS:
            raise InvalidInputError(f"split {split!r} in row {row}; need {', '.join(SPLITS)} or nothing")
    return given


def _owners(rows: Batch, named: Sequence[str | None]) -> list[str]:
    """The split of each row."""
    shares = {split: tenths for split, tenths in SPLITS.items() if split == "train" or split not in named}
    if list(shares) == ["train"]:
        return [split or "train" for split in named]
    contents = [
        hashlib.sha256(values[:n].tobytes()).digest() if split in (None, "train") else b""
        for values, n, split in zip(rows.inputs, rows.lengths, named, strict=True)
    ]
    ranked = sorted(set(contents) - {b""})
    if len(ranked) < sum(SPLITS.values()):
        raise InvalidInputError(f"{len(ranked)} different sequences to share out; need {sum(SPLITS.values())} or more")
    ends = np.cumsum(list(shares.values())) / sum(shares.values())
    places = np.searchsorted(ends, (np.arange(len(ranked)) + 0.5) / len(ranked))
    owner = {content: list(shares)[place] for content, place in zip(ranked, places, strict=True)}
    return [owner.get(content) or split or "train" for content, split in zip(contents, named, strict=True)]

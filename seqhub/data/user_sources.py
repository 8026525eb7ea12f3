"""Rows that are not in a file: datasets, data frames, arrays, and datasets of a Hub, written to one Arrow file.

The file has the same columns, so the same rules hold, and equal rows give an equal model. Splits of a `DatasetDict` or
of a dataset of a Hub are kept in a column `split`.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from seqhub._logging import quiet_datasets
from seqhub.data.file_names import HUB, HUB_ID, looks_like_a_hub_id
from seqhub.data.named_arrays import array_column, table_of_columns
from seqhub.data.user_table import SPLIT_COLUMN
from seqhub.errors import DataWarning, InvalidInputError
from seqhub.io import open_atomically
from seqhub.tasks.splits import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

_ROWS_AT_ONCE = 10_000


def resolve_file(name: Path | str) -> Path:
    """Return a file unchanged, or the file of a dataset of a Hub if no file has the name.

    Raises:
        HubError, InvalidInputError: See `hub_file`.
    """
    is_hub = str(name).startswith(HUB) or (looks_like_a_hub_id(str(name)) and not Path(name).exists())
    return hub_file(str(name)) if is_hub else Path(name)


def hub_file(name: str) -> Path:
    """Return the rows of a dataset of a Hub as one file in the cache of `datasets`.

    The Hub is that of HF_ENDPOINT, or the public one.

    Args:
        name: `NAMESPACE/NAME`, after which `:CONFIG` may name one of several configs; `hub:` before it is optional.

    Raises:
        HubError: The Hub does not respond, or has no such dataset.
        InvalidInputError: `datasets` cannot read it, or it has several configs and none is named.
    """
    import datasets

    from seqhub.hub.fetch import fetch

    found = HUB_ID.fullmatch(name)
    if found is None:
        raise InvalidInputError(f"{name}: must be hub:NAMESPACE/NAME or hub:NAMESPACE/NAME:CONFIG")
    folder = fetch(found[1], repo_type="dataset")
    try:
        with quiet_datasets():
            loaded = datasets.load_dataset(str(folder), found[2])
    except Exception as error:  # `datasets` raises those of its readers
        reason = " ".join(str(error).replace(f"{folder}", found[1]).split())[:300]
        raise InvalidInputError(f"{name} cannot be read by `datasets`: {reason}") from None
    files = [each["filename"] for part in loaded.values() for each in part.cache_files]
    stem = found[1].partition("/")[2]
    key = hashlib.sha256("\0".join(files).encode()).hexdigest()[:16]  # the folders have names of the content
    file = Path(files[0]).parent / f"seqhub-{key}" / f"{stem}.arrow"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        _write(_parts(loaded, name), file)
    return file


@contextmanager
def as_file(data: Any) -> Iterator[Path]:
    """Yield a file with rows that are given in any form; one that is written for it is removed at the end.

    Args:
        data: File, or id of a dataset of a Hub; a `Dataset` or `DatasetDict` of `datasets`, a pandas `DataFrame`, an
            Arrow table, or a dictionary of columns: lists, or arrays with one entry for each row.

    Raises:
        InvalidInputError: Another type, columns of different lengths, or values of several types in a column.
    """
    if isinstance(data, (str, Path)):
        yield resolve_file(data)
        return
    with tempfile.TemporaryDirectory(prefix="seqhub-rows-") as folder:
        kind = type(data).__name__
        file = Path(folder) / f"{ {'DatasetDict': 'dataset', 'DataFrame': 'frame'}.get(kind, kind).lower() }.arrow"
        try:
            _write(_parts(data, f"the {kind}"), file)
        except (pa.ArrowException, OverflowError) as error:
            raise InvalidInputError(f"the {kind} has a column of several types: {_line(error)}") from None
        yield file


def _parts(data: Any, name: str) -> Iterator[pa.Table]:
    """Yield the rows of any form in tables of one schema."""
    kinds = {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(data).__mro__}
    if "datasets.Dataset" in kinds:
        yield from _of_dataset(data)
    elif isinstance(data, Mapping) and data and all(type(each).__name__ == "Dataset" for each in data.values()):
        yield from _of_splits(data, name)
    elif "pandas.DataFrame" in kinds:
        yield pa.Table.from_pandas(data, preserve_index=False).replace_schema_metadata()
    elif isinstance(data, pa.Table):
        yield data
    elif isinstance(data, Mapping):
        yield _of_columns(data, name)
    else:
        raise InvalidInputError(
            f"data of type {type(data).__name__}: must be a file, the id of a dataset, a Dataset or DatasetDict, a "
            "DataFrame, an Arrow table, or a dictionary of columns"
        )


def _of_dataset(rows: "Dataset", split: str | None = None) -> Iterator[pa.Table]:
    schema = rows.features.arrow_schema
    if split is not None:
        if SPLIT_COLUMN in schema.names:
            schema = schema.remove(schema.names.index(SPLIT_COLUMN))
        schema = schema.append(pa.field(SPLIT_COLUMN, pa.string()))
    for start in range(0, max(1, len(rows)), _ROWS_AT_ONCE):
        part = rows.with_format("arrow")[start : start + _ROWS_AT_ONCE]
        if split is not None:
            part = part.drop_columns([name for name in (SPLIT_COLUMN,) if name in part.column_names])
            part = part.append_column(SPLIT_COLUMN, pa.array([split] * len(part), pa.string()))
        yield part.cast(schema)


def _of_splits(splits: Mapping[str, "Dataset"], name: str) -> Iterator[pa.Table]:
    used = [split for split in SPLITS if split in splits]
    if "train" not in used:
        raise InvalidInputError(f"{name} has the splits {', '.join(splits)}; need train, and others if there are any")
    features = {split: splits[split].features for split in used}
    other = next((split for split in used if features[split] != features["train"]), None)
    if other is not None:
        raise InvalidInputError(f"{name} has other columns in the split {other!r} than in 'train'; need equal ones")
    omitted = [f"{split} ({len(splits[split]):,} rows)" for split in splits if split not in SPLITS]
    if omitted:
        warnings.warn(f"{name}: other splits than {', '.join(SPLITS)} are omitted: {', '.join(omitted)}", DataWarning,
                      stacklevel=2)  # fmt: skip
    for split in used:
        yield from _of_dataset(splits[split], None if len(splits) == 1 else split)


def _of_columns(data: Mapping[Any, Any], name: str) -> pa.Table:
    columns: dict[str, Any] = {}
    for key, values in data.items():
        if isinstance(values, np.ndarray) and values.dtype.kind in "biufU":
            columns[str(key)] = array_column(values, str(key), Path(name))
        else:
            columns[str(key)] = pa.array([each.tolist() if isinstance(each, np.ndarray) else each for each in values])
    return table_of_columns(columns, "columns", name)


def _write(parts: Iterator[pa.Table], file: Path) -> None:
    with open_atomically(file) as opened:
        first = next(parts)
        with pa.ipc.new_file(opened, first.schema) as writer:
            writer.write_table(first)
            for part in parts:
                writer.write_table(part)


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]

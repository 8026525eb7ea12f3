"""Export of a dataset as a folder of Parquet files for each split of each config, with its record.

    qrsu/
      hard/train-00000-of-00001.parquet  validation-...  test-...
      easy/...
      dataset.json      settings and statistics; written last, so it marks a complete build

`datasets.load_dataset("./qrsu", "hard")` reads the folder if a README.md lists the files (see `data_files`). The folder
is written under a temporary name and renamed when it is complete, so a failed or killed build leaves no partial
dataset. Equal arguments give Parquet files with equal bytes (with the same version of pyarrow).
"""

import glob
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seqhub.data.arrow import rows_table
from seqhub.data.builder import features_of
from seqhub.data.digest import digest
from seqhub.data.split_sizes import chosen_sizes
from seqhub.errors import CorruptFileError, InvalidInputError, OutputExistsError, SaveError, UnknownNameError
from seqhub.io import sync_folder, try_lock_folder
from seqhub.records import DatasetRecord, command_line, environment
from seqhub.records.dataset import ConfigInfo, SplitInfo
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, resolve
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import NO_LABEL, TaskSchema
from seqhub.tasks.splits import SPLITS, Split, format_value
from seqhub.tasks.vocabulary import Vocabulary

EXAMPLES = 5  # number of rows of `train` in the record

_MAX_ROWS = 100_000_000  # of a split, because of memory
_ROW_GROUP = 64 * BLOCK_SIZE  # rows of a row group of Parquet
_CARD = "README.md"  # written by other commands; a new build deletes it

Progress = Callable[[int, int], None]  # rows written, total number of rows


def write_folder(
    task: str,
    folder: Path | str,
    *,
    configs: Sequence[str] | None = None,
    seed: int = 0,
    train_size: int | None = None,
    validation_size: int | None = None,
    test_size: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetRecord:
    """Write the dataset of a task to `folder`, with a record of its statistics.

    Args:
        task: Name of a task.
        folder: Output folder, created if it does not exist.
        configs: Names of configs, in the order of the record; None for all.
        seed: Seed of the generated rows.
        train_size: Number of rows of the split of each config, 1 to 100 million; None for the published number.
        validation_size: As above.
        test_size: As above.
        overwrite: Replace an existing dataset of the same task.
        progress: Called after each part with the number of rows written so far and the total number.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: A size out of range, no or duplicate configs, or a seed that is not an integer.
        OutputExistsError: The folder has other content, or a dataset and `overwrite` is False.
        SaveError: The disk is full or cannot be written; the previous content is unchanged.
    """
    folder = Path(folder)
    found = get_task(task)
    names = [config.name for config in found.configs] if configs is None else list(configs)
    sizes = _checked_sizes(task, names, {"train": train_size, "validation": validation_size, "test": test_size})
    splits = {name: {split: Split(f"{task}/{name}", split, seed) for split in SPLITS} for name in names}
    started = time.perf_counter()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(folder, task, overwrite) as scratch:
            advance = _counter(progress, sum(sum(rows.values()) for rows in sizes.values()))
            record = DatasetRecord(
                task=task,
                task_version=found.version,
                seed=seed,
                configs={name: _write_config(scratch / name, splits[name], sizes[name], advance) for name in names},
                seconds=round(time.perf_counter() - started, 3),
                environment=environment(),
                command=command_line(),
            )
            record.save(scratch)
            if scratch.parent != folder:
                _check_output_folder(folder, task, overwrite)  # another process may have written to it
            _move(scratch, folder)
    except (OutputExistsError, SaveError):
        raise
    except OSError as error:
        reason = str(error.strerror or error).partition("\n")[0]
        raise SaveError(f"cannot write {folder}: {reason}") from error
    return record


def load_folder(folder: Path | str, task: str | TaskRef, split: str) -> pa.Table:
    """Load the rows of a split from a folder of `write_folder`, after comparison with the record.

    Raises:
        FileNotFoundError: No such folder, or no complete dataset in it.
        UnknownNameError: The folder has no such config or split.
        InvalidInputError: The folder has another task.
        CorruptFileError: A file is missing or damaged, or its rows differ from the record.
    """
    folder = Path(folder)
    record = DatasetRecord.load(folder)
    if isinstance(task, TaskRef):
        name, config = task.name, task.config_name
    else:
        name, _, config = task.partition("/")  # a folder may have a config that the task no longer has
    if record.task != name:
        raise InvalidInputError(f"{folder} has the dataset {record.task}, not {name}")
    if config not in record.configs:
        raise UnknownNameError.of(f"config of {folder}", config, record.configs)
    splits = record.configs[config]["splits"]
    if split not in splits:
        raise UnknownNameError.of(f"split of {folder}", split, splits)
    path = folder / config / _file_name(split)
    try:
        rows = pq.read_table(path, columns=list(Split(task, split).schema.columns))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise CorruptFileError(f"{path} cannot be read: {reason}") from error
    if digest(rows) != splits[split]["digest"]:
        raise CorruptFileError(f"{path} has other rows than {DatasetRecord.FILE_NAME}; build the dataset again")
    return rows


def data_files(config: str) -> dict[str, str]:
    """Return the file pattern of each split, for the YAML of a dataset card.

    >>> data_files("hard")
    {'train': 'hard/train-*', 'validation': 'hard/validation-*', 'test': 'hard/test-*'}
    """
    return {split: f"{config}/{split}-*" for split in SPLITS}


def _file_name(split: str) -> str:
    return f"{split}-00000-of-00001.parquet"


def _checked_sizes(task: str, names: list[str], chosen: dict[str, int | None]) -> dict[str, dict[str, int]]:
    """Return the number of rows of each split of each config."""
    for name in names:
        resolve(f"{task}/{name}")
    if not names or len(set(names)) != len(names):
        raise InvalidInputError(
            f"configs {', '.join(names) or 'none'} of {task}: must be one or more, without duplicates"
        )
    for split, size in chosen.items():
        if size is not None and size > _MAX_ROWS:
            raise InvalidInputError(f"{split}_size={size}: must be at most {_MAX_ROWS:,} ({task})")
    return {name: chosen_sizes(f"{task}/{name}", chosen) for name in names}


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, total)

    return advance


def _write_config(
    folder: Path, splits: dict[str, Split], sizes: dict[str, int], advance: Callable[[int], None]
) -> ConfigInfo:
    """Write the splits of one config; what the record says of it."""
    folder.mkdir()
    schema = splits["train"].schema
    columns = features_of(schema).arrow_schema  # with the names of the labels in the metadata, for `datasets`
    infos, distinct = {}, {}
    for name, split in splits.items():
        parts = []
        with (folder / _file_name(name)).open("xb") as file:
            with pq.ParquetWriter(file, columns, compression="zstd") as writer:
                for start in range(0, sizes[name], _ROW_GROUP):
                    part = rows_table(split, start, min(start + _ROW_GROUP, sizes[name]))
                    writer.write_table(part.cast(columns), row_group_size=_ROW_GROUP)
                    parts.append(part)
                    advance(len(part))
            file.flush()
            os.fsync(file.fileno())
        table = pa.concat_tables(parts)
        infos[name] = _split_info(table, schema, folder / _file_name(name))
        distinct[name] = _distinct(table[schema.columns[0]])
    sync_folder(folder)
    (first,) = splits["train"].batches(0, min(EXAMPLES, sizes["train"]))
    return {
        "splits": infos,
        "overlap": _overlap(distinct),
        "examples": [
            [format_value(inputs), format_value(target)] for inputs, target in splits["train"].examples(first)
        ],
    }


def _split_info(table: pa.Table, schema: TaskSchema, path: Path) -> SplitInfo:
    inputs = table[schema.columns[0]]
    lengths = pc.list_value_length(inputs) if schema.vocabulary is None else _symbols(inputs, schema.vocabulary)
    info: SplitInfo = {
        "rows": len(table),
        "digest": digest(table),
        "bytes": path.stat().st_size,
        "labels": {},
        "mean_length": pc.mean(lengths).as_py(),
    }
    vocabulary = schema.vocabulary
    if vocabulary is not None and (vocabulary.separator or any(not symbol.isascii() for symbol in vocabulary.entries)):
        info["characters"] = pc.sum(pc.binary_length(inputs)).as_py()
    if schema.target_vocabulary is not None:
        info["target_characters"] = pc.sum(pc.binary_length(table["target"])).as_py()
    if schema.lists_classes:
        column = table["label"] if schema.target == "class" else pc.list_flatten(table["labels"])
        numbers = column.to_numpy()
        counts = np.bincount(numbers[numbers != NO_LABEL], minlength=len(schema.labels))
        info["labels"] = dict(zip(schema.labels, counts.tolist(), strict=True))
    elif schema.target == "number":
        numbers = table["label"].to_numpy()
        info["numbers"] = [float(numbers.min()), float(numbers.mean(dtype=np.float64)), float(numbers.max())]
    return info


def _symbols(texts: pa.ChunkedArray, vocabulary: Vocabulary) -> pa.ChunkedArray:
    """Return the number of symbols of each text."""
    if not vocabulary.separator:
        return pc.utf8_length(texts)
    return pc.add(pc.count_substring(texts, vocabulary.separator), 1)


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    """Return the distinct sequences of a column; for real values, their hashes."""
    if pa.types.is_string(column.type):
        return pc.unique(column)
    hashes = set()
    for chunk in column.chunks:
        values = chunk.flatten().flatten().to_numpy().tobytes()
        width = chunk.type.value_type.list_size * 4
        ends = np.cumsum(pc.list_value_length(chunk).to_numpy().astype(np.int64)) * width
        starts = [0, *ends[:-1].tolist()]
        hashes |= {hashlib.sha256(values[a:b]).digest() for a, b in zip(starts, ends.tolist(), strict=True)}
    return pa.array(sorted(hashes), pa.binary())


def _overlap(distinct: dict[str, pa.Array]) -> dict[str, int]:
    """Return the number of distinct sequences that both splits of a pair contain, for each pair."""
    return {
        f"{one}/{other}": pc.sum(pc.is_in(distinct[other], value_set=distinct[one]), min_count=0).as_py()
        for one, other in combinations(distinct, 2)
    }


@contextmanager
def _scratch(folder: Path, task: str, overwrite: bool) -> Iterator[Path]:
    """Create a temporary folder for writing, and delete it at the end unless `_move` has renamed it.

    It is in the parent of `folder`, or in `folder` itself if that exists and is empty, because `folder` may be a mount
    point. It is locked while its process runs, so leftovers of killed processes are detected and deleted.
    """
    prefix = f".{folder.name}.part-"
    for place in (folder.parent, folder):
        for left in place.glob(f"{glob.escape(prefix)}*"):
            with try_lock_folder(left, without_locks=False) as free:
                if free:
                    shutil.rmtree(left)
    _check_output_folder(folder, task, overwrite)
    empty = folder.is_dir() and not any(folder.iterdir())
    scratch = (folder if empty else folder.parent) / f"{prefix}{secrets.token_hex(6)}"
    scratch.mkdir()
    try:
        with try_lock_folder(scratch):
            yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_output_folder(folder: Path, task: str, overwrite: bool) -> None:
    if folder.is_symlink() and not folder.exists():
        raise OutputExistsError(f"{folder} is a broken symbolic link; choose another folder")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        record = DatasetRecord.load(folder)
    except (OSError, CorruptFileError):
        raise OutputExistsError(f"{folder} has files that are not part of a dataset; choose another folder") from None
    known = {DatasetRecord.FILE_NAME, _CARD, *record.configs}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if record.task != task or foreign:
        what = f"the dataset {record.task}" if record.task != task else ", ".join(foreign)
        raise OutputExistsError(f"{folder} has {what}, which a build of {task} does not replace; choose another folder")
    if not overwrite:
        raise OutputExistsError(f"{folder} has a dataset of {task}; overwrite it, or choose another folder")


def _move(scratch: Path, folder: Path) -> None:
    """Move the complete temporary folder to its destination."""
    if scratch.parent == folder:
        for path in sorted(scratch.iterdir(), key=lambda path: path.name == DatasetRecord.FILE_NAME):
            path.rename(folder / path.name)  # the record last
        sync_folder(folder)
    elif folder.exists():
        before = folder.with_name(f".{folder.name}.before-{secrets.token_hex(6)}")
        folder.rename(before)
        try:
            scratch.rename(folder)
        except OSError:
            before.rename(folder)
            raise
        shutil.rmtree(before)
    else:
        scratch.rename(folder)
    sync_folder(folder.parent)

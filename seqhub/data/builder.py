"""Builder of `datasets` for all tasks, with one builder config for each config of a task.

    >>> builder = get_builder("qrsu", "hard", train_size=2000)
    >>> builder.info.features["label"].names
    ['Q', 'R', 'S', 'U']

Rows are written as Arrow record batches directly from the arrays of the task. They depend only on the arguments, not on
the number of processes or shards. The cache of `datasets` has a separate entry for each seed and choice of sizes, which
is valid until the task changes (see `fingerprint`).

This module must not open files: `datasets` replaces `open`, `os.path` and more in modules that define builders.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import pyarrow as pa
from datasets import (
    ArrowBasedBuilder,
    BuilderConfig,
    ClassLabel,
    Dataset,
    DatasetDict,
    DatasetInfo,
    Features,
    IterableDataset,
    IterableDatasetDict,
    List,
    SplitGenerator,
    Value,
    Version,
)

from seqhub.data.arrow import rows_table
from seqhub.data.fingerprint import fingerprint
from seqhub.data.split_sizes import check_size, chosen_sizes, published_sizes
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import SPLITS, Split

_ROWS_AT_ONCE = 8 * BLOCK_SIZE  # rows of a record batch: large enough to make Python's overhead negligible
_MAX_SHARDS = 16  # parts of a split for processes or streams; a power of two, which many numbers of processes divide


@dataclass
class SequenceTaskConfig(BuilderConfig):
    """Options for the rows of a config.

    Args:
        seed: Seed of the generated rows, any integer.
        train_size: Number of rows of the split, at least 1; None for the published number.
        validation_size: As above.
        test_size: As above.
        task_file: Path of the file that defines the task, unless the task is registered.
    """

    seed: int = 0
    train_size: int | None = None
    validation_size: int | None = None
    test_size: int | None = None
    task_file: str | None = None  # of a task that is not registered

    @property
    def sizes_by_split(self) -> dict[str, int | None]:
        """Number of rows of each split, None for the published number."""
        return {split: getattr(self, f"{split}_size") for split in SPLITS}

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Features | None = None) -> str:
        """Return the name of the cache entry; `datasets` calls this before it writes files.

        Arguments equal to their defaults are not part of the name, so that `seed=0` uses the entry of published rows.
        """
        self._check()
        defaults = {field.name: field.default for field in fields(self)}
        chosen = {
            name: value for name, value in config_kwargs.items() if value is not None and value != defaults.get(name)
        }
        config_id: str = super().create_config_id(chosen, custom_features)
        return config_id

    def _check(self) -> None:
        if self.data_dir is not None or self.data_files is not None:
            raise InvalidConfigError(
                f"data_dir={self.data_dir!r}, data_files={self.data_files!r}: must be None for {self.name}, a task of "
                "seqhub, which generates its rows"
            )
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InvalidInputError(f"seed={self.seed!r}: must be an integer ({self.name})")
        for split, size in self.sizes_by_split.items():
            if size is not None:
                check_size(split, size, self.name)


class SequenceTask(ArrowBasedBuilder):
    """Builder that generates the splits of the task named by `dataset_name`; use `get_builder` to create one."""

    BUILDER_CONFIG_CLASS = SequenceTaskConfig
    DEFAULT_WRITER_BATCH_SIZE = _ROWS_AT_ONCE

    @property
    def ref(self) -> TaskRef:
        """Task and config of this builder."""
        return TaskRef(self.config.task_file or str(self.dataset_name), self.config.name)

    def _info(self) -> DatasetInfo:
        ref = self.ref
        return DatasetInfo(
            description=f"{ref.definition.title}. {ref.definition.description}",
            citation=ref.definition.source,
            features=features_of(ref.schema),
        )

    def _split_generators(self, dl_manager: object) -> list[SplitGenerator]:
        sizes = chosen_sizes(self.ref, self.config.sizes_by_split)
        return [
            SplitGenerator(name=split, gen_kwargs={"split": split, "ranges": _shards(rows)})
            for split, rows in sizes.items()
        ]

    def _generate_tables(self, split: str, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, pa.Table]]:
        rows = Split(self.ref, split, self.config.seed)
        for start, stop in ranges:
            for first in range(start, stop, _ROWS_AT_ONCE):
                yield first, rows_table(rows, first, min(first + _ROWS_AT_ONCE, stop))


def get_builder(
    task: str | TaskRef,
    config: str | None = None,
    *,
    seed: int = 0,
    train_size: int | None = None,
    validation_size: int | None = None,
    test_size: int | None = None,
    cache_dir: str | None = None,
) -> SequenceTask:
    """Return the `datasets` builder of a config. Only the public API of `datasets` is used.

    Args:
        task: Name of a task, as in `qrsu`, or a task id, as in `qrsu/hard`.
        config: Name of a config; optional if the task has only one.
        seed: Seed of the generated rows, any integer.
        train_size: Number of rows of the split, at least 1; None for the published number.
        validation_size: As above.
        test_size: As above.
        cache_dir: Cache folder of `datasets`; None for its default.

    Raises:
        UnknownNameError: No such task or config, or no config given for a task with several.
        InvalidInputError: A size below 1, or a seed that is not an integer.
    """
    name = str(task)
    if config is None and "/" in name and not name.endswith(".py"):
        name, _, config = name.rpartition("/")
    found = get_task(name)
    if config is None:
        known = [each.name for each in found.configs]
        if len(known) > 1:
            raise UnknownNameError(f"no config given for {name}; known: {', '.join(known)}")
        config = known[0]
    # check all arguments before `datasets` creates a folder
    ref = TaskRef.parse(f"{name}/{config}")
    sizes = {"train": train_size, "validation": validation_size, "test": test_size}
    chosen_sizes(ref, sizes)
    published = published_sizes(ref)
    size_arguments = {f"{split}_size": None if size == published[split] else size for split, size in sizes.items()}
    return SequenceTask(
        dataset_name=found.name,
        config_name=config,
        hash=fingerprint(found),
        cache_dir=cache_dir,
        version=_version(found),
        seed=seed,
        task_file=name if name.endswith(".py") else None,
        **size_arguments,
    )


def load_dataset(
    task: str | TaskRef,
    config: str | None = None,
    *,
    split: str | None = None,
    streaming: bool = False,
    seed: int = 0,
    train_size: int | None = None,
    validation_size: int | None = None,
    test_size: int | None = None,
    num_proc: int | None = None,
    cache_dir: str | None = None,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict:
    """Load the rows of a config. Same result as `datasets.load_dataset(task, config)`, without a hook in `datasets`.

    Args:
        task: Name of a task, as in `qrsu`, or a task id, as in `qrsu/hard`.
        config: Name of a config; optional if the task has only one.
        split: `train`, `validation`, `test` or an expression of `datasets` like `train[:10%]`; None for all.
        streaming: Generate the rows while they are read, and write no files.
        seed: Seed of the generated rows, any integer.
        train_size: Number of rows of the split, at least 1; None for the published number.
        validation_size: As above.
        test_size: As above.
        num_proc: Number of processes; the rows do not depend on it.
        cache_dir: Cache folder of `datasets`; None for its default.

    Raises:
        UnknownNameError: No such task or config, or no config given for a task with several.
        InvalidInputError: A size below 1, or a seed that is not an integer.
        InvalidConfigError: `num_proc` with `streaming`.
    """
    if streaming and num_proc is not None:
        raise InvalidConfigError(
            f"num_proc={num_proc}: must be None with streaming=True; use the workers of a DataLoader instead"
        )
    builder = get_builder(
        task,
        config,
        seed=seed,
        train_size=train_size,
        validation_size=validation_size,
        test_size=test_size,
        cache_dir=cache_dir,
    )
    if streaming:
        return builder.as_streaming_dataset(split=split)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)


def features_of(schema: TaskSchema) -> Features:
    """Return the `datasets` features of a task schema."""
    classes = ClassLabel(names=list(schema.labels)) if schema.labels else None
    types = {
        "text": Value("string"),
        "input_ids": List(Value("int64")),
        "input_values": List(List(Value("float32"), length=schema.num_features)),
        "label": Value("float32") if classes is None else classes,
        "labels": List(Value("float32"), length=len(schema.numbers)) if schema.numbers else List(classes),
        "target": Value("string"),
    }
    return Features({name: types[name] for name in schema.columns})


def configs_of(task: Task[Any]) -> list[SequenceTaskConfig]:
    """Return the builder configs of a task."""
    return [
        SequenceTaskConfig(name=config.name, version=_version(task), description=task.title) for config in task.configs
    ]


def _version(task: Task[Any]) -> Version:
    return Version(f"{task.version}.0.0")


def _shards(rows: int) -> list[tuple[int, int]]:
    """Divide `rows` rows at block boundaries into a power of two of shards, as evenly as possible."""
    blocks = -(-rows // BLOCK_SIZE)
    shards = min(_MAX_SHARDS, 1 << blocks.bit_length() - 1)
    cuts = [min(rows, number * blocks // shards * BLOCK_SIZE) for number in range(shards + 1)]
    return list(pairwise(cuts))

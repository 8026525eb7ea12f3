"""Every task as a `datasets` builder: one class, and a config for each config of each task.

    >>> builder = get_builder("qrsu", "hard", train_size=2000)
    >>> builder.info.features["label"].names
    ['Q', 'R', 'S', 'U']

Rows are written as Arrow record batches straight from the task's arrays. They depend on the arguments alone: neither
on the number of processes nor on the shards. The cache of `datasets` gets an entry of its own for each choice of
seed and sizes, and keeps it until the task changes (see `fingerprint`).

No file is opened in this module: `datasets` replaces `open`, `os.path` and more in modules that define builders.
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

_ROWS_AT_ONCE = 8 * BLOCK_SIZE  # rows of a record batch: large enough to drown Python's overhead
_MOST_SHARDS = 16  # parts of a split that processes or streams may share; a power of two, so that they divide well


@dataclass
class SequenceTaskConfig(BuilderConfig):
    """What may be chosen about the rows of a config.

    Args:
        seed: Another seed gives other rows of the same law, any whole number.
        train_size: Rows, at least 1; None for as many as are published.
        validation_size: As above.
        test_size: As above.
        task_file: Path of the file that defines the task, where it is not a registered one.
    """

    seed: int = 0
    train_size: int | None = None
    validation_size: int | None = None
    test_size: int | None = None
    task_file: str | None = None  # of a task that is not registered

    @property
    def sizes_by_split(self) -> dict[str, int | None]:
        """Rows of each split, None for those that are published."""
        return {split: getattr(self, f"{split}_size") for split in SPLITS}

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: Features | None = None) -> str:
        """The name of the cache entry; `datasets` asks for it before it makes anything.

        What was given but equals the default leaves the name as it is, so that `seed=0` finds the published rows.
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
            raise InvalidConfigError(f"data_dir or data_files for {self.name}, whose rows are drawn, not read")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InvalidInputError(f"seed {self.seed!r} for {self.name}; a seed is a whole number")
        for split, size in self.sizes_by_split.items():
            if size is not None:
                check_size(split, size, self.name)


class SequenceTask(ArrowBasedBuilder):
    """Draws the splits of the task whose name is the builder's `dataset_name`; made by `get_builder`."""

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
    """The `datasets` builder of a config, made through public parts of `datasets` only.

    Args:
        task: Name of a task, as in `qrsu`; or task and config in one, as in `qrsu/hard`.
        config: Name of one of its configs; may be left out where there is but one.
        seed: Another seed gives other rows of the same law, any whole number.
        train_size: Rows of that split, at least 1; None for as many as are published.
        validation_size: As above.
        test_size: As above.
        cache_dir: Where `datasets` keeps what it built; None for its usual place.

    Raises:
        UnknownNameError: No such task or config, or no config given where there are several.
        InvalidInputError: A size below one, or a seed that is no whole number.
    """
    name = str(task)
    if config is None and "/" in name and not name.endswith(".py"):
        name, _, config = name.rpartition("/")
    found = get_task(name)
    if config is None:
        known = [each.name for each in found.configs]
        if len(known) > 1:
            raise UnknownNameError(f"no config given for {name}; pick one of: {', '.join(known)}")
        config = known[0]
    # whatever is wrong is refused before `datasets` makes a folder for it
    ref = TaskRef.parse(f"{name}/{config}")
    given = {"train": train_size, "validation": validation_size, "test": test_size}
    chosen_sizes(ref, given)
    published = published_sizes(ref)
    own = {f"{split}_size": None if size == published[split] else size for split, size in given.items()}
    return SequenceTask(
        dataset_name=found.name,
        config_name=config,
        hash=fingerprint(found),
        cache_dir=cache_dir,
        version=_version(found),
        seed=seed,
        task_file=name if name.endswith(".py") else None,
        **own,
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
    """The rows of a config, as `datasets.load_dataset(task, config)` gives them, without any hook in `datasets`.

    Args:
        task: Name of a task, as in `qrsu`; or task and config in one, as in `qrsu/hard`.
        config: Name of one of its configs; may be left out where there is but one.
        split: `train`, `validation`, `test` or an expression of `datasets` like `train[:10%]`; None for all.
        streaming: Draw the rows while they are read, and write nothing.
        seed: Another seed gives other rows of the same law, any whole number.
        train_size: Rows of that split, at least 1; None for as many as are published.
        validation_size: As above.
        test_size: As above.
        num_proc: Processes that draw; the rows are the same for any number.
        cache_dir: Where `datasets` keeps what it built; None for its usual place.

    Raises:
        UnknownNameError: No such task or config, or no config given where there are several.
        InvalidInputError: A size below one, or a seed that is no whole number.
        InvalidConfigError: Streaming with `num_proc`.
    """
    if streaming and num_proc is not None:
        raise InvalidConfigError(f"num_proc={num_proc} with streaming; the workers of a DataLoader share a stream")
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
    """The columns of a layout as `datasets` types."""
    classes = ClassLabel(names=list(schema.labels)) if schema.labels else None
    types = {
        "text": Value("string"),
        "input_values": List(List(Value("float32"), length=schema.num_features)),
        "label": Value("float32") if classes is None else classes,
        "labels": List(classes),
    }
    return Features({name: types[name] for name in schema.columns})


def configs_of(task: Task[Any]) -> list[SequenceTaskConfig]:
    """The configs of a task as `datasets` lists them."""
    return [
        SequenceTaskConfig(name=config.name, version=_version(task), description=task.title) for config in task.configs
    ]


def _version(task: Task[Any]) -> Version:
    return Version(f"{task.version}.0.0")


def _shards(rows: int) -> list[tuple[int, int]]:
    """Cut `rows` rows into whole blocks, as evenly as a power of two of shards allows."""
    blocks = -(-rows // BLOCK_SIZE)
    shards = min(_MOST_SHARDS, 1 << blocks.bit_length() - 1)
    cuts = [min(rows, number * blocks // shards * BLOCK_SIZE) for number in range(shards + 1)]
    return list(pairwise(cuts))

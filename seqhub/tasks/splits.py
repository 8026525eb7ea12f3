"""Splits of a task, with random access to examples and ranges of examples.

Generated splits have no end; their examples are generated in blocks (see `rng`), so example i always has the same
bytes. The splits of a config with few possible sequences are disjoint: each sequence belongs to one split, chosen by a
hash of its content, for every seed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.ragged import RaggedRows
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom, philox_key
from seqhub.tasks.schema import CUSTOM, NO_LABEL, Batch, Example, FiniteDomain, TaskConfig, TaskSchema

SPLITS = {"train": 8, "validation": 1, "test": 1}  # tenths of a finite domain that belong to each split

_BLOCKS_AT_ONCE = 8  # large enough to make Python's overhead negligible, small enough to stay in cache
_SHOWN_STEPS, _SHOWN_VALUES = 6, 4  # of real values, in `format_value`
_VALUES_AT_ONCE = 1 << 19  # most real values in the blocks that are generated together: 2 MiB, an L2 cache


class FileRows(NamedTuple):
    """Rows of a file that the user supplies, used instead of the rows of the task (see `data.local_files`).

    Attributes:
        schema: Schema of the rows.
        splits: Rows of each split.
        reading: How a file is read, for records and prediction; see `data.file_rows`.
        found: Counts of what was found in the file, for records; see `data.file_rows`.
    """

    schema: TaskSchema
    splits: Mapping[str, Batch | RaggedRows]
    reading: Mapping[str, Any] = MappingProxyType({})
    found: Mapping[str, Any] = MappingProxyType({})


class Split:
    """Random-access sequence of examples, endless if they are generated.

    Args:
        task: Task and config, as in `qrsu/hard`.
        name: `train`, `validation` or `test`.
        seed: Seed of the generated rows, any integer; must be 0 if the rows are fixed.
        file: Rows that the user supplies, for the config `custom`.

    Attributes:
        schema: Schema of the rows.
        size: Number of rows; None if they are generated without end.

    Raises:
        UnknownNameError: No such task, config or split.
        InvalidInputError: A seed that is not an integer, or not 0 for fixed rows; the config `custom` without a file,
            or a file for another config.

    >>> split = Split("qrsu/easy", "test", seed=0)
    >>> split[4_000_000] == split[4_000_000]
    True
    >>> [split[2], split[3]] == [example for batch in split.batches(2, 4) for example in split.examples(batch)]
    True
    """

    def __init__(self, task: str | TaskRef, name: str = "train", seed: int = 0, file: FileRows | None = None) -> None:
        ref = TaskRef.parse(task)
        if name not in SPLITS:
            raise UnknownNameError.of(f"split of {ref}", name, SPLITS)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise InvalidInputError(f"seed={seed!r}: must be an integer ({ref})")
        self.ref = ref
        self.task, self.config = ref.definition, ref.config
        if ref.is_custom and file is None:
            raise InvalidInputError(f"{ref}: no file given; this config needs a file with the rows")
        if not ref.is_custom and file is not None:
            raise InvalidInputError(f"{ref}: a file was given; only the config {CUSTOM.name!r} takes one")
        self.schema = self.task.schema(self.config) if file is None else file.schema
        self.name = name
        self.seed = seed
        self._rows = self.task.rows(self.config, name) if file is None else file.splits[name]
        self.size = None if self._rows is None else len(self._rows)
        if self.size is not None and seed != 0:
            raise InvalidInputError(f"seed={seed}: must be 0 for {ref}, which has fixed rows")
        self.key = philox_key(
            {
                "task": self.task.name,
                "version": self.task.version,
                "config": self.config.parameters(),
                "split": name,
                "seed": seed,
            }
        )

    @property
    def ragged(self) -> RaggedRows | None:
        """Rows of a file that are stored without padding; None for other rows."""
        return self._rows if isinstance(self._rows, RaggedRows) else None

    @property
    def longest(self) -> int:
        """Number of steps of the longest sequence."""
        return self.config.length[1] if self._rows is None else int(self._rows.lengths.max(initial=1))

    def blocks(self, first: int, count: int) -> Batch:
        """Return `count` blocks of 1,024 examples from block `first` on; the last one of fixed rows may be shorter."""
        if self._rows is not None:
            return self._rows[first * BLOCK_SIZE : (first + count) * BLOCK_SIZE]
        random = BlockRandom(self.key, first, count, self.name)
        part = _domain_of_split(self.task, self.config, self.name)
        if part is None:
            return self.task.generate(self.config, random)
        batch, cumulative_weights = part
        positions = random.integers(0, int(cumulative_weights[-1]) - 1)
        return batch[np.searchsorted(cumulative_weights, positions, side="right")]

    def legal_steps(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return the ids that may follow each step of examples `start` to `stop` (excluded), see `Task.legal_steps`."""
        first = start // BLOCK_SIZE
        count = -(-stop // BLOCK_SIZE) - first
        generated = self._rows is None and self.task.finite_domain(self.config) is None
        random = BlockRandom(self.key, first, count, self.name) if generated else None
        legal = self.task.legal_steps(self.config, self.blocks(first, count), random)
        return legal[start - first * BLOCK_SIZE : stop - first * BLOCK_SIZE]

    def batches(self, start: int, stop: int | None = None) -> Iterator[Batch]:
        """Yield examples `start` to `stop` (excluded; None for no end) in batches of up to 8 blocks."""
        if start < 0 or (stop is not None and stop < start):
            raise InvalidInputError(f"start={start}, stop={stop}: must be 0 <= start <= stop ({self.task.name})")
        if self.size is not None:
            if start > self.size or (stop is not None and stop > self.size):
                where = f"{self.task.name}/{self.config.name} {self.name}"
                raise InvalidInputError(
                    f"start={start}, stop={stop}: must be at most {self.size:,}, the rows of {where}"
                )
            stop = self.size if stop is None else stop
        width = self.schema.num_features or (2 if self.schema.target == "step_class" else 0)  # a class has 8 bytes
        values = BLOCK_SIZE * self.config.length[1] * width
        if self.ragged is not None:  # one long row makes all rows of a batch long
            values = _VALUES_AT_ONCE
        most = min(_BLOCKS_AT_ONCE, max(1, _VALUES_AT_ONCE // values)) if values else _BLOCKS_AT_ONCE
        while stop is None or start < stop:
            first = start // BLOCK_SIZE
            count = most if stop is None else min(most, -(-stop // BLOCK_SIZE) - first)
            end = (first + count) * BLOCK_SIZE
            end = end if stop is None else min(end, stop)
            offset = first * BLOCK_SIZE
            yield self.blocks(first, count)[start - offset : end - offset]
            start = end

    def __getitem__(self, index: int) -> Example:
        """Return example `index`, counted from 0; generates one block."""
        (batch,) = self.batches(index, index + 1)
        return self.examples(batch)[0]

    def examples(self, batch: Batch) -> list[Example]:
        """Return the rows of a batch in human-readable form."""
        vocabulary, names = self.schema.vocabulary, self.schema.labels
        inputs: Sequence[Any]
        if vocabulary is None:
            inputs = [values[:n] for values, n in zip(batch.inputs, batch.lengths, strict=True)]
        else:
            inputs = batch.texts() if vocabulary.bytewise else vocabulary.decode_batch(batch.inputs)
        targets: Sequence[Any] = [None] * len(batch)
        if self.schema.target == "class":
            targets = [names[label] for label in batch.labels]
        elif self.schema.target in ("number", "numbers"):
            targets = batch.labels.tolist()
        elif self.schema.target == "multi_label":
            targets = [[name for name, holds in zip(names, row, strict=True) if holds] for row in batch.labels]
        elif self.schema.target == "step_class":
            targets = [
                [None if label == NO_LABEL else names[label] for label in row[:n]]
                for row, n in zip(batch.labels, batch.lengths, strict=True)
            ]
        elif self.schema.target_vocabulary is not None:
            targets = [self.schema.target_vocabulary.decode(row[row != NO_LABEL]) for row in batch.labels]
        return [Example(*pair) for pair in zip(inputs, targets, strict=True)]


def format_value(value: Any) -> str:
    """Return the inputs or the target of an example as one line; for real values, the shape and the first values.

    >>> format_value(np.array([[0.5, 1.0], [0.25, 0.0]])), format_value(["a", None])
    ('2 x 2: [[0.5, 1.0], [0.25, 0.0]]', 'a -')
    """
    if isinstance(value, np.ndarray):
        steps = [[round(float(number), 3) for number in step] for step in value[:_SHOWN_STEPS, :_SHOWN_VALUES]]
        more = " ..." if len(value) > _SHOWN_STEPS or value.shape[1] > _SHOWN_VALUES else ""
        return f"{' x '.join(map(str, value.shape))}: {steps}{more}"
    if isinstance(value, list):
        return " ".join("-" if each is None else str(each) for each in value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)


@lru_cache(maxsize=32)
def _domain_of_split(task: Task[Any], config: TaskConfig, name: str) -> tuple[Batch, NDArray[np.int64]] | None:
    """Return the sequences of a finite domain in split `name` and their cumulative weights; None without one."""
    finite_domain = task.finite_domain(config)
    if finite_domain is None:
        return None
    members = np.flatnonzero(_split_indices(task, config) == list(SPLITS).index(name))
    return finite_domain.batch[members], np.cumsum(finite_domain.weights[members])


@lru_cache(maxsize=8)
def _split_indices(task: Task[Any], config: TaskConfig) -> NDArray[np.int64]:
    finite_domain = task.finite_domain(config)
    assert finite_domain is not None, "checked by the caller"
    return split_indices(finite_domain)


def split_indices(finite_domain: FiniteDomain) -> NDArray[np.int64]:
    """Return the split of each sequence of a finite domain, as an index into SPLITS: (N,).

    The assignment is stratified: sequences of equal label and weight form a stratum, in which they are ranked by hash
    and divided in the proportions of SPLITS. So every split keeps the distribution of classes and lengths.
    """
    shares = np.cumsum(list(SPLITS.values())) / sum(SPLITS.values())
    sequences = zip(finite_domain.batch.inputs, finite_domain.batch.lengths, strict=True)
    hashes = np.array([hashlib.sha256(row[:n].tobytes()).digest()[:8] for row, n in sequences]).view(">u8")
    indices = np.empty(len(finite_domain.batch), dtype=np.int64)
    labels = finite_domain.batch.labels
    classes = labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)  # targets that are sequences have none
    weights = finite_domain.weights
    for label, weight in sorted(set(zip(classes.tolist(), weights.tolist(), strict=True))):
        members = np.flatnonzero((classes == label) & (weights == weight))
        ranked = members[np.argsort(hashes[members], kind="stable")]
        indices[ranked] = np.searchsorted(shares, (np.arange(len(ranked)) + 0.5) / len(ranked))
    return indices

"""Splits of a task: example i of any of them, a range, or the whole, always the same bytes.

A split without end is drawn by blocks (see `rng`). Where a config can draw only few different sequences, its splits
are made disjoint: each sequence belongs to one split, chosen by a hash of its content, whatever the seed.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom, philox_key
from seqhub.tasks.schema import CUSTOM, NO_LABEL, Batch, Example, FiniteDomain, TaskConfig, TaskSchema

SPLITS = {"train": 8, "validation": 1, "test": 1}  # tenths of a listable support that each split owns

_BLOCKS_AT_ONCE = 8  # large enough to drown Python's overhead, small enough to stay in cache
_SHOWN_STEPS, _SHOWN_VALUES = 6, 4  # of real values, for people
_VALUES_AT_ONCE = 1 << 24  # real values in the blocks drawn together: 64 MiB, of however many blocks


class FileRows(NamedTuple):
    """All rows of a file of the user's, which stand in place of a task's (see `data.local_files`)."""

    schema: TaskSchema
    splits: dict[str, Batch]


class Split:
    """A random-access sequence of examples: without end where they are drawn, else all rows that there are.

    Args:
        task: Task and config, as in `qrsu/hard`.
        name: `train`, `validation` or `test`.
        seed: Another seed gives other draws from the same law, any whole number; 0 where the rows are given.
        file: Rows of the user's, for the config `own`.

    Attributes:
        schema: What the rows hold.
        size: How many there are; None for no end.

    Raises:
        UnknownNameError: No such task, config or split.
        InvalidInputError: A seed that is no whole number, or another than 0 for rows that are given; or the rows
            of a file are wanted and there is none.

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
            raise InvalidInputError(f"seed {seed!r} of {ref}; a seed is a whole number")
        self.ref = ref
        self.task, self.config = ref.definition, ref.config
        if ref.is_custom and file is None:
            raise InvalidInputError(f"{ref} has the rows of a file, and none is given here")
        if not ref.is_custom and file is not None:
            raise InvalidInputError(f"rows of a file for {ref}; need the config {CUSTOM.name!r}")
        self.schema = self.task.schema(self.config) if file is None else file.schema
        self.name = name
        self.seed = seed
        self._rows = self.task.rows(self.config, name) if file is None else file.splits[name]
        self.size = None if self._rows is None else len(self._rows)
        if self.size is not None and seed != 0:
            raise InvalidInputError(f"seed {seed} of {ref}, whose rows are given, not drawn; need 0")
        self.key = philox_key(
            {
                "task": self.task.name,
                "version": self.task.version,
                "config": self.config.parameters(),
                "split": name,
                "seed": seed,
            }
        )

    def blocks(self, first: int, count: int) -> Batch:
        """Examples of `count` blocks of 1,024 from block `first` on; the last of given rows may be shorter."""
        if self._rows is not None:
            return self._rows[first * BLOCK_SIZE : (first + count) * BLOCK_SIZE]
        random = BlockRandom(self.key, first, count, self.name)
        part = _part_of_support(self.task, self.config, self.name)
        if part is None:
            return self.task.generate(self.config, random)
        batch, ceilings = part
        drawn = random.integers(0, int(ceilings[-1]) - 1)
        return batch[np.searchsorted(ceilings, drawn, side="right")]

    def batches(self, start: int, stop: int | None = None) -> Iterator[Batch]:
        """Examples `start` to `stop` (not included; None for all that there are), in batches of up to 8 blocks."""
        if start < 0 or (stop is not None and stop < start):
            raise InvalidInputError(f"examples {start} to {stop} of {self.task.name}; need 0 <= start <= stop")
        if self.size is not None:
            if start > self.size or (stop is not None and stop > self.size):
                given = f"{self.task.name}/{self.config.name} {self.name}"
                raise InvalidInputError(f"examples {start} to {stop} of {given}, which has {self.size:,}")
            stop = self.size if stop is None else stop
        values = BLOCK_SIZE * self.config.length[1] * self.schema.num_features
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
        """Example number `index`, from 0 on; costs one block."""
        (batch,) = self.batches(index, index + 1)
        return self.examples(batch)[0]

    def examples(self, batch: Batch) -> list[Example]:
        """The rows of a batch as a person reads them."""
        vocabulary, names = self.schema.vocabulary, self.schema.labels
        inputs: Sequence[Any]
        if vocabulary is None:
            inputs = [values[:n] for values, n in zip(batch.inputs, batch.lengths, strict=True)]
        else:
            inputs = batch.texts() if vocabulary.bytewise else vocabulary.decode_batch(batch.inputs)
        targets: Sequence[Any] = [None] * len(batch)
        if self.schema.target == "class":
            targets = [names[label] for label in batch.labels]
        elif self.schema.target == "number":
            targets = batch.labels.tolist()
        elif self.schema.target == "step_class":
            targets = [
                [None if label == NO_LABEL else names[label] for label in row[:n]]
                for row, n in zip(batch.labels, batch.lengths, strict=True)
            ]
        return [Example(*pair) for pair in zip(inputs, targets, strict=True)]


def format_value(value: Any) -> str:
    """Inputs or target of an example in one line; of real values the shape and the first few.

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
def _part_of_support(task: Task[Any], config: TaskConfig, name: str) -> tuple[Batch, NDArray[np.int64]] | None:
    """The sequences that split `name` owns and the upper ends of their shares, or None if not listable.

    Sequences of equal label and weight form a stratum; within it they are ranked by hash and dealt out in the
    proportions of SPLITS. So every split keeps the law of the whole, class by class and length by length.
    """
    finite_domain = task.finite_domain(config)
    if finite_domain is None:
        return None
    owned = np.flatnonzero(split_indices(finite_domain) == list(SPLITS).index(name))
    return finite_domain.batch[owned], np.cumsum(finite_domain.weights[owned])


def split_indices(finite_domain: FiniteDomain) -> NDArray[np.int64]:
    """Which split, as an index into SPLITS, owns each sequence of a support: (N,)."""
    shares = np.cumsum(list(SPLITS.values())) / sum(SPLITS.values())
    sequences = zip(finite_domain.batch.inputs, finite_domain.batch.lengths, strict=True)
    hashes = np.array([hashlib.sha256(row[:n].tobytes()).digest()[:8] for row, n in sequences]).view(">u8")
    owners = np.empty(len(finite_domain.batch), dtype=np.int64)
    strata = np.stack([finite_domain.batch.labels, finite_domain.weights])
    for stratum in np.unique(strata, axis=1).T:
        members = np.flatnonzero((strata == stratum[:, None]).all(axis=0))
        ranked = members[np.argsort(hashes[members], kind="stable")]
        owners[ranked] = np.searchsorted(shares, (np.arange(len(ranked)) + 0.5) / len(ranked))
    return owners

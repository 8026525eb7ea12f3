"""Endless splits of a task: example i of any of them, a range, or the whole, always the same bytes.

A split is drawn by blocks (see `rng`). Where a config can draw only few different sequences, its splits are made
disjoint: each sequence belongs to one split, chosen by a hash of its content, whatever the seed.
"""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError, UnknownNameError
from seqhub.tasks.base import Batch, Example, Support, Task, TaskConfig
from seqhub.tasks.registry import resolve
from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom, philox_key

SPLITS = {"train": 8, "validation": 1, "test": 1}  # tenths of a listable support that each split owns

_BLOCKS_AT_ONCE = 8  # large enough to drown Python's overhead, small enough to stay in cache


class Split:
    """An endless, random-access sequence of labelled examples.

    Args:
        address: Task and config, as in `qrsu/hard`.
        name: `train`, `validation` or `test`.
        seed: Another seed gives other draws from the same law, any whole number.

    >>> split = Split("qrsu/easy", "test", seed=0)
    >>> split[4_000_000] == split[4_000_000]
    True
    >>> [split[2], split[3]] == [Example(t, split.task.labels[i])
    ...     for batch in split.batches(2, 4) for t, i in zip(batch.texts(), batch.labels)]
    True
    """

    def __init__(self, address: str, name: str = "train", seed: int = 0) -> None:
        if name not in SPLITS:
            raise UnknownNameError.of(f"split of {address}", name, SPLITS)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise InvalidInputError(f"seed {seed!r} of {address}; a seed is a whole number")
        self.task, self.config = resolve(address)
        self.name = name
        self.seed = seed
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
        """Examples of `count` whole blocks of 1,024 from block `first` on."""
        random = BlockRandom(self.key, first, count)
        part = _part_of_support(self.task, self.config, self.name)
        if part is None:
            return self.task.generate(self.config, random)
        batch, ceilings = part
        drawn = random.integers(0, int(ceilings[-1]) - 1)
        return batch[np.searchsorted(ceilings, drawn, side="right")]

    def batches(self, start: int, stop: int | None = None) -> Iterator[Batch]:
        """Examples `start` to `stop` (not included; None for no end), in batches of up to 8 blocks."""
        if start < 0 or (stop is not None and stop < start):
            raise InvalidInputError(f"examples {start} to {stop} of {self.task.name}; need 0 <= start <= stop")
        while stop is None or start < stop:
            first = start // BLOCK_SIZE
            count = _BLOCKS_AT_ONCE if stop is None else min(_BLOCKS_AT_ONCE, -(-stop // BLOCK_SIZE) - first)
            end = (first + count) * BLOCK_SIZE
            end = end if stop is None else min(end, stop)
            offset = first * BLOCK_SIZE
            yield self.blocks(first, count)[start - offset : end - offset]
            start = end

    def __getitem__(self, index: int) -> Example:
        """Example number `index`, from 0 on; costs one block."""
        (batch,) = self.batches(index, index + 1)
        return Example(batch.texts()[0], self.task.labels[batch.labels[0]])


@lru_cache(maxsize=32)
def _part_of_support(task: Task[Any], config: TaskConfig, name: str) -> tuple[Batch, NDArray[np.int64]] | None:
    """The sequences that split `name` owns and the upper ends of their shares, or None if not listable.

    Sequences of equal label and weight form a stratum; within it they are ranked by hash and dealt out in the
    proportions of SPLITS. So every split keeps the law of the whole, class by class and length by length.
    """
    support = task.support(config)
    if support is None:
        return None
    owned = np.flatnonzero(owner_of(support) == list(SPLITS).index(name))
    return support.batch[owned], np.cumsum(support.weights[owned])


def owner_of(support: Support) -> NDArray[np.int64]:
    """Which split, as an index into SPLITS, owns each sequence of a support: (N,)."""
    shares = np.cumsum(list(SPLITS.values())) / sum(SPLITS.values())
    hashes = np.array([hashlib.sha256(text.encode()).digest()[:8] for text in support.batch.texts()]).view(">u8")
    owners = np.empty(len(support.batch), dtype=np.int64)
    strata = np.stack([support.batch.labels, support.weights])
    for stratum in np.unique(strata, axis=1).T:
        members = np.flatnonzero((strata == stratum[:, None]).all(axis=0))
        ranked = members[np.argsort(hashes[members], kind="stable")]
        owners[ranked] = np.searchsorted(shares, (np.arange(len(ranked)) + 0.5) / len(ranked))
    return owners

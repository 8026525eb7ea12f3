"""Endless stream of newly generated examples, as a `datasets.IterableDataset`.

One process reads blocks 0, 1, 2 ... of the split, so a stream begins with the rows of the published table. Several
readers divide the blocks: block b is for reader b mod the number of readers. `split_dataset_by_node` divides the blocks
between ranks, and a DataLoader divides those of a rank between its workers. Any block is generated in a fifth of a
millisecond, so readers do not generate blocks of others, and resuming at any position is exact and immediate.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import DatasetInfo, IterableDataset, NamedSplit
from datasets.iterable_dataset import _BaseExamplesIterable

from seqhub.data.arrow import batch_table
from seqhub.data.builder import features_of
from seqhub.errors import InvalidConfigError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE
from seqhub.tasks.splits import Split

NUM_SHARDS = 2**10 * 3**2 * 5 * 7
"""Largest number of readers of a stream. If the number of ranks divides the number of shards, `split_dataset_by_node`
gives each rank its shards; otherwise every rank generates all examples. So this number is divisible by 1 to 10, 12, 14,
15, 16, 18, 20, 21, 24, 28, 30, 32, ..., 1024. Shards are only block numbers, so they need no memory."""


def stream(task: str | TaskRef, split: str = "train", seed: int = 0) -> IterableDataset:
    """Return an endless dataset of newly generated examples of a split, with the columns of its schema.

    Works with `split_dataset_by_node`, DataLoader workers (at most `NUM_SHARDS` readers in total) and
    `state_dict()` / `load_state_dict()`. `.shuffle()` does not change the order of blocks, which are independent.

    Args:
        task: Task and config, as in `qrsu/hard`.
        split: `train`, `validation` or `test`.
        seed: Seed of the generated examples, any integer.

    Raises:
        UnknownNameError: No such task, config or split.
        InvalidInputError: A seed that is not an integer.
        InvalidConfigError: The config has fixed rows.

    >>> examples = stream("qrsu/easy", seed=3)
    >>> next(iter(examples))["text"] == Split("qrsu/easy", "train", seed=3)[0].inputs
    True
    """
    rows = Split(task, split, seed)
    if rows.size is not None:
        raise InvalidConfigError(f"stream of {rows.ref}, which has {rows.size:,} fixed {split} rows; use load_dataset")
    blocks = _Blocks(rows)
    info = DatasetInfo(features=blocks.features, citation=rows.task.source)
    return IterableDataset(blocks, info=info, split=NamedSplit(split))


class _Blocks(_BaseExamplesIterable):  # the interface between IterableDataset and its examples
    """Blocks first, first + step, first + 2 step ... of a split.

    Args:
        split: Split of the blocks.
        first: Number of the first block.
        step: Difference between consecutive blocks.
        shards: Largest number of readers that can divide these blocks.
    """

    def __init__(self, split: Split, first: int = 0, step: int = 1, shards: int = NUM_SHARDS) -> None:
        super().__init__()
        self.split = split
        self.first = first
        self.step = step
        self.shards = shards

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        block, example = self._position()
        while True:
            rows = self._table(block).to_pylist()
            for number in range(example, BLOCK_SIZE):
                self._move(block, number + 1)
                yield f"{block}_{number}", rows[number]
            block, example = block + 1, 0

    @property
    def iter_arrow(self) -> Callable[[], Iterator[tuple[str, pa.Table]]]:
        return self._iter_arrow

    def _iter_arrow(self) -> Iterator[tuple[str, pa.Table]]:
        block, example = self._position()
        schema = self.features.arrow_schema
        while True:
            table = self._table(block).cast(schema)
            self._move(block + 1, 0)
            yield str(block), table.slice(example)
            block, example = block + 1, 0

    def _table(self, block: int) -> pa.Table:
        """Return block `block`, counted among the blocks of this reader."""
        return batch_table(self.split.blocks(self.first + block * self.step, 1), self.split.schema)

    @property
    def features(self) -> Any:
        return features_of(self.split.schema)

    @property
    def is_typed(self) -> bool:
        return True

    @property
    def num_shards(self) -> int:
        return self.shards

    @property
    def sleep_on_threads_shutdown(self) -> bool:
        return False

    def shard_data_sources(self, num_shards: int, index: int, contiguous: bool = True) -> "_Blocks":
        """Return the blocks of reader `index` of `num_shards`."""
        remaining = len(range(index, self.shards, num_shards))
        return _Blocks(self.split, self.first + index * self.step, self.step * num_shards, remaining)

    def shuffle_data_sources(self, generator: np.random.Generator) -> "_Blocks":
        """Return the same blocks; they are independent, so their order does not matter."""
        return self

    def reshard_data_sources(self) -> "_Blocks":
        return self

    def _init_state_dict(self) -> dict[str, Any]:
        self._state_dict = {**self._identity(), "block": 0, "example": 0, "type": type(self).__name__}
        return self._state_dict

    def _identity(self) -> dict[str, Any]:
        return {"address": str(self.split.ref), "split": self.split.name, "seed": self.split.seed}

    def _position(self) -> tuple[int, int]:
        """Return the block, counted among the blocks of this reader, and the example in it."""
        state = self._state_dict
        if not state:
            return 0, 0
        for name, value in self._identity().items():
            if state[name] != value:  # `datasets` has loaded the position into this dictionary
                raise InvalidConfigError(f"position of a stream with {name}={state[name]!r}; this one has {value!r}")
        return state["block"], state["example"]

    def _move(self, block: int, example: int) -> None:
        if self._state_dict:
            self._state_dict["block"], self._state_dict["example"] = block, example

"""Fresh examples without end, as a `datasets.IterableDataset`.

One process reads blocks 0, 1, 2 ... of the split, so a stream begins with the very rows of the published table. Where
it is shared, block b goes to reader b mod the number of readers: to ranks by `split_dataset_by_node`, and what a rank
has to the workers of its DataLoader in the same way. A block is drawn in a fifth of a millisecond wherever it lies,
so nobody draws what others read, and resuming is exact and immediate however far the stream has got.
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
"""How many readers may share a stream. `split_dataset_by_node` hands out shards where the number of ranks divides that
of shards, and makes every rank draw everything otherwise; this one is divided by 1 to 10, 12, 14, 15, 16, 18, 20, 21,
24, 28, 30, 32, ..., 1024. Shards cost nothing: they are numbers of blocks."""


def stream(task: str | TaskRef, split: str = "train", seed: int = 0) -> IterableDataset:
    """Return an endless dataset of newly generated examples of a split, with the columns of its schema.

    Works with `split_dataset_by_node`, DataLoader workers (at most `NUM_SHARDS` readers in all) and
    `state_dict()` / `load_state_dict()`. `.shuffle()` leaves the order of the blocks, as they are drawn independently.

    Args:
        task: Task and config, as in `qrsu/hard`.
        split: `train`, `validation` or `test`.
        seed: Another seed gives other examples of the same law, any whole number.

    Raises:
        UnknownNameError: No such task, config or split.
        InvalidInputError: A seed that is no whole number.
        InvalidConfigError: The rows of that config are given, not drawn.

    >>> examples = stream("qrsu/easy", seed=3)
    >>> next(iter(examples))["text"] == Split("qrsu/easy", "train", seed=3)[0].inputs
    True
    """
    rows = Split(task, split, seed)
    if rows.size is not None:
        raise InvalidConfigError(
            f"a stream of {rows.ref}, whose {rows.size:,} {split} rows are given; load the dataset"
        )
    blocks = _Blocks(rows)
    info = DatasetInfo(features=blocks.features, citation=rows.task.source)
    return IterableDataset(blocks, info=info, split=NamedSplit(split))


class _Blocks(_BaseExamplesIterable):  # what `datasets` iterates over; its methods are called from there
    """Blocks first, first + step, first + 2 step ... of a split.

    Args:
        split: Whose blocks.
        first: Number of the first.
        step: From one to the next.
        shards: Among how many readers these blocks may still be shared.
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
        """Block number `block` of those that this reader has."""
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
        """The part of reader `index` of `num_shards`."""
        left = len(range(index, self.shards, num_shards))
        return _Blocks(self.split, self.first + index * self.step, self.step * num_shards, left)

    def shuffle_data_sources(self, generator: np.random.Generator) -> "_Blocks":
        """The same blocks: in another order they would be no fresher."""
        return self

    def reshard_data_sources(self) -> "_Blocks":
        return self

    def _init_state_dict(self) -> dict[str, Any]:
        self._state_dict = {**self._identity(), "block": 0, "example": 0, "type": type(self).__name__}
        return self._state_dict

    def _identity(self) -> dict[str, Any]:
        return {"address": str(self.split.ref), "split": self.split.name, "seed": self.split.seed}

    def _position(self) -> tuple[int, int]:
        """Block, counted among one's own, and example within it."""
        state = self._state_dict
        if not state:
            return 0, 0
        for name, value in self._identity().items():
            if state[name] != value:  # `datasets` writes a loaded position into this very dictionary
                raise InvalidConfigError(f"position of a stream with {name}={state[name]!r}; this one has {value!r}")
        return state["block"], state["example"]

    def _move(self, block: int, example: int) -> None:
        if self._state_dict:
            self._state_dict["block"], self._state_dict["example"] = block, example

"""Batches for training: the columns are taken out of Arrow once, then every batch is one gather.

Reading rows of a `Dataset` costs some 30 microseconds each, whatever the format. A feed reads the Arrow buffers once,
keeps them as one padded array (see `columns`) and hands out slices of it, or takes fresh examples straight from the
task. Rows, order and position are the same whatever the number of processes, so a run may even be resumed on another
number of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqhub.data.arrow import as_table, rows_table
from seqhub.data.collate import CollatedArrays, collate_batch, collate_table, to_tensors
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE, philox_key
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import Split

if TYPE_CHECKING:  # a feed of fresh examples needs no `datasets`, which takes a second or two to import
    import pyarrow as pa
    from datasets import Dataset


class BatchLoader(ABC):
    """What the two feeds share: the slice of each batch that a process gets, and the position.

    Iterating yields dictionaries of

    - `input_ids` (B, T), int64: 0 where padded (on the right), symbol number k is k + 1; or `input_values` (B, T, F),
      float32, 0.0 where padded;
    - `attention_mask` (B, T), int64: 1 at real steps;
    - `labels`, by `TaskSchema.target`: `class` (B,) int64; `number` (B,) float32; `step_class` (B, T) int64,
      NO_LABEL where a step does not count; `next_symbol` the ids, NO_LABEL where padded (models shift them); `inputs`
      the values.

    `batch_size` counts the rows of all `world_size` processes together. Process `rank` gets a contiguous slice of
    each batch, and T is the longest of the *whole* batch, so the slices in order of rank are the batch that one
    process would get. The slice is empty where a batch has fewer rows than processes.

    A new iterator starts at the current position, also after a loop that ended early; see `DatasetLoader.restart`.

    Args:
        batch_size: Rows of a batch, over all processes; at least `world_size` unless `allow_empty`.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        pad_to: T of every batch; None for the longest of each.
        allow_empty: Allow batches with fewer rows than processes.
    """

    def __init__(
        self, batch_size: int, rank: int, world_size: int, pad_to: int | None, allow_empty: bool = False
    ) -> None:
        if not 0 <= rank < world_size:
            raise InvalidConfigError(f"rank {rank} of world_size {world_size}; need 0 <= rank < world_size")
        if batch_size < (1 if allow_empty else world_size):
            raise InvalidConfigError(f"batch_size {batch_size}; need a row or more for each of {world_size} processes")
        if pad_to is not None and pad_to < 1:
            raise InvalidConfigError(f"pad_to {pad_to}; need at least 1, or None for the longest of each batch")
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.pad_to = pad_to
        self.epoch = 0  # of the next batch
        self.batch = 0  # number of the next batch within its epoch

    @abstractmethod
    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Yield batches from the current position on."""

    @abstractmethod
    def next_arrays(self, batches: int) -> CollatedArrays:
        """The rows of the next batches of all processes one after the other, fewer at the end of an epoch.

        The position moves on as if they had been iterated over; what comes is as wide as the feed finds it, not cut to
        the longest row.

        Args:
            batches: How many, 1 or more.
        """

    @property
    @abstractmethod
    def rows_seen(self) -> int:
        """Rows handed out so far, over all processes: those before the current position."""

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """What must be equal for a position to mean the same batch."""

    def state_dict(self) -> dict[str, Any]:
        """The position: of the batch that comes next, on every process the same."""
        return {"epoch": self.epoch, "batch": self.batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a position; the next iterator starts there.

        Raises:
            InvalidConfigError: The position belongs to a feed of other rows, order or batch size.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise InvalidConfigError(f"position of a feed with {name}={state.get(name)!r}; this one has {value!r}")
        self.epoch, self.batch = state["epoch"], state["batch"]

    def slice_of(self, rows: int) -> slice:
        """The part of a batch of `rows` that belongs to this process."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    def _width(self, lengths: NDArray[np.integer]) -> int:
        longest = int(lengths.max())
        if self.pad_to is None:
            return longest
        if longest > self.pad_to:
            raise InvalidInputError(f"a sequence of {longest} steps; pad_to allows {self.pad_to}")
        return self.pad_to


class DatasetLoader(BatchLoader):
    """Batches of a data set, epoch after epoch, each in an order of its own.

    `for batch in feed` runs to the end of the current epoch; the next loop is the next epoch. `len(feed)` is the
    number of batches in an epoch. The order of an epoch depends on `seed` and the epoch's number alone.

    Args:
        rows: A `datasets.Dataset` (its selection and order are kept) or a table, with the columns of the layout.
        schema: What the rows hold.
        shuffle: False keeps the order of the rows.
        seed: Seed of the order.
        order_seed: Where given, the order is that of torch's `DataLoader` instead, see `torch_order`.
        drop_last: Leave out the last batch of an epoch where it is not full.

    Raises:
        InvalidInputError: No rows, a missing column or value, a sequence without steps, a symbol outside the alphabet,
            steps of the wrong number of values, NaN or infinity; the message names row and position.
    """

    def __init__(
        self,
        rows: "Dataset | pa.Table",
        schema: TaskSchema,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        order_seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        pad_to: int | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(batch_size, rank, world_size, pad_to, allow_empty)
        table = as_table(rows)
        self._columns = collate_table(table, schema)
        self._width(self._columns.lengths)  # a pad_to too small shows here rather than in some epoch
        self.shuffle = shuffle
        self.seed = seed
        self.order_seed = order_seed
        self.drop_last = drop_last
        self._ordered: tuple[int, NDArray[np.int64]] | None = None  # an epoch and its order
        if not len(self):
            raise InvalidConfigError(f"{table.num_rows} rows give no full batch of {batch_size}; allow drop_last=False")

    def __len__(self) -> int:
        rows = len(self._columns)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        epoch, batches = self.epoch, len(self)
        order = self._order(epoch)
        for batch in range(self.batch, batches):
            # the position moves on before the batch leaves: a state saved while it is in use names the one after it
            self.epoch, self.batch = (epoch, batch + 1) if batch + 1 < batches else (epoch + 1, 0)
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            width = self._width(self._columns.lengths[rows])
            yield to_tensors(self._columns[rows[self.slice_of(len(rows))]], width)

    def restart(self) -> None:
        """Go to the first row of the first epoch; the next iterator starts there."""
        self.epoch = self.batch = 0

    def next_arrays(self, batches: int) -> CollatedArrays:
        epoch, first = self.epoch, self.batch
        last = min(first + batches, len(self))
        self.epoch, self.batch = (epoch, last) if last < len(self) else (epoch + 1, 0)
        return self._columns[self._order(epoch)[first * self.batch_size : last * self.batch_size]]

    @property
    def rows_per_epoch(self) -> int:
        """Rows of one pass, over all processes."""
        return len(self) * self.batch_size if self.drop_last else len(self._columns)

    @property
    def rows_seen(self) -> int:
        return self.epoch * self.rows_per_epoch + self.batch * self.batch_size

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers of an epoch in order: (N,)."""
        if self._ordered is None or self._ordered[0] != epoch:
            self._ordered = epoch, self._draw_order(epoch)
        return self._ordered[1]

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers of an epoch in order: those of Philox words when sorted, so NumPy keeps it for ever."""
        rows = len(self._columns)
        if not self.shuffle:
            return np.arange(rows)
        if self.order_seed is not None:
            return torch_order(rows, self.order_seed, epoch)
        random = np.random.Philox(key=philox_key({"order": "epoch", "seed": self.seed, "epoch": epoch}))
        return np.argsort(random.random_raw(rows), kind="stable")

    def _identity(self) -> dict[str, Any]:
        facts = ("batch_size", "shuffle", "seed", "order_seed", "drop_last")
        return {"rows": len(self._columns), **{name: getattr(self, name) for name in facts}}


def torch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Row numbers of an epoch in the order of `DataLoader(shuffle=True)` after `torch.manual_seed(seed)`.

    So goes a plain PyTorch program in which nothing else draws: each epoch takes two words of the generator, one for
    workers to be seeded by and one for the permutation.

    Returns:
        (rows,), a permutation.

    >>> torch_order(4, seed=42, epoch=0).tolist() == torch_order(4, seed=42, epoch=0).tolist()
    True
    """
    words = torch.empty(2 * (epoch + 1), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(seed))
    order: NDArray[np.int64] = torch.randperm(rows, generator=torch.Generator().manual_seed(int(words[-1]))).numpy()
    return order


def loader_of(
    split: Split, batch_size: int, rank: int = 0, world_size: int = 1, *, allow_empty: bool = False
) -> "DatasetLoader | StreamLoader":
    """The rows of a split in order: without end where they are drawn, else epoch after epoch."""
    if split.size is None:
        return StreamLoader(split.ref, split.name, split.seed, batch_size, rank, world_size, allow_empty=allow_empty)
    rows = rows_table(split, 0, split.size)
    return DatasetLoader(
        rows, split.schema, batch_size, shuffle=False, rank=rank, world_size=world_size, allow_empty=allow_empty
    )


class StreamLoader(BatchLoader):
    """Batches of fresh examples without end, straight from the task.

    Batch n holds examples n * batch_size and following of the split, so it is the same data that
    `Split` numbers, whatever the batch size.

    Args:
        task: Task and config, as in `qrsu/hard`.
        split: `train`, `validation` or `test`.
        seed: Seed of the data.

    >>> loader = StreamLoader("qrsu/easy", "train", seed=0, batch_size=4)
    >>> batch = next(iter(loader))
    >>> loader.split.task.decode_batch(batch["input_ids"].numpy()) == [loader.split[i].inputs for i in range(4)]
    True
    """

    def __init__(
        self,
        task: str | TaskRef,
        split: str = "train",
        seed: int = 0,
        batch_size: int = 32,
        rank: int = 0,
        world_size: int = 1,
        *,
        pad_to: int | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(batch_size, rank, world_size, pad_to, allow_empty)
        self.split = Split(task, split, seed)
        if self.split.size is not None:
            raise InvalidConfigError(
                f"newly generated examples of {self.split.ref}, whose {self.split.size:,} {split} rows are given"
            )
        self._width(np.array([self.split.config.length[1]]))
        self._ahead: tuple[int, CollatedArrays] | None = (
            None  # what `next_arrays` has drawn, after the number of its first row
        )

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        size = self.batch_size
        mine = self.slice_of(size)
        left: CollatedArrays | None = None
        batch = self.batch
        for drawn in self.split.batches(batch * size):
            columns = collate_batch(drawn, self.split.schema)
            if left is not None and len(left):
                columns = left.concatenate(columns)
            whole = len(columns) // size * size
            for start in range(0, whole, size):
                batch += 1
                self.batch = batch
                rows = slice(start + mine.start, start + mine.stop)
                yield to_tensors(columns[rows], self._width(columns.lengths[start : start + size]))
            left = columns[whole:]

    def next_arrays(self, batches: int) -> CollatedArrays:
        start = self.batch * self.batch_size
        stop = start + batches * self.batch_size
        self.batch += batches
        pieces: list[CollatedArrays] = []
        if self._ahead is not None and self._ahead[0] == start:  # else somebody has moved the position
            pieces.append(self._ahead[1])
        have = start + sum(map(len, pieces))
        if have < stop:  # draw whole blocks, and keep what is left of the last one
            end = -(-stop // BLOCK_SIZE) * BLOCK_SIZE
            pieces += [collate_batch(batch, self.split.schema) for batch in self.split.batches(have, end)]
        drawn = reduce(CollatedArrays.concatenate, pieces)
        self._ahead = stop, drawn[stop - start :]
        return drawn[: stop - start]

    @property
    def rows_seen(self) -> int:
        return self.batch * self.batch_size

    def _identity(self) -> dict[str, Any]:
        return {
            "address": str(self.split.ref),
            "split": self.split.name,
            "seed": self.split.seed,
            "batch_size": self.batch_size,
        }

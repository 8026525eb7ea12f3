"""Data loaders for training and evaluation.

Reading a row of a `Dataset` takes about 30 microseconds in any format. `DatasetLoader` reads the Arrow buffers once and
keeps them as one padded array (see `collate`), so a batch is one NumPy gather. `StreamLoader` takes newly generated
examples directly from the task. Rows, order and position do not depend on the number of processes, so a run can be
resumed with another number of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.arrow import as_table, rows_table
from seqhub.data.collate import CollatedArrays, collate_batch, collate_table, target_width, to_tensors
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.ragged import RaggedRows
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.rng import BLOCK_SIZE, philox_key
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import Split

if TYPE_CHECKING:  # the import of `datasets` takes a second or two, and StreamLoader does not need it
    import pyarrow as pa
    import torch
    from datasets import Dataset


class BatchLoader(ABC):
    """Base class of the data loaders, with a position and a slice of each batch for each process.

    Iterating yields dictionaries of

    - `input_ids` (B, T), int64: k + 1 for symbol number k, 0 in the padding on the right; or `input_values` (B, T, F),
      float32, 0.0 in the padding;
    - `attention_mask` (B, T), int64: 1 at real steps;
    - `labels`, by `TaskSchema.target`: `class` (B,) int64; `number` (B,) float32; `step_class` (B, T) int64,
      NO_LABEL for ignored steps; `next_symbol` the ids, NO_LABEL in the padding (models shift them); `sequence`
      (B, S + 1) int64, the ids of the target and its end, NO_LABEL in the padding; `inputs` the values;
    - with the target `sequence`, `decoder_input_ids` (B, S + 1), int64: the id before each of these, which is 0, then
      the ids of the target.

    `batch_size` is the number of rows of all `world_size` processes together. Process `rank` gets a contiguous slice of
    each batch, and T and S are the longest lengths of the *whole* batch, so the slices in order of rank equal the batch
    of a single process. The slice may be empty if a batch has fewer rows than processes.

    A new iterator starts at the current position, also after a loop that ended early; see `DatasetLoader.restart`.

    Args:
        batch_size: Number of rows of a batch, over all processes; at least `world_size` unless `allow_empty`.
        rank: Rank of this process, from 0.
        world_size: Number of processes.
        pad_to: T of every batch; None for the longest length in each batch.
        allow_empty: Allow batches with fewer rows than processes.
    """

    def __init__(
        self, batch_size: int, rank: int, world_size: int, pad_to: int | None, allow_empty: bool = False
    ) -> None:
        if not 0 <= rank < world_size:
            raise InvalidConfigError(f"rank={rank}, world_size={world_size}: must be 0 <= rank < world_size")
        if batch_size < (1 if allow_empty else world_size):
            raise InvalidConfigError(
                f"batch_size={batch_size}: must be at least 1 row for each of {world_size} processes"
            )
        if pad_to is not None and pad_to < 1:
            raise InvalidConfigError(f"pad_to={pad_to}: must be at least 1, or None for the longest of each batch")
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.pad_to = pad_to
        self.epoch = 0  # of the next batch
        self.batch = 0  # number of the next batch within its epoch

    @abstractmethod
    def __iter__(self) -> "Iterator[dict[str, torch.Tensor]]":
        """Yield batches from the current position on."""

    @abstractmethod
    def next_arrays(self, batches: int) -> CollatedArrays:
        """Return the concatenated rows of the next batches of all processes, fewer at the end of an epoch.

        The position advances as in an iteration. The arrays may be padded to more steps than the longest row.

        Args:
            batches: Number of batches, at least 1.
        """

    @property
    @abstractmethod
    def rows_seen(self) -> int:
        """Number of rows before the current position, over all processes."""

    @abstractmethod
    def count_tokens(self, rows: int) -> int:
        """Return the number of steps in the first rows, without padding; of a finite dataset by their mean length."""

    @abstractmethod
    def _identity(self) -> dict[str, Any]:
        """Return the settings on which the meaning of a position depends."""

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the next batch, equal on all processes."""
        return {"epoch": self.epoch, "batch": self.batch, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the position; the next iterator starts there.

        Raises:
            InvalidConfigError: The position is from a loader with other rows, order or batch size.
        """
        for name, value in self._identity().items():
            if state.get(name) != value:
                raise InvalidConfigError(
                    f"position of a loader with {name}={state.get(name)!r}; this one has {value!r}"
                )
        self.epoch, self.batch = state["epoch"], state["batch"]

    def slice_of(self, rows: int) -> slice:
        """Return the slice of a batch of `rows` rows for this process."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    @staticmethod
    def _targets(arrays: "CollatedArrays | _RaggedArrays", rows: slice | NDArray[np.int64]) -> int | None:
        """Return the number of symbols of the longest target of some rows; None for targets of other kinds."""
        return target_width(arrays.labels[rows]) if arrays.schema.target == "sequence" else None

    def _width(self, lengths: NDArray[np.integer]) -> int:
        longest = int(lengths.max())
        if self.pad_to is None:
            return longest
        if longest > self.pad_to:
            raise InvalidInputError(f"pad_to={self.pad_to}: must be at least {longest}, the steps of a sequence")
        return self.pad_to


class _RaggedArrays:
    """Rows of a file with the interface of `CollatedArrays`; each selection is padded when it is read."""

    def __init__(self, rows: RaggedRows, schema: TaskSchema) -> None:
        self._rows, self.schema = rows, schema
        self.lengths, self.labels = rows.lengths, rows.labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> CollatedArrays:
        return collate_batch(self._rows[rows], self.schema)


class DatasetLoader(BatchLoader):
    """Data loader for a dataset, with a different order in each epoch.

    `for batch in loader` ends at the end of the current epoch; the next loop is the next epoch. `len(loader)` is the
    number of batches in an epoch. The order of an epoch depends only on `seed` and the number of the epoch.

    Args:
        rows: A `datasets.Dataset` (with its selection and order) or a table, with the columns of the schema; or rows of
            a file without padding.
        schema: Schema of the rows.
        shuffle: Shuffle the rows in each epoch.
        seed: Seed of the order.
        order_seed: Seed of the order of torch's `DataLoader`, used instead of `seed` unless None; see `torch_order`.
        drop_last: Drop the last batch of an epoch if it is not full.
        balanced: Fill each epoch with equally many rows of each class of the target `class`: rows of rare classes are
            repeated, rows of frequent ones take turns over the epochs.

    Raises:
        InvalidInputError: No rows, a missing column or value, a sequence without steps, a symbol outside the
            vocabulary, steps with the wrong number of values, NaN or infinity; the message has row and position.
    """

    def __init__(
        self,
        rows: "Dataset | pa.Table | RaggedRows",
        schema: TaskSchema,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        order_seed: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        balanced: bool = False,
        pad_to: int | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(batch_size, rank, world_size, pad_to, allow_empty)
        self._arrays: CollatedArrays | _RaggedArrays
        if isinstance(rows, RaggedRows):
            self._arrays = _RaggedArrays(rows, schema)
        else:
            self._arrays = collate_table(as_table(rows), schema)
        self._width(self._arrays.lengths)  # raises here rather than in an epoch if pad_to is too small
        self.shuffle = shuffle
        self.seed = seed
        self.order_seed = order_seed
        self.drop_last = drop_last
        self.balanced = balanced
        self._ordered: tuple[int, NDArray[np.int64]] | None = None  # epoch and its order
        if not len(self):
            raise InvalidConfigError(
                f"batch_size={batch_size}: must be at most {len(self._arrays)}, the number of rows, with drop_last=True"
            )

    def __len__(self) -> int:
        rows = len(self._arrays)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> "Iterator[dict[str, torch.Tensor]]":
        epoch, batches = self.epoch, len(self)
        order = self._order(epoch)
        for batch in range(self.batch, batches):
            # advance first, so that a state saved while the batch is in use has the position after it
            self.epoch, self.batch = (epoch, batch + 1) if batch + 1 < batches else (epoch + 1, 0)
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            width = self._width(self._arrays.lengths[rows])
            yield to_tensors(self._arrays[rows[self.slice_of(len(rows))]], width, self._targets(self._arrays, rows))

    def restart(self) -> None:
        """Set the position to the first row of the first epoch; the next iterator starts there."""
        self.epoch = self.batch = 0

    def next_arrays(self, batches: int) -> CollatedArrays:
        epoch, first = self.epoch, self.batch
        last = min(first + batches, len(self))
        self.epoch, self.batch = (epoch, last) if last < len(self) else (epoch + 1, 0)
        return self._arrays[self._order(epoch)[first * self.batch_size : last * self.batch_size]]

    @property
    def rows_per_epoch(self) -> int:
        """Number of rows of an epoch, over all processes."""
        return len(self) * self.batch_size if self.drop_last else len(self._arrays)

    @property
    def rows_seen(self) -> int:
        return self.epoch * self.rows_per_epoch + self.batch * self.batch_size

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the row numbers of an epoch in order: (N,); cached for one epoch."""
        if self._ordered is None or self._ordered[0] != epoch:
            self._ordered = epoch, self._new_order(epoch)
        return self._ordered[1]

    def _new_order(self, epoch: int) -> NDArray[np.int64]:
        """Compute the order of an epoch from sorted Philox words, which do not change between versions of NumPy."""
        rows = len(self._arrays)
        if not self.shuffle:
            return np.arange(rows)
        if self.order_seed is not None:
            return torch_order(rows, self.order_seed, epoch)
        order = self._shuffled(rows, epoch)
        return self._balanced(order, epoch) if self.balanced else order

    def _shuffled(self, rows: int, epoch: int) -> NDArray[np.int64]:
        random = np.random.Philox(key=philox_key({"order": "epoch", "seed": self.seed, "epoch": epoch}))
        return np.argsort(random.random_raw(rows), kind="stable")

    def _balanced(self, order: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Return the row numbers of an epoch with equally many rows of each class, in a given order of the places.

        The rows of a class form one cycle in the order of epoch 0. Each epoch takes the next ones, so that none is
        repeated before all others of its class were presented.
        """
        labels = self._arrays.labels
        classes, places = np.unique(labels), np.arange(len(order))
        first = self._shuffled(len(order), 0)
        chosen = np.empty(len(order), np.int64)
        for number, label in enumerate(classes):
            members = first[labels[first] == label]
            own = places[number :: len(classes)]
            start = epoch * len(own)
            chosen[own] = members[(start + np.arange(len(own))) % len(members)]
        return chosen[order]

    def count_tokens(self, rows: int) -> int:
        return round(rows * float(self._arrays.lengths.mean()))

    def _identity(self) -> dict[str, Any]:
        settings = ("batch_size", "shuffle", "seed", "order_seed", "drop_last")
        balanced = {"balanced": True} if self.balanced else {}  # omitted when False, as in earlier checkpoints
        return {"rows": len(self._arrays), **{name: getattr(self, name) for name in settings}, **balanced}


def torch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the row numbers of an epoch in the order of `DataLoader(shuffle=True)` after `torch.manual_seed(seed)`.

    This is the order in a PyTorch program without other random numbers: each epoch takes two words of the generator,
    one as the seed of workers and one for the permutation.

    Returns:
        (rows,), a permutation.

    >>> torch_order(4, seed=42, epoch=0).tolist() == torch_order(4, seed=42, epoch=0).tolist()
    True
    """
    import torch

    words = torch.empty(2 * (epoch + 1), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(seed))
    order: NDArray[np.int64] = torch.randperm(rows, generator=torch.Generator().manual_seed(int(words[-1]))).numpy()
    return order


def loader_of(
    split: Split, batch_size: int, rank: int = 0, world_size: int = 1, *, allow_empty: bool = False
) -> "DatasetLoader | StreamLoader":
    """Return a data loader for a split in order, without end if the rows are generated."""
    if split.size is None:
        return StreamLoader(split.ref, split.name, split.seed, batch_size, rank, world_size, allow_empty=allow_empty)
    rows = split.ragged or rows_table(split, 0, split.size)
    return DatasetLoader(
        rows, split.schema, batch_size, shuffle=False, rank=rank, world_size=world_size, allow_empty=allow_empty
    )


class StreamLoader(BatchLoader):
    """Endless data loader of newly generated examples of a task.

    Batch n has `batch_size` examples from example n * batch_size of the `Split` on, so the data do not depend on the
    batch size.

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
                f"StreamLoader for {self.split.ref}, with {self.split.size:,} fixed {split} rows; use DatasetLoader"
            )
        self._width(np.array([self.split.config.length[1]]))
        self._ahead: tuple[int, CollatedArrays] | None = (
            None  # number of the next row, and rows that `next_arrays` generated ahead
        )

    def __iter__(self) -> "Iterator[dict[str, torch.Tensor]]":
        size = self.batch_size
        local = self.slice_of(size)
        rest: CollatedArrays | None = None
        batch = self.batch
        for generated in self.split.batches(batch * size):
            arrays = collate_batch(generated, self.split.schema)
            if rest is not None and len(rest):
                arrays = rest.concatenate(arrays)
            whole = len(arrays) // size * size
            for start in range(0, whole, size):
                batch += 1
                self.batch = batch
                rows = slice(start + local.start, start + local.stop)
                whole_batch = slice(start, start + size)
                yield to_tensors(
                    arrays[rows], self._width(arrays.lengths[whole_batch]), self._targets(arrays, whole_batch)
                )
            rest = arrays[whole:]

    def next_arrays(self, batches: int) -> CollatedArrays:
        start = self.batch * self.batch_size
        stop = start + batches * self.batch_size
        self.batch += batches
        pieces: list[CollatedArrays] = []
        if self._ahead is not None and self._ahead[0] == start:  # else the position was changed
            pieces.append(self._ahead[1])
        available = start + sum(map(len, pieces))
        if available < stop:  # generate whole blocks, and keep the rest of the last one
            end = -(-stop // BLOCK_SIZE) * BLOCK_SIZE
            pieces += [collate_batch(batch, self.split.schema) for batch in self.split.batches(available, end)]
        arrays = reduce(CollatedArrays.concatenate, pieces)
        self._ahead = stop, arrays[stop - start :]
        return arrays[: stop - start]

    @property
    def rows_seen(self) -> int:
        return self.batch * self.batch_size

    def count_tokens(self, rows: int) -> int:
        return sum(int(batch.lengths.sum()) for batch in self.split.batches(0, rows))

    def _identity(self) -> dict[str, Any]:
        return {
            "address": str(self.split.ref),
            "split": self.split.name,
            "seed": self.split.seed,
            "batch_size": self.batch_size,
        }

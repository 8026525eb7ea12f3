"""Batches for training: the columns are taken out of Arrow once, then every batch is one gather.

Reading rows of a `Dataset` costs some 30 microseconds each, whatever the format. A feed reads the two Arrow buffers
of `text` once, keeps the ids as one padded byte array and hands out slices of it, or takes fresh examples straight
from the task. Rows, order and position are the same whatever the number of processes, so a run may even be resumed
on another number of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from seqhub.data.table import as_table, flat_text
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.base import PAD_ID
from seqhub.tasks.rng import philox_key
from seqhub.tasks.splits import Split

if TYPE_CHECKING:  # a feed of fresh examples needs no `datasets`, which takes a second or two to import
    from datasets import Dataset

_OUTSIDE = 255  # stands in the table of ids for every character that is no symbol
_ROWS_AT_ONCE = 8192  # rows padded at a time, so that the intermediate arrays stay in cache


class Feed(ABC):
    """What the two feeds share: the slice of each batch that a process gets, and the position.

    Iterating yields dictionaries of

    - `input_ids` (B, T), int64: 0 where padded (on the right), symbol number k is k + 1;
    - `attention_mask` (B, T), int64: 1 at real steps;
    - `labels` (B,), int64.

    `batch_size` counts the rows of all `world_size` processes together. Process `rank` gets a contiguous slice of
    each batch, and T is the longest of the *whole* batch, so the slices in order of rank are the batch that one
    process would get. The slice is empty only where the last batch of an epoch has fewer rows than processes.

    Args:
        batch_size: Rows of a batch, over all processes; at least `world_size`.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        pad_to: T of every batch; None for the longest of each.
    """

    def __init__(self, batch_size: int, rank: int, world_size: int, pad_to: int | None) -> None:
        if not 0 <= rank < world_size:
            raise InvalidConfigError(f"rank {rank} of world_size {world_size}; need 0 <= rank < world_size")
        if batch_size < world_size:
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

    def _slice(self, rows: int) -> slice:
        """The part of a batch of `rows` that belongs to this process."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    def _width(self, lengths: NDArray[np.integer]) -> int:
        longest = int(lengths.max())
        if self.pad_to is None:
            return longest
        if longest > self.pad_to:
            raise InvalidInputError(f"a sequence of {longest} steps; pad_to allows {self.pad_to}")
        return self.pad_to


class TableFeed(Feed):
    """Batches of a data set, epoch after epoch, each in an order of its own.

    `for batch in feed` runs to the end of the current epoch; the next loop is the next epoch. `len(feed)` is the
    number of batches in an epoch. The order of an epoch depends on `seed` and the epoch's number alone.

    Args:
        rows: A `datasets.Dataset` (its selection and order are kept) or a table, with columns `text` (string)
            and `label` (integers).
        symbols: The alphabet, one ASCII character per symbol.
        shuffle: False keeps the order of the rows.
        seed: Seed of the order.
        drop_last: Leave out the last batch of an epoch where it is not full.

    Raises:
        InvalidInputError: No rows, a missing column or value, an empty text or a symbol outside the alphabet; the
            message names row and position.
    """

    def __init__(
        self,
        rows: "Dataset | pa.Table",
        symbols: str,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        pad_to: int | None = None,
    ) -> None:
        super().__init__(batch_size, rank, world_size, pad_to)
        table = as_table(rows)
        self._ids, self._lengths = _padded_ids(_column(table, "text"), symbols)
        self._labels = _integers(_column(table, "label"))
        self._width(self._lengths)  # a pad_to too small shows here rather than in some epoch
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        if not len(self):
            raise InvalidConfigError(f"{table.num_rows} rows give no full batch of {batch_size}; allow drop_last=False")

    def __len__(self) -> int:
        rows = len(self._labels)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        epoch, batches = self.epoch, len(self)
        order = self._order(epoch)
        for batch in range(self.batch, batches):
            # the position moves on before the batch leaves: a state saved while it is in use names the one after it
            self.epoch, self.batch = (epoch, batch + 1) if batch + 1 < batches else (epoch + 1, 0)
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            width = self._width(self._lengths[rows])
            mine = rows[self._slice(len(rows))]
            yield _tensors(self._ids[mine], width, self._labels[mine])

    @property
    def rows_per_epoch(self) -> int:
        """Rows of one pass, over all processes."""
        return len(self) * self.batch_size if self.drop_last else len(self._labels)

    @property
    def rows_seen(self) -> int:
        return self.epoch * self.rows_per_epoch + self.batch * self.batch_size

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Row numbers of an epoch in order: those of Philox words when sorted, so NumPy keeps it for ever."""
        rows = len(self._labels)
        if not self.shuffle:
            return np.arange(rows)
        random = np.random.Philox(key=philox_key({"order": "epoch", "seed": self.seed, "epoch": epoch}))
        return np.argsort(random.random_raw(rows), kind="stable")

    def _identity(self) -> dict[str, Any]:
        facts = ("batch_size", "shuffle", "seed", "drop_last")
        return {"rows": len(self._labels), **{name: getattr(self, name) for name in facts}}


class StreamFeed(Feed):
    """Batches of fresh examples without end, straight from the task.

    Batch n holds examples n * batch_size and following of the split, so it is the same data that
    `Split` numbers, whatever the batch size.

    Args:
        address: Task and config, as in `qrsu/hard`.
        split: `train`, `validation` or `test`.
        seed: Seed of the data.

    >>> feed = StreamFeed("qrsu/easy", "train", seed=0, batch_size=4)
    >>> batch = next(iter(feed))
    >>> feed.split.task.decode_batch(batch["input_ids"].numpy()) == [feed.split[i].text for i in range(4)]
    True
    """

    def __init__(
        self,
        address: str,
        split: str = "train",
        seed: int = 0,
        batch_size: int = 32,
        rank: int = 0,
        world_size: int = 1,
        *,
        pad_to: int | None = None,
    ) -> None:
        super().__init__(batch_size, rank, world_size, pad_to)
        self.address = address
        self.split = Split(address, split, seed)
        self._width(np.array([self.split.config.length[1]]))
        self._table = _id_table(self.split.task.symbols)
        self._table[0] = PAD_ID  # what pads a `tasks.base.Batch`; in a text of a table it is no symbol

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        size = self.batch_size
        mine = self._slice(size)
        ids, lengths, labels = (np.empty((0, self.split.config.length[1]), np.uint8), *[np.empty(0, np.int64)] * 2)
        batch = self.batch
        for drawn in self.split.batches(batch * size):
            ids = np.concatenate([ids, np.take(self._table, drawn.characters)])
            lengths = np.concatenate([lengths, drawn.lengths])
            labels = np.concatenate([labels, drawn.labels])
            whole = len(labels) // size * size
            for start in range(0, whole, size):
                batch += 1
                self.batch = batch
                rows = slice(start + mine.start, start + mine.stop)
                yield _tensors(ids[rows], self._width(lengths[start : start + size]), labels[rows])
            ids, lengths, labels = ids[whole:], lengths[whole:], labels[whole:]

    @property
    def rows_seen(self) -> int:
        return self.batch * self.batch_size

    def _identity(self) -> dict[str, Any]:
        return {
            "address": self.address,
            "split": self.split.name,
            "seed": self.split.seed,
            "batch_size": self.batch_size,
        }


def _tensors(ids: NDArray[np.uint8], width: int, labels: NDArray[np.int64]) -> dict[str, torch.Tensor]:
    """Tensors of their own from byte ids (B, at least the longest), cut or padded to `width` steps."""
    if width > ids.shape[1]:
        ids = np.pad(ids, ((0, 0), (0, width - ids.shape[1])), constant_values=PAD_ID)
    cut = ids[:, :width]
    return {
        "input_ids": torch.from_numpy(cut.astype(np.int64)),
        "attention_mask": torch.from_numpy((cut != PAD_ID).astype(np.int64)),
        "labels": torch.from_numpy(labels.copy()),
    }


def _id_table(symbols: str) -> NDArray[np.uint8]:
    """Id of each of the 256 bytes: k + 1 for symbol number k, 255 for everything else."""
    if not symbols or not symbols.isascii() or not symbols.isprintable() or len(set(symbols)) != len(symbols):
        raise InvalidInputError(f"symbols {symbols!r}; need one or more different printable ASCII characters")
    table = np.full(256, _OUTSIDE, dtype=np.uint8)
    table[np.frombuffer(symbols.encode(), np.uint8)] = np.arange(1, len(symbols) + 1)
    return table


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise InvalidInputError(f"columns {', '.join(table.column_names)}; a feed needs text and label")
    if not table.num_rows:
        raise InvalidInputError("a table without rows; a feed needs at least one")
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no {name} in row {row}; a feed needs one in every row")
    return column


def _integers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    if not pa.types.is_integer(column.type):
        raise InvalidInputError(f"labels of type {column.type}; a feed needs integers")
    return np.array(column.cast(pa.int64()).to_numpy())  # a copy: Arrow's own memory is not to be written


def _padded_ids(texts: pa.ChunkedArray, symbols: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Ids (N, T), padded on the right to the longest of all, and lengths (N,) of a column of strings."""
    table = _id_table(symbols)
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise InvalidInputError(f"texts of type {texts.type}; a feed needs strings")
    pieces = [flat_text(chunk) for chunk in texts.cast(pa.large_string()).chunks]
    lengths = np.concatenate([np.diff(offsets) for _, offsets in pieces])
    if not lengths.all():
        raise InvalidInputError(f"empty text in row {int(lengths.argmin())}; a sequence has a symbol or more")
    padded = np.empty((len(lengths), lengths.max()), dtype=np.uint8)
    row = 0
    for characters, offsets in pieces:
        for start in range(0, len(offsets) - 1, _ROWS_AT_ONCE):
            part = offsets[start : start + _ROWS_AT_ONCE + 1]
            ids = np.take(table, characters[part[0] : part[-1]])
            if (ids == _OUTSIDE).any():
                where = int((ids == _OUTSIDE).argmax())
                wrong = row + int(np.searchsorted(part - part[0], where, side="right")) - 1
                _refuse(texts[wrong].as_py(), wrong, symbols)
            stop = row + len(part) - 1
            padded[row:stop] = _padded(ids, part - part[0], padded.shape[1])
            row = stop
    return padded, lengths


def _padded(ids: NDArray[np.uint8], offsets: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """The rows (N, width) that `offsets` (N + 1,) cut from `ids`.

    Each row is copied with `width` bytes, the beginning of the next ones included, which are then set to padding:
    two passes that NumPy does in whole rows, where a gather by element would be far slower.
    """
    beyond_the_last = np.full(width, PAD_ID, np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([ids, beyond_the_last]), width)
    lengths = np.diff(offsets)
    rows: NDArray[np.uint8] = windows[offsets[:-1]]
    tail = np.arange(lengths.min(), width)
    rows[:, lengths.min() :] *= tail < lengths[:, None]
    return rows


def _refuse(text: str, row: int, symbols: str) -> None:
    position = next(i for i, symbol in enumerate(text) if symbol not in symbols)
    raise InvalidInputError(
        f"symbol {text[position]!r} at position {position} of row {row}; the alphabet is {symbols!r}"
    )

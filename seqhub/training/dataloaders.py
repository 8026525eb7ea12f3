"""Data loaders for training and validation."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from seqhub.data.collate import CollatedArrays
from seqhub.data.loader import BatchLoader, DatasetLoader, StreamLoader, loader_of
from seqhub.data.source import DataSource
from seqhub.training.config import STREAM, TrainConfig

if TYPE_CHECKING:
    from torch import Tensor

_VALIDATION_BATCH = 1024  # sequences
_FIRST_ROWS = 128  # of a validation


def data_source(config: TrainConfig) -> DataSource:
    """Return the source of the rows of a run; a file or folder is read once, here or at its first use."""
    return DataSource(config.task, config.file, config.data_options, data=config.data)


def training_loader(config: TrainConfig, source: DataSource, rank: int = 0, world_size: int = 1) -> BatchLoader:
    """Return the data loader of the rows of each optimizer step; each process gets its slice."""
    if config.data == STREAM:
        return StreamLoader(config.task, "train", config.seed, config.step_size, rank, world_size)
    rows = source.split().ragged or source.training_rows
    return DatasetLoader(
        rows, source.schema, config.step_size, shuffle=True, seed=config.seed,
        order_seed=config.order_seed, rank=rank, world_size=world_size, balanced=config.balanced_sampling,
    )  # fmt: skip


def content_identity(source: DataSource) -> str:
    """Return the content identity of a source, see `DataSource.identity`."""
    return source.identity


def validation_loader(
    config: TrainConfig, source: DataSource, rank: int = 0, world_size: int = 1
) -> DatasetLoader | StreamLoader:
    """Return the data loader of the validation split: a stream separate from the training stream, or fixed rows."""
    generated = source.split("validation").size is None
    split = source.split("validation", config.seed if generated else 0)
    size = split.schema.rows_at_once(split.longest, min(_VALIDATION_BATCH, config.evaluate_size))
    return loader_of(split, size, rank, world_size, allow_empty=True)


class ValidationRows:
    """Rows of the validations of a run, the same number in each.

    Each validation reads fixed rows from the first one. Generated rows continue through their stream, so that every
    validation has new rows. Both hold for any number of processes, and after a validation that ended early.

    The first rows of a validation are a batch of their own, since most validations of a run fail, and a few rows are
    enough to see that. Without them a validation has the same rows; a validation with a loss needs all rows anyway.

    Args:
        config: Settings of the run.
        source: Source of the rows.
        rank: Number of this process, from 0.
        world_size: Number of processes.

    Attributes:
        rows: Number of rows of a validation: `evaluate_size`, or all rows of the split if it has fewer.
    """

    def __init__(self, config: TrainConfig, source: DataSource, rank: int = 0, world_size: int = 1) -> None:
        size = source.split("validation").size
        self.rows = config.evaluate_size if size is None else min(config.evaluate_size, size)
        self._loader = validation_loader(config, source, rank, world_size)
        self._first = 0 if config.computes_validation_loss else _FIRST_ROWS

    def batches(self) -> "Iterator[tuple[dict[str, Tensor], int]]":
        """Yield the batches of one validation: the rows of this process, and the number of rows of all processes."""
        self._restart()
        remaining, before = self.rows, self._loader.rows_seen
        for batch in self._loader:
            rows = self._loader.rows_seen - before
            used, before = min(rows, remaining), self._loader.rows_seen
            start = self._loader.slice_of(rows).start
            for part in self._parts(used, is_first=remaining == self.rows):
                local = slice(max(0, part.start - start), max(0, part.stop - start))  # empty in other processes
                yield {name: tensor[local] for name, tensor in batch.items()}, part.stop - part.start
            remaining -= used  # unused rows are at the end of the batch
            if not remaining:
                return

    def arrays(self) -> Iterator[CollatedArrays]:
        """Yield the rows of one validation as arrays, one batch at a time."""
        self._restart()
        remaining = self.rows
        while remaining:
            rows = self._loader.next_arrays(1)[:remaining]
            for part in self._parts(len(rows), is_first=remaining == self.rows):
                yield rows[part]
            remaining -= len(rows)

    def _parts(self, rows: int, *, is_first: bool) -> list[slice]:
        """Return the parts of a batch: of the first one, the first rows and the others."""
        cuts = [0, self._first, rows] if is_first and 0 < self._first < rows else [0, rows]
        return [slice(*ends) for ends in pairwise(cuts)]

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream as plain JSON values."""
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the position from a checkpoint."""
        self._loader.load_state_dict(state)

    def _restart(self) -> None:
        if isinstance(self._loader, DatasetLoader):
            self._loader.restart()


def length_of(config: TrainConfig, loader: BatchLoader) -> tuple[int, int]:
    """Return the largest number of sequences that a run presents, and the number per epoch (0 for a stream)."""
    if not isinstance(loader, DatasetLoader):
        return config.max_sequences, 0
    return min(config.max_sequences, config.epochs * loader.rows_per_epoch), loader.rows_per_epoch

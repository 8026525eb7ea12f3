"""Rows of unequal lengths without padding, which may lie in files that are larger than the memory."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.schema import NO_LABEL, Batch


@dataclass(frozen=True, eq=False)
class RaggedRows:
    """N sequences within concatenated steps; a selection of rows becomes a padded `Batch`.

    Args:
        steps: (M,) ids, or (M, F) values; may be memory-mapped, and shared by several selections.
        starts: (N,), first step of each sequence.
        lengths: (N,), number of steps of each sequence.
        labels: As in `Batch` for targets of whole sequences; for a class per step (M,), beside `steps`.
        by_step: Whether `labels` are those of the steps.
        memo: Results about these rows that are computed once, such as their digest.

    >>> rows = RaggedRows(np.array([5, 6, 7], np.uint16), np.array([0, 2]), np.array([2, 1]), np.array([0, 1]))
    >>> rows[:2].inputs.tolist(), len(rows.select(np.array([1])))
    ([[5, 6], [7, 0]], 1)
    """

    steps: NDArray[Any]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[Any]
    by_step: bool = False
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Batch:
        """Return rows as a batch, padded to the longest of them."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        real = np.arange(int(lengths.max(initial=1))) < lengths[:, None]
        places = (starts[:, None] + np.arange(real.shape[1]))[real]
        inputs = np.zeros((*real.shape, *self.steps.shape[1:]), self.steps.dtype)
        inputs[real] = self.steps[places]
        if not self.by_step:
            return Batch(inputs, lengths, self.labels[rows])
        labels = np.full(real.shape, NO_LABEL, np.int64)
        labels[real] = self.labels[places]
        return Batch(inputs, lengths, labels)

    def select(self, rows: NDArray[np.int64]) -> "RaggedRows":
        """Return some of the rows, without a copy of their steps."""
        labels = self.labels if self.by_step else self.labels[rows]
        return RaggedRows(self.steps, self.starts[rows], self.lengths[rows], labels, self.by_step)

    def step_labels(self) -> NDArray[np.int64]:
        """Return the concatenated labels of the steps of these rows."""
        assert self.by_step, "only for a class per step"
        ends = np.cumsum(self.lengths)
        places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(
            self.starts - (ends - self.lengths), self.lengths
        )
        found: NDArray[np.int64] = self.labels[places]
        return found

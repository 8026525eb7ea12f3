"""When a task counts as solved: criteria that watch a run and remember when they were met first.

Each counts *training sequences presented*, all processes together.

    accuracy   the share of right classes on fresh sequences reaches a threshold at a check
    st3        Hochreiter & Schmidhuber (1997), sections 5.4 to 5.6: the average training error is below 0.1 and the
               2,000 most recent training sequences were all right, every output within 0.3 of its target; both
               are taken over the last 2,000 sequences
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import UnknownNameError
from seqhub.evaluation.metrics import TOLERANCE

CRITERIA = ("accuracy", "st3")
STOPS = (*CRITERIA, "both", "none")


def check_stop(name: str) -> None:
    """Raise UnknownNameError unless a run can stop at `name`."""
    if name not in STOPS:
        raise UnknownNameError.of("criterion", name, STOPS)


class Accuracy:
    """Met at the first check whose fresh sequences reach the threshold.

    Args:
        threshold: Share of right classes, in (0, 1].
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.met_at: int | None = None

    def check(self, sequences_seen: int, correct: float, total: int) -> None:
        """Take in one check after `sequences_seen` training sequences."""
        if self.met_at is None and correct >= self.threshold * total:
            self.met_at = sequences_seen

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"met_at": self.met_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.met_at = state["met_at"]


class St3:
    """The paper's third stopping rule, on the training sequences as they are presented.

    >>> rule = St3(window=3)
    >>> rule.update(np.array([0.9, 0.01, 0.02, 0.03, 0.04]), np.array([0.4, 0.01, 0.01, 0.01, 0.01]))
    >>> rule.met_at
    4
    """

    def __init__(self, window: int = 2000, tolerance: float = TOLERANCE, mean_error: float = 0.1) -> None:
        self.window = window
        self.tolerance = tolerance
        self.mean_error = mean_error
        self.met_at: int | None = None
        self._seen = 0
        self._streak = 0  # sequences since the last wrong one
        self._recent: deque[float] = deque(maxlen=window)
        self._sum = 0.0

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        """Take in training sequences in the order of presentation.

        Args:
            worst: (N,), difference of each sequence's worst output from its target.
            mean: (N,), mean absolute difference of its outputs from their targets.
        """
        if self.met_at is not None:
            self._seen += len(worst)
            return
        for largest, average in zip(worst.tolist(), mean.tolist(), strict=True):
            self._seen += 1
            self._streak = self._streak + 1 if largest < self.tolerance else 0
            if len(self._recent) == self.window:
                self._sum -= self._recent[0]
            self._recent.append(average)
            self._sum += average
            if self.met_at is None and self._streak >= self.window and self._sum / self.window < self.mean_error:
                self.met_at = self._seen

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "met_at": self.met_at,
            "seen": self._seen,
            "streak": self._streak,
            "recent": list(self._recent),
            "sum": self._sum,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.met_at = state["met_at"]
        self._seen = state["seen"]
        self._streak = state["streak"]
        self._recent = deque(state["recent"], maxlen=self.window)
        self._sum = state["sum"]

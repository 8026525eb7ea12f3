"""Stopping criteria, which record after how many training sequences a task was solved.

All processes together count. The criteria are:

    accuracy   the accuracy in a validation reaches a threshold
    st3        Hochreiter & Schmidhuber (1997), sections 5.4 to 5.6: the average training error is below 0.1 and the
               2,000 most recent training sequences were all correct, every output within 0.3 of its target; both
               are computed over the last 2,000 sequences
    paper      the stopping rule of the source of the task, if it has one: `tasks.schema.StoppingRule`

`St3` and `Streak` use the training sequences; the result does not depend on the sizes of the updates. `Accuracy`, `St2`
and `Legal` test the model at validations, so their counts are rounded up to the next validation.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import UnknownNameError
from seqhub.metrics.classification import TOLERANCE, reaches
from seqhub.metrics.grammar import Scorer, count_illegal
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import StoppingRule
from seqhub.tasks.splits import Split

CRITERIA = ("accuracy", "st3", "paper")

STOPS = (*CRITERIA, "both", "none")  # both: accuracy and st3


def check_stop(name: str) -> None:
    """Raise UnknownNameError for an unknown value of `stop_at`."""
    if name not in STOPS:
        raise UnknownNameError.of("criterion", name, STOPS)


class Criterion:
    """Base class of criteria; subclasses override `update`, for training sequences, or `check`, for a model.

    Attributes:
        met_at: Number of training sequences until the criterion was met; None if not met so far.
    """

    met_at: int | None = None

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        """Add training sequences, in the order of presentation.

        Args:
            worst: (N,), largest absolute difference of an output from its target, for each sequence.
            mean: (N,), mean absolute difference of the outputs from their targets, for each sequence.
        """

    def check(self, sequences_seen: int, model: Scorer) -> None:
        """Test a model after `sequences_seen` training sequences."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as plain JSON values."""
        return {"met_at": self.met_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.met_at = state["met_at"]


class Accuracy:
    """Criterion that is met at the first validation with an accuracy of at least the threshold.

    Args:
        threshold: Accuracy, in (0, 1].
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.met_at: int | None = None

    def check(self, sequences_seen: int, correct: float, total: int) -> None:
        """Add a validation after `sequences_seen` training sequences."""
        if self.met_at is None and reaches(self.threshold, correct, total):
            self.met_at = sequences_seen

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"met_at": self.met_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.met_at = state["met_at"]


class St3(Criterion):
    """Third stopping rule of the paper, on the most recent training sequences (sections 5.4 to 5.6).

    Args:
        window: Number of most recent training sequences.
        tolerance: A sequence is wrong if the error of any output is at least this large.
        mean_error: Exclusive upper bound of the mean error over the window; None for no bound.
        wrong: Largest number of wrong sequences in the window.

    >>> rule = St3(window=3)
    >>> rule.update(np.array([0.9, 0.01, 0.02, 0.03, 0.04]), np.array([0.4, 0.01, 0.01, 0.01, 0.01]))
    >>> rule.met_at
    4
    """

    def __init__(
        self, window: int = 2000, tolerance: float = TOLERANCE, mean_error: float | None = 0.1, wrong: int = 0
    ) -> None:
        self.window = window
        self.tolerance = tolerance
        self.mean_error = float("inf") if mean_error is None else mean_error
        self.wrong = wrong
        self._seen = 0
        self._wrong_at: NDArray[np.int64] = np.empty(0, np.int64)  # wrong sequences in the window, numbered from 1
        self._recent: NDArray[np.float64] = np.empty(0)  # mean errors in the window
        self._sum = 0.0  # sum of `_recent`

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        count = len(worst)
        if self.met_at is not None or not count:
            self._seen += count
            return
        seen = self._seen + 1 + np.arange(count)
        wrong_at = np.concatenate([self._wrong_at, seen[~(worst < self.tolerance)]])  # NaN is wrong
        wrong = np.searchsorted(wrong_at, seen, "right") - np.searchsorted(wrong_at, seen - self.window, "right")
        recent = np.concatenate([self._recent, mean.astype(np.float64)])
        # For each sequence, first subtract the number that leaves the window, then add the new one, so that rounding
        # does not depend on the sizes of the updates
        leaving = np.zeros(count)
        num_leaving = max(0, len(recent) - self.window)
        leaving[count - num_leaving :] = recent[:num_leaving]
        sums = np.cumsum(np.concatenate([[self._sum], np.stack([-leaving, recent[-count:]], axis=1).ravel()]))[2::2]
        met = (seen >= self.window) & (wrong <= self.wrong) & (sums / self.window < self.mean_error)
        if met.any():
            self.met_at = int(seen[met.argmax()])
        self._seen += count
        self._wrong_at = wrong_at[wrong_at > self._seen - self.window]
        self._recent = recent[-self.window :]
        self._sum = float(sums[-1])

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "seen": self._seen,
            "wrong_at": self._wrong_at.tolist(),
            "recent": self._recent.tolist(),
            "sum": self._sum,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._seen = state["seen"]
        self._wrong_at = np.array(state["wrong_at"], np.int64)
        self._recent = np.array(state["recent"], np.float64)
        self._sum = state["sum"]


class Streak(Criterion):
    """A number of consecutive correct training sequences; `met_at` counts the sequences before them (section 5.2).

    The criterion is met at the end of the consecutive correct sequences, which are also used for training.

    Args:
        window: Number of consecutive correct sequences.
        tolerance: A sequence is wrong if the error of any output is at least this large.

    >>> rule = Streak(window=3, tolerance=0.25)
    >>> rule.update(np.array([0.9, 0.1, 0.5, 0.1, 0.1]), np.zeros(5))
    >>> rule.met_at
    >>> rule.update(np.array([0.1]), np.zeros(1))
    >>> rule.met_at
    3
    """

    def __init__(self, window: int, tolerance: float) -> None:
        self.window = window
        self.tolerance = tolerance
        self._seen = 0
        self._start = 0  # number of sequences up to the last wrong one

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        wrong_at = self._seen + 1 + np.flatnonzero(~(worst < self.tolerance))
        self._seen += len(worst)
        for number in [*wrong_at.tolist(), self._seen + 1]:
            if self.met_at is None and number - 1 - self._start >= self.window:
                self.met_at = self._start
            if number <= self._seen:
                self._start = number

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"seen": self._seen, "start": self._start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._seen, self._start = state["seen"], state["start"]


class St2(Criterion):
    """Second stopping rule of the paper: few wrong sequences and a small mean error in a validation (section 5.3).

    Each validation uses the next rows of a split without end, so sequences are not repeated.

    Args:
        split: Split of the validation sequences.
        window: Number of sequences in a validation.
        tolerance: A sequence is wrong if the error of any output is at least this large.
        mean_error: Exclusive upper bound of the mean error over the sequences; None for no bound.
        wrong: Largest number of wrong sequences.
    """

    def __init__(
        self, split: Split, window: int = 256, tolerance: float = 0.2, mean_error: float | None = None, wrong: int = 0
    ) -> None:
        self.split = split
        self.window = window
        self.tolerance = tolerance
        self.mean_error = float("inf") if mean_error is None else mean_error
        self.wrong = wrong
        self._checks = 0

    def check(self, sequences_seen: int, model: Scorer) -> None:
        if self.met_at is not None:
            return
        first = self._checks * self.window
        self._checks += 1
        errors = np.concatenate([model.errors(rows) for rows in self.split.batches(first, first + self.window)])
        wrong = int((~(errors[:, 0] < self.tolerance)).sum())
        if wrong <= self.wrong and float(errors[:, 1].mean()) < self.mean_error:
            self.met_at = sequences_seen

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"checks": self._checks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._checks = state["checks"]


class Legal(Criterion):
    """At every step of every text, the legal next symbols have the most active outputs (section 5.1).

    Args:
        splits: Splits with the texts: train and test of a task that defines `legal`.
    """

    def __init__(self, *splits: Split) -> None:
        self.splits = splits

    def check(self, sequences_seen: int, model: Scorer) -> None:
        if self.met_at is None and not any(count_illegal(split, split.size or 0, model, 1) for split in self.splits):
            self.met_at = sequences_seen


class Criteria:
    """All criteria of a run.

    Args:
        task: Task and config, as in `qrsu/hard`.
        accuracy: Threshold of `accuracy`, in (0, 1].
        seed: Seed of the validation sequences of the task's stopping rule.
        stopping_rule: Stopping rule of the task, see `stopping_rule_of`.
    """

    def __init__(
        self, task: TaskRef, accuracy: float, seed: int = 0, stopping_rule: StoppingRule | None = None
    ) -> None:
        self.accuracy = Accuracy(accuracy)
        self.st3 = St3()
        self.paper = None if stopping_rule is None else _criterion(stopping_rule, task, seed)

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        """Add training sequences, see `Criterion.update`."""
        self.st3.update(worst, mean)
        if self.paper is not None:
            self.paper.update(worst, mean)

    def check(self, sequences_seen: int, correct: float, total: int, model: Scorer) -> None:
        """Add a validation: its numbers of correct and all sequences, and the model."""
        self.accuracy.check(sequences_seen, correct, total)
        if self.paper is not None:
            self.paper.check(sequences_seen, model)

    def met(self, stop_at: str) -> bool:
        """Return True if the criterion, or both, of a value of `TrainConfig.stop_at` is met."""
        met = {name: criterion.met_at is not None for name, criterion in self._by_name().items()}
        return {**met, "both": met["accuracy"] and met["st3"], "none": False}[stop_at]

    def met_at(self) -> dict[str, int | None]:
        """Return `met_at` of each criterion, by its name in records; `accuracy` includes its threshold."""
        names = {"accuracy": f"accuracy>={self.accuracy.threshold:g}"}
        return {names.get(name, name): criterion.met_at for name, criterion in self._by_name().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as plain JSON values."""
        return {name: criterion.state_dict() for name, criterion in self._by_name().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        for name, criterion in self._by_name().items():
            criterion.load_state_dict(state[name])

    def _by_name(self) -> dict[str, Accuracy | Criterion]:
        paper = {} if self.paper is None else {"paper": self.paper}
        return {"accuracy": self.accuracy, "st3": self.st3, **paper}


def _criterion(stopping_rule: StoppingRule, task: TaskRef, seed: int) -> Criterion:
    """Return the criterion for the stopping rule of a task."""
    if stopping_rule.rule == "legal":
        return Legal(Split(task, "train"), Split(task, "test"))
    if stopping_rule.rule == "streak":
        return Streak(stopping_rule.window, stopping_rule.tolerance)
    numbers = (stopping_rule.window, stopping_rule.tolerance, stopping_rule.mean_error, stopping_rule.wrong)
    return St3(*numbers) if stopping_rule.rule == "st3" else St2(Split(task, "validation", seed), *numbers)

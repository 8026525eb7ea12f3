"""When a task counts as solved: criteria that watch a run and remember when they were met first.

Each counts *training sequences presented*, all processes together.

    accuracy   the share of right classes on fresh sequences reaches a threshold at a check
    st3        Hochreiter & Schmidhuber (1997), sections 5.4 to 5.6: the average training error is below 0.1 and the
               2,000 most recent training sequences were all right, every output within 0.3 of its target; both
               are taken over the last 2,000 sequences
    paper      what the source of the task itself calls a success, where it does: `tasks.schema.StoppingRule`

Two kinds there are. `St3` and `Streak` watch the training sequences, however they are cut into pieces; `Accuracy`,
`St2` and `Legal` look at a model at the checks of a run, so what they count is rounded up to the next check.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import UnknownNameError
from seqhub.metrics.classification import TOLERANCE, reaches
from seqhub.metrics.grammar import Scorer, illegal
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import StoppingRule
from seqhub.tasks.splits import Split

CRITERIA = ("accuracy", "st3", "paper")

STOPS = (*CRITERIA, "both", "none")  # both: accuracy and st3


def check_stop(name: str) -> None:
    """Raise UnknownNameError unless a run can stop at `name`."""
    if name not in STOPS:
        raise UnknownNameError.of("criterion", name, STOPS)


class Criterion:
    """Remembers when it was met; subclasses look at the training sequences (`update`) or at a model (`check`).

    Attributes:
        met_at: Training sequences to success; None where it was not met so far.
    """

    met_at: int | None = None

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        """Take in training sequences in the order of presentation.

        Args:
            worst: (N,), difference of each sequence's worst output from its target.
            mean: (N,), mean absolute difference of its outputs from their targets.
        """

    def check(self, sequences_seen: int, model: Scorer) -> None:
        """Look at a model after `sequences_seen` training sequences."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain JSON values."""
        return {"met_at": self.met_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.met_at = state["met_at"]


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
        if self.met_at is None and reaches(self.threshold, correct, total):
            self.met_at = sequences_seen

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"met_at": self.met_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.met_at = state["met_at"]


class St3(Criterion):
    """The paper's third stopping rule, on the training sequences as they are presented (sections 5.4 to 5.6).

    Args:
        window: Most recent training sequences that it looks at.
        tolerance: A sequence is wrong whose worst output is that far off, or further.
        mean_error: What the mean error over the window is to be below; None for no bound.
        wrong: How many sequences of the window may be wrong.

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
        self._wrong_at: NDArray[np.int64] = np.empty(0, np.int64)  # those in the window, counted from 1
        self._recent: NDArray[np.float64] = np.empty(0)  # mean errors in the window
        self._sum = 0.0  # of these

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        count = len(worst)
        if self.met_at is not None or not count:
            self._seen += count
            return
        seen = self._seen + 1 + np.arange(count)
        wrong_at = np.concatenate([self._wrong_at, seen[~(worst < self.tolerance)]])  # so that NaN is wrong
        wrong = np.searchsorted(wrong_at, seen, "right") - np.searchsorted(wrong_at, seen - self.window, "right")
        recent = np.concatenate([self._recent, mean.astype(np.float64)])
        # One number leaves the window and one comes in, in this order, so that the pieces of an update do not matter
        leaves = np.zeros(count)
        gone = max(0, len(recent) - self.window)
        leaves[count - gone :] = recent[:gone]
        sums = np.cumsum(np.concatenate([[self._sum], np.stack([-leaves, recent[-count:]], axis=1).ravel()]))[2::2]
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
    """So many training sequences in a row are right; what counts are those before them (section 5.2).

    It is known only at the end of the run of right sequences, which are still learnt from.

    Args:
        window: Right sequences in a row.
        tolerance: A sequence is wrong whose worst output is that far off, or further.

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
        self._start = 0  # sequences up to the last wrong one

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
    """The paper's second stopping rule: few of the fresh sequences of a check are wrong, and all near (section 5.3).

    Each check looks at the next rows of a split without end, so no sequence twice.

    Args:
        fresh: Where the sequences come from.
        window: Sequences of a check.
        tolerance: A sequence is wrong whose worst output is that far off, or further.
        mean_error: What the mean error over the sequences is to be below; None for no bound.
        wrong: How many of them may be wrong.
    """

    def __init__(
        self, fresh: Split, window: int = 256, tolerance: float = 0.2, mean_error: float | None = None, wrong: int = 0
    ) -> None:
        self.fresh = fresh
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
        errors = np.concatenate([model.errors(rows) for rows in self.fresh.batches(first, first + self.window)])
        wrong = int((~(errors[:, 0] < self.tolerance)).sum())
        if wrong <= self.wrong and float(errors[:, 1].mean()) < self.mean_error:
            self.met_at = sequences_seen

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"checks": self._checks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._checks = state["checks"]


class Legal(Criterion):
    """At every step of every given text the symbols that may follow are the most active outputs (section 5.1).

    Args:
        splits: The texts: train and test of a task that says what is `legal`.
    """

    def __init__(self, *splits: Split) -> None:
        self.splits = splits

    def check(self, sequences_seen: int, model: Scorer) -> None:
        if self.met_at is None and not any(illegal(split, split.size or 0, model, 1) for split in self.splits):
            self.met_at = sequences_seen


class Criteria:
    """All criteria of one run, under the names that its record gives them.

    Args:
        task: Task and config, as in `qrsu/hard`.
        accuracy: Threshold of `accuracy`, in (0, 1].
        seed: Of the fresh sequences that the task's own criterion looks at.
        stopping_rule: What that is, see `stopping_rule_of`.
    """

    def __init__(
        self, task: TaskRef, accuracy: float, seed: int = 0, stopping_rule: StoppingRule | None = None
    ) -> None:
        self.accuracy = Accuracy(accuracy)
        self.st3 = St3()
        self.paper = None if stopping_rule is None else _criterion(stopping_rule, task, seed)

    def update(self, worst: NDArray[np.floating], mean: NDArray[np.floating]) -> None:
        """Take in training sequences, see `Criterion.update`."""
        self.st3.update(worst, mean)
        if self.paper is not None:
            self.paper.update(worst, mean)

    def check(self, sequences_seen: int, correct: float, total: int, model: Scorer) -> None:
        """Take in a check: right answers on fresh sequences, and the model itself."""
        self.accuracy.check(sequences_seen, correct, total)
        if self.paper is not None:
            self.paper.check(sequences_seen, model)

    def met(self, stop_at: str) -> bool:
        """Whether what a run stops at is reached."""
        met = {name: criterion.met_at is not None for name, criterion in self._by_name().items()}
        return {**met, "both": met["accuracy"] and met["st3"], "none": False}[stop_at]

    def met_at(self) -> dict[str, int | None]:
        """Training sequences to each criterion, as a record has it; `accuracy` with its threshold."""
        names = {"accuracy": f"accuracy>={self.accuracy.threshold:g}"}
        return {names.get(name, name): criterion.met_at for name, criterion in self._by_name().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, as plain JSON values."""
        return {name: criterion.state_dict() for name, criterion in self._by_name().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, criterion in self._by_name().items():
            criterion.load_state_dict(state[name])

    def _by_name(self) -> dict[str, Accuracy | Criterion]:
        paper = {} if self.paper is None else {"paper": self.paper}
        return {"accuracy": self.accuracy, "st3": self.st3, **paper}


def _criterion(stopping_rule: StoppingRule, task: TaskRef, seed: int) -> Criterion:
    """What watches for the success of a task."""
    if stopping_rule.rule == "legal":
        return Legal(Split(task, "train"), Split(task, "test"))
    if stopping_rule.rule == "streak":
        return Streak(stopping_rule.window, stopping_rule.tolerance)
    numbers = (stopping_rule.window, stopping_rule.tolerance, stopping_rule.mean_error, stopping_rule.wrong)
    return St3(*numbers) if stopping_rule.rule == "st3" else St2(Split(task, "validation", seed), *numbers)

"""The course of a run, however it is computed: where it stands, at which rate it learns, what a check says of it."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError
from seqhub.training.config import TrainConfig

ERROR_MEMORY = 0.005  # weight of one step in the mean that schedule=error goes by


class DivergedError(InvalidConfigError):
    """The loss is no longer finite: nothing that follows could be learnt, or written down as JSON."""


@dataclass
class TrainerState:
    """Where a run stands; kept in checkpoints, shown in progress bars."""

    sequences: int = 0  # presented, all processes together
    steps: int = 0
    seconds: float = 0.0  # spent in this run, all its processes' lives together
    check_seconds: float = 0.0  # of these, in checks on fresh data
    error: float = 1.0  # exponential mean over steps of their largest error, for schedule=error
    recorded: dict[str, list[float]] = field(default_factory=dict)  # norms since the last check, see `capture`
    since_row: dict[str, float] = field(default_factory=lambda: {"rows": 0, "loss": 0.0, "correct": 0.0})
    validation_accuracy: float | None = None
    loss: float | None = None

    def error_factor(self, largest: float, config: TrainConfig) -> float:
        """Take in the largest error of a step; the factor on its learning rate, for schedule=error."""
        self.error += ERROR_MEMORY * (largest - self.error)
        return max(config.error_floor, min(1.0, self.error / config.error_reference))

    def add(self, errors: NDArray[np.floating]) -> None:
        """Take in (N, 4) of training sequences, what `judging.example_metrics` says of them."""
        self.since_row["rows"] += len(errors)
        self.since_row["loss"] += float(errors[:, 2].sum())
        self.since_row["correct"] += float(errors[:, 3].sum())

    def row(self, config: TrainConfig, correct: float, seen: int, rate: float) -> dict[str, Any]:
        """The line of a check in the history of a run; what it sums up is forgotten.

        Args:
            config: Of the run.
            correct: Right answers of the check.
            seen: Sequences it looked at.
            rate: Learning rate of the last step.

        Raises:
            DivergedError: The loss is not finite.
        """
        self.validation_accuracy = correct / seen
        self.loss = self.since_row["loss"] / self.since_row["rows"]
        if not math.isfinite(self.loss):
            settings = f"learning_rate {config.learning_rate:g}, weight_decay {config.weight_decay:g}"
            raise DivergedError(f"loss is {self.loss} after {self.sequences:,} sequences; lower {settings}")
        row = {
            "sequences": self.sequences,
            "loss": self.loss,
            "accuracy": self.since_row["correct"] / self.since_row["rows"],
            "learning_rate": rate,
            "seconds": round(self.seconds, 3),
            "validation_accuracy": self.validation_accuracy,
            "validation_examples": seen,
            **{name: total / count for name, (total, count) in self.recorded.items()},
        }
        self.recorded = {}
        self.since_row = {"rows": 0, "loss": 0.0, "correct": 0.0}
        return row


def learning_rate(config: TrainConfig, sequences: int, total: int, epoch: int) -> float:
    """The rate after so many training sequences: a function of nothing else, so that resuming is exact.

    With schedule=error it is multiplied by `TrainerState.error_factor`.

    Args:
        config: With the schedule.
        sequences: Presented so far.
        total: That the run will present.
        epoch: Of them in a pass over the data; of no meaning where they are a stream.

    >>> from pathlib import Path
    >>> config = TrainConfig(task="qrsu/easy", output_dir=Path(), schedule="linear", learning_rate=0.1, warmup=100)
    >>> [round(learning_rate(config, n, 1000, 0), 3) for n in (0, 50, 100, 550, 1000)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    if sequences < config.warmup:
        return config.learning_rate * sequences / config.warmup
    if config.schedule == "step":
        return config.learning_rate * config.decay ** (sequences // (config.decay_every or epoch))
    done = (sequences - config.warmup) / max(1, total - config.warmup)
    factors = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return config.learning_rate * factors.get(config.schedule, 1.0)

"""Trainer state, learning-rate schedules and history rows, for both training loops."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidConfigError
from seqhub.training.config import TrainConfig

ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 25.0, 1e4  # pct_start, div_factor and final_div_factor of torch
ERROR_WEIGHT = 0.005  # weight of one step in the moving average of schedule=error


class DivergedError(InvalidConfigError):
    """Loss that is not finite, so that training cannot continue."""


@dataclass
class TrainerState:
    """State of a run, saved in checkpoints and shown in progress bars."""

    # The names of the fields are keys in checkpoints
    sequences: int = 0  # training sequences presented, over all processes
    steps: int = 0
    seconds: float = 0.0  # time spent in this run, also before it was resumed
    check_seconds: float = 0.0  # part of `seconds` spent in validations
    error: float = 1.0  # exponential moving average of the largest error of each step, for schedule=error
    recorded: dict[str, list[float]] = field(default_factory=dict)  # norms since the last validation, see `capture`
    since_row: dict[str, float] = field(default_factory=lambda: {"rows": 0, "loss": 0.0, "correct": 0.0})
    validation_accuracy: float | None = None
    loss: float | None = None
    best_loss: float | None = None  # lowest validation loss, for patience
    best_sequences: int = 0  # training sequences presented until then
    waited: int = 0  # validations since then
    plateau: float = 1.0  # factor on the learning rate, for schedule=plateau
    plateau_waited: int = 0  # validations since the lowest loss or the last decay

    def is_best(self, validation_loss: float, config: TrainConfig) -> bool:
        """Add the loss of a validation, and return whether it is the lowest so far.

        With schedule=plateau, the factor on the learning rate falls after `plateau_patience` others.
        """
        if self.best_loss is None or validation_loss < self.best_loss:
            self.best_loss, self.best_sequences, self.waited, self.plateau_waited = (
                validation_loss, self.sequences, 0, 0,
            )  # fmt: skip
            return True
        self.waited += 1
        self.plateau_waited += 1
        if config.schedule == "plateau" and self.plateau_waited >= config.plateau_patience:
            self.plateau, self.plateau_waited = self.plateau * config.decay, 0
        return False

    def error_factor(self, largest: float, config: TrainConfig) -> float:
        """Update the average with the largest error of a step; return the learning-rate factor of schedule=error."""
        self.error += ERROR_WEIGHT * (largest - self.error)
        return max(config.error_floor, min(1.0, self.error / config.error_reference))

    def add(self, errors: NDArray[np.floating]) -> None:
        """Add the metrics of training sequences, (N, 4) from `per_example.example_metrics`."""
        self.since_row["rows"] += len(errors)
        self.since_row["loss"] += float(errors[:, 2].sum())
        self.since_row["correct"] += float(errors[:, 3].sum())

    def history_row(
        self, config: TrainConfig, correct: float, seen: int, rate: float, validation_loss: float | None = None
    ) -> dict[str, Any]:
        """Return the history row of a validation, and reset the sums since the previous one.

        Args:
            config: Settings of the run.
            correct: Number of correct sequences in the validation.
            seen: Number of evaluated sequences.
            rate: Learning rate of the last step.
            validation_loss: Mean loss of the sequences; None if it was not computed.

        Raises:
            DivergedError: The loss is not finite.
        """
        self.validation_accuracy = correct / seen
        self.loss = self.since_row["loss"] / self.since_row["rows"]
        if not math.isfinite(self.loss):
            settings = f"learning_rate={config.learning_rate:g} or weight_decay={config.weight_decay:g}"
            raise DivergedError(f"loss is {self.loss} after {self.sequences:,} sequences; lower {settings}")
        row = {
            "sequences": self.sequences,
            "loss": self.loss,
            "accuracy": self.since_row["correct"] / self.since_row["rows"],
            "learning_rate": rate,
            "seconds": round(self.seconds, 3),
            "validation_accuracy": self.validation_accuracy,
            "validation_examples": seen,
            **({} if validation_loss is None else {"validation_loss": validation_loss}),
            **{name: total / count for name, (total, count) in self.recorded.items()},
        }
        self.recorded = {}
        self.since_row = {"rows": 0, "loss": 0.0, "correct": 0.0}
        return row


def learning_rate(config: TrainConfig, sequences: int, total: int, epoch: int) -> float:
    """Return the learning rate after a number of training sequences.

    It depends on the arguments only, so resuming is exact. For schedule=error it is multiplied by
    `TrainerState.error_factor`, for schedule=plateau by `TrainerState.plateau`. The schedule one_cycle rises from 1/25
    of the rate over three tenths of the run and falls to 1/250,000 of it, both along half a cosine: Smith & Topin
    (2019), "Super-Convergence", with the numbers of torch's `OneCycleLR`; momentum stays constant.

    Args:
        config: Settings of the run, with the schedule.
        sequences: Number of training sequences presented so far.
        total: Total number of training sequences of the run.
        epoch: Number of sequences in a pass over the data; ignored for a stream.

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
    if config.schedule == "one_cycle":
        first, last = 1 / ONE_CYCLE_START, 1 / (ONE_CYCLE_START * ONE_CYCLE_END)
        if done < ONE_CYCLE_RISE:
            return config.learning_rate * _between(first, 1.0, done / ONE_CYCLE_RISE)
        return config.learning_rate * _between(1.0, last, min(1.0, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)))
    factors = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return config.learning_rate * factors.get(config.schedule, 1.0)


def _between(start: float, end: float, done: float) -> float:
    """Return a value on half a cosine from start to end."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))

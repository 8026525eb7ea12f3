"""Learning-rate range test: a short run in which the rate rises from a low value until the loss diverges.

Source: Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3. Here the rate is multiplied
by a constant factor at each step. The test uses the training loop of all runs, with a temporary folder.
"""

import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite, log
from pathlib import Path

from seqhub.errors import InvalidConfigError
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.launch import require_one_process
from seqhub.training.state import DivergedError, TrainerState
from seqhub.training.train import TrainingInterrupted, train

_DECAY = 0.9  # of the moving average of the loss
_DIVERGED = 4.0  # times the lowest smoothed loss
_MIN_STEPS, _MAX_STEPS = 10, 100_000


@dataclass(frozen=True)
class RangeStep:
    """One optimizer step of the test.

    Args:
        learning_rate: Learning rate of the step.
        loss: Loss of its batch, before the step.
        smoothed: Exponential moving average of the losses up to this step.
    """

    learning_rate: float
    loss: float
    smoothed: float


class _Diverged(Exception):  # noqa: N818  not an error: ends the test
    pass


def lr_range(config: TrainConfig, *, lowest: float = 1e-5, highest: float = 10.0, steps: int = 200) -> list[RangeStep]:
    """Return the loss at each step while the learning rate rises from `lowest` to `highest` in `steps` steps.

    The test ends early when the smoothed loss exceeds four times its lowest value, or is no longer finite. No files
    are kept, and random state and thread count of the caller are restored.

    Args:
        config: Settings of a run. Its rate, schedule, length, validation and folder are ignored.
        lowest: First rate, above 0.
        highest: Last rate.
        steps: Number of optimizer steps, with `config.step_size` sequences each.

    Raises:
        InvalidConfigError: A number out of range, or a setting that does not fit the task.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    require_one_process("a learning-rate range test")
    if not (0 < lowest < highest and isfinite(highest)):
        raise InvalidConfigError(f"lowest={lowest:g}, highest={highest:g}: must be finite, with 0 < lowest < highest")
    if not _MIN_STEPS <= steps <= _MAX_STEPS:
        raise InvalidConfigError.of("steps", steps, f"{_MIN_STEPS} to {_MAX_STEPS:,}")
    losses: list[float] = []
    average = _MovingAverage()

    def stop_if_diverged(state: TrainerState) -> None:
        assert state.loss is not None
        average.add(state.loss)
        losses.append(average.value)
        if average.value > _DIVERGED * min(losses):
            raise _Diverged

    with tempfile.TemporaryDirectory() as folder:
        run = replace(
            config,
            output_dir=Path(folder) / "run",
            learning_rate=lowest,
            schedule="step",
            warmup=0,
            decay=(highest / lowest) ** (1 / (steps - 1)),
            decay_every=config.step_size,
            epochs=steps,  # enough, as each has at least one batch
            max_sequences=steps * config.step_size,
            stop_at="none",
            evaluate_every=1,
            evaluate_size=1,
            checkpoint_every=steps * config.step_size + 1,
            patience=0,
            trackers=(),
            record=(),
        )
        try:
            train(run, callback=stop_if_diverged)
        except TrainingInterrupted:
            raise KeyboardInterrupt from None  # there is no checkpoint to resume from
        except (_Diverged, DivergedError):
            pass
        rows = read_history(run.output_dir)
    average = _MovingAverage()
    return [RangeStep(row["learning_rate"], row["loss"], average.add(row["loss"])) for row in rows]


def steepest(steps: list[RangeStep]) -> RangeStep | None:
    """Return the step at which the smoothed loss falls fastest over the logarithm of the rate; None if it never falls.

    Its rate is a good first choice: far from both ends of the range in which the model learns. The first tenth of the
    steps is ignored, because the average there covers only a few batches.

    >>> losses = {0.001: 1.0, 0.01: 0.9, 0.1: 0.2, 1.0: 5.0}
    >>> steepest([RangeStep(rate, loss, loss) for rate, loss in losses.items()]).learning_rate
    0.1
    """
    settled = steps[len(steps) // 10 :]
    slopes = [
        ((after.smoothed - before.smoothed) / log(after.learning_rate / before.learning_rate), after)
        for before, after in pairwise(settled)
    ]
    slope, step = min(slopes, key=lambda each: each[0], default=(0.0, None))
    return step if slope < 0 else None


class _MovingAverage:
    """Exponential moving average with bias correction."""

    def __init__(self) -> None:
        self.value = 0.0
        self._sum = self._weight = 0.0

    def add(self, loss: float) -> float:
        self._sum = _DECAY * self._sum + (1 - _DECAY) * loss
        self._weight = _DECAY * self._weight + (1 - _DECAY)
        self.value = self._sum / self._weight
        return self.value

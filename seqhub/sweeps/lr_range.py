"""The learning-rate range test: a run of a few steps in which the rate rises from nothing until the loss diverges.

Source: Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3; with a rate that rises by a
factor at each step. It is a run like any other, by the same loop, whose folder is thrown away.
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

_MEMORY = 0.9  # of the smoothed loss
_DIVERGED = 4.0  # times the lowest smoothed loss
_FEWEST, _MOST = 10, 100_000  # steps


@dataclass(frozen=True)
class RangeStep:
    """One optimizer step of the test.

    Args:
        learning_rate: At this step.
        loss: Of its batch, before the step.
        smoothed: Of this and the steps before, with exponentially falling weight.
    """

    learning_rate: float
    loss: float
    smoothed: float


class _Diverged(Exception):  # noqa: N818  the end of the test, and no error
    pass


def lr_range(config: TrainConfig, *, lowest: float = 1e-5, highest: float = 10.0, steps: int = 200) -> list[RangeStep]:
    """Let the learning rate rise from `lowest` to `highest` in `steps` steps, and see what the loss does.

    The test ends early where the smoothed loss is four times its lowest value, or no longer finite. Nothing is left
    on the disk, and random state and threads of the caller are as before.

    Args:
        config: Of the run that the rate is for. Its rate, schedule, length, checks and folder are of no meaning here.
        lowest: The first rate, above 0.
        highest: The last rate.
        steps: Optimizer steps, of `config.batch_size` sequences each.

    Raises:
        InvalidConfigError: A number out of range, or a setting that does not fit the task.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    require_one_process("a learning-rate range test")
    if not (0 < lowest < highest and isfinite(highest)):
        raise InvalidConfigError(f"learning rates from {lowest:g} to {highest:g}; need 0 < lowest < highest")
    if not _FEWEST <= steps <= _MOST:
        raise InvalidConfigError(f"{steps} steps of a range test; need {_FEWEST} to {_MOST:,}")
    losses: list[float] = []
    smooth = _Smooth()

    def watch(now: TrainerState) -> None:
        assert now.loss is not None
        smooth.add(now.loss)
        losses.append(smooth.value)
        if smooth.value > _DIVERGED * min(losses):
            raise _Diverged

    with tempfile.TemporaryDirectory() as folder:
        run = replace(
            config,
            output_dir=Path(folder) / "run",
            learning_rate=lowest,
            schedule="step",
            warmup=0,
            decay=(highest / lowest) ** (1 / (steps - 1)),
            decay_every=config.batch_size,
            epochs=steps,  # each has a batch or more
            max_sequences=steps * config.batch_size,
            stop_at="none",
            evaluate_every=1,
            evaluate_size=1,
            checkpoint_every=steps * config.batch_size + 1,
            trackers=(),
            record=(),
        )
        try:
            train(run, callback=watch)
        except TrainingInterrupted:
            raise KeyboardInterrupt from None  # there is nothing to go on with
        except (_Diverged, DivergedError):
            pass
        rows = read_history(run.output_dir)
    smooth = _Smooth()
    return [RangeStep(row["learning_rate"], row["loss"], smooth.add(row["loss"])) for row in rows]


def steepest(course: list[RangeStep]) -> RangeStep | None:
    """Where the smoothed loss falls fastest against the logarithm of the rate; None where it never falls.

    It is a rate to start from: far enough from both ends of the range in which anything is learnt. The first tenth of
    the steps, in which the mean is still that of a few batches, does not count.

    >>> losses = {0.001: 1.0, 0.01: 0.9, 0.1: 0.2, 1.0: 5.0}
    >>> steepest([RangeStep(rate, loss, loss) for rate, loss in losses.items()]).learning_rate
    0.1
    """
    settled = course[len(course) // 10 :]
    slopes = [
        ((after.smoothed - before.smoothed) / log(after.learning_rate / before.learning_rate), after)
        for before, after in pairwise(settled)
    ]
    slope, step = min(slopes, key=lambda each: each[0], default=(0.0, None))
    return step if slope < 0 else None


class _Smooth:
    """An exponential moving average that is no nearer to zero at its start."""

    def __init__(self) -> None:
        self.value = 0.0
        self._sum = self._weight = 0.0

    def add(self, loss: float) -> float:
        self._sum = _MEMORY * self._sum + (1 - _MEMORY) * loss
        self._weight = _MEMORY * self._weight + (1 - _MEMORY)
        self.value = self._sum / self._weight
        return self.value

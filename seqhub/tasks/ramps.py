"""Ramps: sequences that rise or fall by the same amount at every step, to be written out again from one vector.

Source: a question of a forum's thread, answered with an LSTM autoencoder that repeats its last state, after
Srivastava, Mansimov & Salakhutdinov (2015), "Unsupervised Learning of Video Representations using LSTMs", section 2.
The example there is the ramp 0.0, 0.1 ... 0.4 in two features; `tutorial` has it, with five steps and cut to three.

The steps of the other configs are numbers (`scalar`), pairs of numbers (`pair`) or small grey images (`image`), and
the sequences start anywhere, rise or fall at any rate, and reach beyond -1 and 1, where no state of an LSTM goes:

    >>> TASK.solve([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    >>> TASK.solve([[0.0], [0.1], [0.3]])
    Traceback (most recent call last):
    seqhub.errors.InvalidInputError: step 2 rises by 0.2, step 1 by 0.1; a ramp rises by the same at every step

The target is the input, so the rule has nothing to add: it says whether a sequence is a ramp. Nothing is to be
guessed by chance; the mean of all values has a squared error of 0.5 or so.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig, TaskSchema

TOLERANCE = 1e-4  # mean squared error at which a sequence counts as reconstructed
GRID = 1 << 20  # values are multiples of 1 / GRID, below 16: float32 holds each of them exactly

_START = GRID  # largest start, in units of the grid
_RISE = GRID // 8  # largest rise from step to step
_TILT = GRID // 4  # largest difference between neighbouring pixels
_TUTORIAL = (5, 3)  # steps


@dataclass(frozen=True, kw_only=True)
class RampsConfig(TaskConfig):
    """Steps of any shape; an `image` is tilted, other steps hold values that do not know of each other."""

    step_shape: tuple[int, ...]
    image: bool = False
    given: bool = False  # the ramp of the source, instead of fresh ones

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1], "2 <= shortest <= longest")
        self.require(not self.image or len(self.step_shape) == 2, "a height and a width for images")


class Ramps(Task[RampsConfig]):
    """Sequences with a start and a constant rise."""

    name = "ramps"
    version = 1
    title = "Reconstruction of ramps from a single vector"
    description = (
        "Every value of a step rises or falls by the same amount from each step to the next. The whole sequence is to "
        "be put into one vector and written out again from it; it counts as right at a mean squared error of 1e-4."
    )
    limits = "The data are synthetic: a start and a rise say all there is to know about a sequence of any length."
    source = """@inproceedings{srivastava2015unsupervised,
  author    = {Srivastava, Nitish and Mansimov, Elman and Salakhutdinov, Ruslan},
  title     = {Unsupervised Learning of Video Representations using {LSTMs}},
  booktitle = {International Conference on Machine Learning},
  year      = {2015}
}"""
    configs = (
        RampsConfig(name="scalar", length=(3, 8), step_shape=(1,)),
        RampsConfig(name="pair", length=(3, 8), step_shape=(2,)),
        RampsConfig(name="image", length=(3, 8), step_shape=(4, 4), image=True),
        RampsConfig(name="tutorial", length=(3, 5), step_shape=(2,), given=True),
    )

    def schema(self, config: RampsConfig) -> TaskSchema:
        return TaskSchema(step_shape=config.step_shape, target="inputs", tolerance=TOLERANCE)

    def generate(self, config: RampsConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        each = 1 if config.image else math.prod(config.step_shape)
        starts = random.integers_2d(-_START, _START, each)
        rises = random.integers_2d(-_RISE, _RISE, each)
        if config.image:  # planes: the pixels differ by their place
            tilts = random.integers_2d(-_TILT, _TILT, 2)
            rows, columns = (axis.ravel() for axis in np.indices(config.step_shape))
            starts = starts + tilts[:, :1] * rows + tilts[:, 1:] * columns
        steps = np.arange(config.length[1])
        values = starts[:, None, :] + rises[:, None, :] * steps[:, None]
        values[steps >= lengths[:, None]] = 0
        return Batch((values / np.float64(GRID)).astype(np.float32), lengths, _no_labels(len(lengths)))

    def rows(self, config: RampsConfig, split: str) -> Batch | None:
        """The ramp of the source, whole and cut: it is to be known by heart, so all splits hold the same two rows."""
        if not config.given:
            return None
        values = np.zeros((len(_TUTORIAL), config.length[1], *config.step_shape), dtype=np.float32)
        for row, length in enumerate(_TUTORIAL):
            values[row, :length] = (np.arange(length, dtype=np.float32) / np.float32(10))[:, None]
        return Batch(values, np.array(_TUTORIAL, dtype=np.int64), _no_labels(len(_TUTORIAL)))

    def splits_overlap(self, config: RampsConfig) -> bool:
        return config.given

    def sizes(self, config: RampsConfig) -> dict[str, int] | None:
        return {"train": 20_000, "validation": 2_000, "test": 2_000} if config.image else None

    def solve(self, sequence: Any) -> None:
        values = np.asarray(sequence, dtype=np.float64)
        if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
            raise InvalidInputError(
                f"values of shape {values.shape}; a ramp has two finite steps or more of (steps, F)"
            )
        rises = np.diff(values, axis=0)
        wrong = np.abs(rises - rises[0]) > 1e-6
        if wrong.any():
            step, value = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"step {step + 1} rises by {rises[step, value]:.3g}, step 1 by {rises[0, value]:.3g}; "
                "a ramp rises by the same at every step"
            )


def _no_labels(rows: int) -> NDArray[np.int64]:
    return np.empty((rows, 0), dtype=np.int64)


TASK = Ramps()

"""Ramps: reconstruction of linear sequences from one vector.

Source: a forum thread that proposes an LSTM autoencoder that repeats its last state, after Srivastava, Mansimov &
Salakhutdinov (2015), "Unsupervised Learning of Video Representations using LSTMs", section 2. Its example is the ramp
0.0, 0.1 ... 0.4 in two features; `tutorial` has this ramp with five steps, and cut to three.

The steps of the other configs are numbers (`scalar`), pairs of numbers (`pair`) or small grey images (`image`). The
sequences have random starts and slopes, and values outside [-1, 1], the range of LSTM states:

    >>> TASK.solve([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    >>> TASK.solve([[0.0], [0.1], [0.3]])
    Traceback (most recent call last):
    seqhub.errors.InvalidInputError: step 2 rises by 0.2, step 1 by 0.1: all steps must rise by the same amount

The target is the input, so `solve` only checks that a sequence is a ramp. There is no chance level; the mean of all
values has a squared error of about 0.5.
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

TOLERANCE = 1e-4  # largest mean squared error of a reconstructed sequence
GRID = 1 << 20  # values are multiples of 1 / GRID, below 16, so they are exact in float32

_START = GRID  # largest start, in units of the grid
_RISE = GRID // 8  # largest rise from step to step
_TILT = GRID // 4  # largest difference between neighbouring pixels
_TUTORIAL = (5, 3)  # steps


@dataclass(frozen=True, kw_only=True)
class RampsConfig(TaskConfig):
    """Steps of any shape; the pixels of an `image` form a plane, the values of other steps are independent."""

    step_shape: tuple[int, ...]
    image: bool = False
    tutorial: bool = False  # use the ramp of the source instead of generated ones

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1], "2 <= shortest <= longest")
        self.require(not self.image or len(self.step_shape) == 2, "a height and a width in step_shape of images")

    def parameters(self) -> dict[str, object]:
        parameters = super().parameters()
        parameters["given"] = parameters.pop("tutorial")  # the name in keys of generated rows and in JSON output
        return parameters


class Ramps(Task[RampsConfig]):
    """Reconstruction of sequences with a constant slope."""

    name = "ramps"
    version = 1
    title = "Reconstruction of ramps from a single vector"
    description = (
        "Every value rises or falls by the same amount from each step to the next. The model encodes the whole "
        "sequence as one vector and reconstructs it; a reconstruction is right at a mean squared error of at most 1e-4."
    )
    limits = "The data are synthetic: a start and a slope determine a sequence of any length."
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
        RampsConfig(name="tutorial", length=(3, 5), step_shape=(2,), tutorial=True),
    )

    def schema(self, config: RampsConfig) -> TaskSchema:
        return TaskSchema(step_shape=config.step_shape, target="inputs", tolerance=TOLERANCE)

    def generate(self, config: RampsConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        each = 1 if config.image else math.prod(config.step_shape)
        starts = random.integers_2d(-_START, _START, each)
        rises = random.integers_2d(-_RISE, _RISE, each)
        if config.image:  # planes: linear in row and column
            tilts = random.integers_2d(-_TILT, _TILT, 2)
            rows, columns = (axis.ravel() for axis in np.indices(config.step_shape))
            starts = starts + tilts[:, :1] * rows + tilts[:, 1:] * columns
        steps = np.arange(config.length[1])
        values = starts[:, None, :] + rises[:, None, :] * steps[:, None]
        values[steps >= lengths[:, None]] = 0
        return Batch((values / np.float64(GRID)).astype(np.float32), lengths, _no_labels(len(lengths)))

    def rows(self, config: RampsConfig, split: str) -> Batch | None:
        """Return the ramp of the source, whole and cut; all splits have the same two rows, to be memorised."""
        if not config.tutorial:
            return None
        values = np.zeros((len(_TUTORIAL), config.length[1], *config.step_shape), dtype=np.float32)
        for row, length in enumerate(_TUTORIAL):
            values[row, :length] = (np.arange(length, dtype=np.float32) / np.float32(10))[:, None]
        return Batch(values, np.array(_TUTORIAL, dtype=np.int64), _no_labels(len(_TUTORIAL)))

    def splits_overlap(self, config: RampsConfig) -> bool:
        return config.tutorial

    def sizes(self, config: RampsConfig) -> dict[str, int] | None:
        return {"train": 20_000, "validation": 2_000, "test": 2_000} if config.image else None

    def solve(self, sequence: Any) -> None:
        values = np.asarray(sequence, dtype=np.float64)
        if values.ndim != 2 or len(values) < 2 or not np.isfinite(values).all():
            raise InvalidInputError(
                f"values of shape {values.shape}: must be finite and (steps, F) with 2 or more steps"
            )
        rises = np.diff(values, axis=0)
        wrong = np.abs(rises - rises[0]) > 1e-6
        if wrong.any():
            step, value = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"step {step + 1} rises by {rises[step, value]:.3g}, step 1 by {rises[0, value]:.3g}: "
                "all steps must rise by the same amount"
            )


def _no_labels(rows: int) -> NDArray[np.int64]:
    return np.empty((rows, 0), dtype=np.int64)


TASK = Ramps()

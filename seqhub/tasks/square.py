"""Square: the direction, clockwise or counter-clockwise, in which the corners of a square are visited.

Source: D. Voigt Godoy (2021), "Deep Learning with PyTorch Step-by-Step", chapter 8, and the course based on it.
A sequence visits the corners A (-1, -1), B (-1, 1), C (1, 1), D (1, -1) from a random corner on, in this order
(clockwise) or in the reverse order, with normal noise of standard deviation 0.1 on each coordinate:

    >>> TASK.solve([[-0.9, -1.1], [-1.0, 0.8], [1.2, 1.0], [0.9, -1.0]])
    'clockwise'

`fixed` has all four corners, `variable` the first two to four of them; two determine the direction. `tutorial` has the
data of the source, 128 sequences for training (its seed 13) and 128 for the test (its seed 19). The source validates on
its test rows during training; here `validation` has 128 rows of a third seed, 17, so that no setting is chosen by the
rows of `test`. The chance level is 1/2.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom, quantiles
from seqhub.tasks.schema import Batch, TaskConfig, TaskSchema

CORNERS = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], dtype=np.float32)  # A B C D, clockwise
NOISE = 0.1  # standard deviation of each coordinate

_TUTORIAL_SEEDS = {"train": 13, "validation": 17, "test": 19}
_TUTORIAL_ROWS = 128


@dataclass(frozen=True, kw_only=True)
class SquareConfig(TaskConfig):
    """Sequences of two to four corners."""

    tutorial: bool = False  # use the rows of the source instead of generated ones

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1] <= len(CORNERS), "2 <= shortest <= longest <= 4")

    def parameters(self) -> dict[str, object]:
        parameters = super().parameters()
        parameters["given"] = parameters.pop("tutorial")  # the name in keys of generated rows and in JSON output
        return parameters


class Square(Task[SquareConfig]):
    """Direction in which points of the plane are visited."""

    name = "square"
    version = 1
    title = "Direction in which the corners of a square are visited, from noisy points"
    labels = ("counter-clockwise", "clockwise")
    description = (
        "A sequence of two to four points in the plane visits neighbouring corners of the square (-1, -1), (-1, 1), "
        "(1, 1), (1, -1), from a random corner on, with normal noise of standard deviation 0.1 on each coordinate. The "
        "label is the direction: clockwise in the order above, counter-clockwise in the reverse order."
    )
    limits = "The data are synthetic: four noisy points, and any two consecutive ones determine the class."
    source = """@book{godoy2021deep,
  author    = {Godoy, Daniel Voigt},
  title     = {Deep Learning with {PyTorch} Step-by-Step: A Beginner's Guide},
  publisher = {Leanpub},
  year      = {2021}
}"""
    configs = (
        SquareConfig(name="fixed", length=(4, 4)),
        SquareConfig(name="variable", length=(2, 4)),
        SquareConfig(name="tutorial", length=(4, 4), tutorial=True),
    )

    def schema(self, config: SquareConfig) -> TaskSchema:
        return TaskSchema(step_shape=(2,), labels=self.labels)

    def generate(self, config: SquareConfig, random: BlockRandom) -> Batch:
        bases = random.integers(0, 3)
        lengths = random.integers(*config.length)
        labels = random.integers(0, 1)
        longest = config.length[1]
        points = random.normal(2 * longest, _noise()).reshape(-1, longest, 2)
        points += _sequences()[:, :longest][2 * bases + labels]
        if config.length[0] < longest:
            points[np.arange(longest) >= lengths[:, None]] = 0
        return Batch(points, lengths, labels)

    def rows(self, config: SquareConfig, split: str) -> Batch | None:
        return _tutorial_rows(_TUTORIAL_SEEDS[split]) if config.tutorial else None

    def solve(self, sequence: Any) -> str:
        points = np.asarray(sequence)
        if points.ndim != 2 or points.shape[1] != 2 or not 2 <= len(points) <= len(CORNERS):
            raise InvalidInputError(f"points of shape {points.shape}: must be (steps, 2) with 2 to 4 steps")
        if not np.isfinite(points).all():
            raise InvalidInputError(f"point {points[~np.isfinite(points).all(axis=1)][0]}: must be finite")
        corners = [int(np.square(CORNERS - point).sum(axis=1).argmin()) for point in points]
        turns = {(after - before) % 4 for before, after in pairwise(corners)}
        if turns not in ({1}, {3}):
            visited = "".join("ABCD"[corner] for corner in corners)
            raise InvalidInputError(f"corners {visited}: must be in the order ABCDA or ADCBA, from any corner on")
        return self.labels[turns == {1}]


def _corners(bases: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return all four corners, (N, 4, 2): clockwise from a base on, or these in reverse."""
    steps = np.arange(4)
    order = np.where(labels[:, None] == 1, steps, steps[::-1])
    corners: NDArray[np.float32] = CORNERS[(bases[:, None] + order) % 4]
    return corners


@cache
def _noise() -> NDArray[np.float32]:
    return quantiles() * np.float32(NOISE)


@cache
def _sequences() -> NDArray[np.float32]:
    """Return the corners of all bases and labels: (8, 4, 2), the number of a sequence is 2 * base + label."""
    return _corners(*np.divmod(np.arange(8), 2))


def _tutorial_rows(seed: int) -> Batch:
    """Return the sequences of the source for a seed, with the same calls of a private legacy generator.

    NumPy has frozen the values of this generator. They are generated as float64 and rounded to float32, as in the
    source.
    """
    random = np.random.RandomState(seed)
    bases = random.randint(4, size=_TUTORIAL_ROWS)
    labels = random.randint(2, size=_TUTORIAL_ROWS).astype(np.int64)
    noise = random.randn(_TUTORIAL_ROWS, 4, 2) * NOISE
    points = (_corners(bases, labels) + noise).astype(np.float32)
    return Batch(points, np.full(_TUTORIAL_ROWS, 4), labels)


TASK = Square()

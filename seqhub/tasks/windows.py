"""Windows: votes for a class by the position of the largest value in each window of a row.

Source: made for this package, to demonstrate locally connected layers; LeCun (1989), "Generalization and Network Design
Strategies", compares such layers with dense layers and with shared filters.

A row of k * N values has N windows of k values. In each window one value, the peak, is larger than the others. The
meaning of its position depends on the window: a peak at position p of window n is a vote for class (p + n) mod k. More
than half of the votes are for one class, the label:

    >>> TASK.solve([9, 1, 1, 2,  0, 1, 0, 8,  7, 0, 0, 0])  # votes for 0, for 3 + 1 = 0 and for 0 + 2
    '0'

A filter shared by all windows cannot distinguish the classes, nor can a model that ignores the order within a window. A
dense layer can, with N times the weights. The chance level is 1/k.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig, TaskSchema


@dataclass(frozen=True, kw_only=True)
class WindowsConfig(TaskConfig):
    """Size of a window; `length` is the number of values in all windows."""

    window: int  # values

    def __post_init__(self) -> None:
        shortest, longest = self.length
        self.require(
            self.window >= 2 and shortest == longest and longest % self.window == 0 and longest >= self.window,
            "a fixed length that is a multiple of window, and window >= 2",
        )

    @property
    def windows(self) -> int:
        """Number of windows in a row."""
        return self.length[1] // self.window


class Windows(Task[WindowsConfig]):
    """Majority vote of the windows of a row."""

    name = "windows"
    version = 1
    title = "Majority vote of windows, with a different meaning of positions in each"
    description = (
        "A row has windows of k values, each with one peak of at least 0.75 among values below 0.5. A peak at position "
        "p of window n, both counted from 0, is a vote for class (p + n) mod k. The label is the class with more than "
        "half of the votes."
    )
    limits = "The data are synthetic. They test only whether a model distinguishes windows and positions."
    source = """@techreport{lecun1989generalization,
  author      = {LeCun, Yann},
  title       = {Generalization and Network Design Strategies},
  institution = {University of Toronto},
  number      = {CRG-TR-89-4},
  year        = {1989}
}"""
    configs = (
        WindowsConfig(name="k4-n8", length=(32, 32), window=4),
        WindowsConfig(name="k8-n16", length=(128, 128), window=8),
    )

    def schema(self, config: WindowsConfig) -> TaskSchema:
        return TaskSchema(step_shape=(1,), labels=tuple(str(place) for place in range(config.window)))

    def sizes(self, config: WindowsConfig) -> dict[str, int]:
        return {"train": 20_000, "validation": 2_000, "test": 2_000}

    def generate(self, config: WindowsConfig, random: BlockRandom) -> Batch:
        k, windows = config.window, config.windows
        labels = random.integers(0, k - 1)
        dissent = random.integers_2d(1, k - 1, windows)  # added to the label where a window votes for another class
        dissent *= random.permutations(windows) > windows // 2  # more than half of the windows agree
        heights = random.uniform(windows, below=1 / 4)
        heights += np.float32(0.75)
        values = random.uniform(windows * k, below=1 / 2)
        votes = dissent
        votes += labels[:, None]
        votes += -np.arange(windows) % k
        remainders = np.arange(3 * k) % k  # faster to look up than to compute
        starts = np.arange(0, BLOCK_SIZE * windows * k, k).reshape(-1, windows)
        for first in range(0, random.size, BLOCK_SIZE):  # so that the places stay in the cache
            part = slice(first, first + BLOCK_SIZE)
            places = remainders[votes[part]]
            places += starts
            values[part].reshape(-1)[places] = heights[part]
        return Batch(values.reshape(-1, windows * k, 1), np.full(len(labels), windows * k), labels)

    def solve(self, sequence: Any, window: int = 4) -> str:
        """Return the target as `Task.solve` does; `window` is the k of the config."""
        values = np.asarray(sequence, dtype=np.float64)
        if values.size == 0 or values.size % window or values.size != len(values) or not np.isfinite(values).all():
            raise InvalidInputError(
                f"values of shape {values.shape}: must be finite and one or more whole windows of {window} values"
            )
        votes = Counter(int(part.argmax() + n) % window for n, part in enumerate(values.reshape(-1, window)))
        (winner, most), total = votes.most_common(1)[0], votes.total()
        if 2 * most <= total:
            raise InvalidInputError(f"class {winner} has {most} of {total} votes: one class must have more than half")
        return str(winner)

    def solve_batch(self, sequences: Sequence[Any], config: WindowsConfig | None = None) -> list[Any]:
        window = 4 if config is None else config.window
        return [self.solve(sequence, window) for sequence in sequences]


TASK = Windows()

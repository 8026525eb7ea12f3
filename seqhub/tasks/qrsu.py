"""QRSU (temporal order): the order of two marked symbols in a long sequence of noise.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), experiment 6a.
A sequence starts with B, ends with E and is otherwise uniform noise over {a, b, c, d}, except for two steps with X or
Y. The class is the pair in order of appearance:

    >>> TASK.solve("BaXbcYdE")
    'R'

`hard` has the lengths and positions of the paper. The levels and the symbols B (first) and E (last) follow the course
"NYU Deep Learning" (Canziani & LeCun, 2020); `tutorial_stream` reproduces the batches of its generator exactly. The
paper starts sequences with E and ends them with B, and so does `hs97`:

    >>> TASK.solve("EaXbcYdB")
    'R'

The chance level is 1/4. Only the two marked steps carry information about the label.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._qrsu_tutorial import tutorial_stream
from seqhub.tasks._temporal_order import ENDS, TemporalOrder
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, FiniteDomain, IntRange, TaskConfig

__all__ = ["TASK", "Qrsu", "QrsuConfig", "tutorial_stream"]

CLASS_OF = {"XX": "Q", "XY": "R", "YX": "S", "YY": "U"}
_MAX_DOMAIN_SIZE = 100_000  # sequences of a finite domain


@dataclass(frozen=True, kw_only=True)
class QrsuConfig(TaskConfig):
    """Ranges are in steps, counted from 0, both ends included."""

    first: IntRange  # step of the first marked symbol
    second: IntRange  # step of the second
    ends: str = ENDS  # first and last symbol

    def parameters(self) -> dict[str, object]:
        parameters = super().parameters()
        if self.ends == ENDS:  # omitted when default, so that the bytes of earlier configs do not change
            del parameters["ends"]
        return parameters

    def __post_init__(self) -> None:
        steps = (0, *self.first, *self.second, self.length[0] - 1)
        self.require(
            all(low <= high for low, high in (self.length, self.first, self.second))
            and all(before < after for before, after in zip(steps[::2], steps[1::2], strict=True)),
            "low <= high in each range and 0 < first < second < length - 1",
        )


class Qrsu(TemporalOrder[QrsuConfig]):
    """Temporal order task with two marked symbols and four classes."""

    name = "qrsu"
    version = 1
    title = "Temporal order of two marked symbols among noise (LSTM paper, experiment 6a)"
    labels = ("Q", "R", "S", "U")
    limits = (
        "The data are synthetic. They test whether a model can remember two symbols over many steps, not language "
        "understanding."
    )
    description = (
        "A sequence starts with B, ends with E and is otherwise uniform noise over a, b, c, d, except for two steps "
        "with X or Y. In hs97 it starts with E and ends with B. The label is the pair in order of appearance: XX is Q, "
        "XY is R, YX is S, YY is U."
    )
    configs = (
        QrsuConfig(name="easy", length=(7, 8), first=(1, 2), second=(4, 5)),
        QrsuConfig(name="normal", length=(30, 40), first=(2, 5), second=(20, 27)),
        QrsuConfig(name="moderate", length=(60, 80), first=(10, 20), second=(45, 54)),
        QrsuConfig(name="hard", length=(100, 110), first=(10, 20), second=(50, 60)),
        QrsuConfig(name="nightmare", length=(300, 500), first=(10, 80), second=(250, 290)),
        QrsuConfig(name="hs97", length=(100, 110), first=(10, 20), second=(50, 60), ends=ENDS[::-1]),
    )
    paper_sequences: ClassVar = {"hard": 31_390, "hs97": 31_390}  # section 5.6, Table 9
    paper_wrong: ClassVar = {"hard": 1 / 2560, "hs97": 1 / 2560}
    paper_setting = (
        "a network of 156 weights without forget gates was trained online, one sequence at a time, by gradient descent"
    )

    def generate(self, config: QrsuConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        first = random.integers(*config.first)
        second = random.integers(*config.second)
        labels = random.integers(0, len(self.labels) - 1)
        noise = self.noise(config.length, random)
        return self.write(config.length, lengths, (first, second), labels, noise, config.ends)

    def finite_domain(self, config: QrsuConfig) -> FiniteDomain | None:
        shortest, longest = config.length
        free = longest - 4  # steps of noise in the longest sequence
        places = (config.first[1] - config.first[0] + 1) * (config.second[1] - config.second[0] + 1)
        if 4**free * places * len(self.labels) > _MAX_DOMAIN_SIZE:
            return None
        parts, weights = [], []
        for length in range(shortest, longest + 1):
            noise_count = 4 ** (length - 4)
            first, second, label, code = (
                axis.ravel()
                for axis in np.meshgrid(
                    np.arange(config.first[0], config.first[1] + 1),
                    np.arange(config.second[0], config.second[1] + 1),
                    np.arange(len(self.labels)),
                    np.arange(noise_count),
                    indexing="ij",
                )
            )
            digits = _spread(code, length, first, second)
            lengths = np.full(len(label), length)
            parts.append(self.write(config.length, lengths, (first, second), label, digits, config.ends))
            weights.append(np.full(len(label), 4 ** (longest - length)))
        batch = Batch(
            np.concatenate([part.inputs for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )
        return FiniteDomain(batch, np.concatenate(weights))

    def solve(self, sequence: str) -> str:
        marks = "".join(symbol for symbol in sequence if symbol in "XY")
        ends = sequence[:1] + sequence[-1:]
        if marks not in CLASS_OF or ends not in (ENDS, ENDS[::-1]) or set(sequence[1:-1]) - set("XYabcd"):
            form = "B, then noise over abcd with two of X and Y, then E; or the same with E first and B last"
            raise InvalidInputError(f"{sequence!r} is not a valid qrsu sequence: must be {form}")
        return CLASS_OF[marks]


def _spread(
    code: NDArray[np.int64], length: int, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Return noise words (N, 1) with the base-4 digits of `code` in the unmarked steps, for up to 8 steps."""
    word = np.zeros(len(code), dtype=np.int64)
    rest = code
    for step in range(1, length - 1):
        free = (step != first) & (step != second)
        word |= np.where(free, rest & 3, 0) << (2 * step)
        rest = np.where(free, rest >> 2, rest)
    return word.astype(np.uint16)[:, None]


TASK = Qrsu()

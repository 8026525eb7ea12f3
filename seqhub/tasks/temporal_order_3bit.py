"""Temporal order with three symbols: the order of three marked symbols in a long sequence of noise.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), experiment 6b (section 5.6).
A sequence starts with B, ends with E and is otherwise uniform noise over {a, b, c, d}, except for three steps with X or
Y. The class is the triple in order of appearance:

    >>> TASK.solve("BXabYcXdE")
    'S'

`hard` has the lengths and positions of the paper; the other levels have these multiplied by 0.2, 0.3, 0.6 and 3, like
the levels of `qrsu`, which has two marked symbols. As in `qrsu`, B is first and E is last; in the paper E is first and
B is last. The name of class B is not related to the symbol B. The chance level is 1/8. Only the three marked steps
carry information about the label.
"""

from dataclasses import dataclass
from typing import ClassVar

from seqhub.errors import InvalidInputError
from seqhub.tasks._temporal_order import ENDS, NOISE, TemporalOrder
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig

CLASS_OF = {"XXX": "Q", "XXY": "R", "XYX": "S", "XYY": "U", "YXX": "V", "YXY": "A", "YYX": "B", "YYY": "C"}


@dataclass(frozen=True, kw_only=True)
class TemporalOrder3BitConfig(TaskConfig):
    """Ranges are in steps, counted from 0, both ends included."""

    first: IntRange  # step of the first marked symbol
    second: IntRange
    third: IntRange

    def __post_init__(self) -> None:
        steps = (0, *self.first, *self.second, *self.third, self.length[0] - 1)
        self.require(
            all(low <= high for low, high in (self.length, self.first, self.second, self.third))
            and all(before < after for before, after in zip(steps[::2], steps[1::2], strict=True)),
            "low <= high in each range and 0 < first < second < third < length - 1",
        )


class TemporalOrder3Bit(TemporalOrder[TemporalOrder3BitConfig]):
    """Temporal order task with three marked symbols and eight classes."""

    name = "temporal_order_3bit"
    version = 1
    title = "Temporal order of three marked symbols among noise (LSTM paper, experiment 6b)"
    labels = tuple(CLASS_OF.values())
    limits = (
        "The data are synthetic. They test whether a model can remember three symbols over many steps, not language "
        "understanding."
    )
    description = (
        "A sequence starts with B, ends with E and is otherwise uniform noise over a, b, c, d, except for three steps "
        "with X or Y. The label is the triple in order of appearance: "
        + ", ".join(f"{marks} is {name}" for marks, name in CLASS_OF.items())
        + "."
    )
    configs = (
        TemporalOrder3BitConfig(name="easy", length=(20, 22), first=(2, 4), second=(7, 9), third=(13, 15)),
        TemporalOrder3BitConfig(name="normal", length=(30, 40), first=(3, 6), second=(10, 13), third=(20, 23)),
        TemporalOrder3BitConfig(name="moderate", length=(60, 80), first=(6, 12), second=(20, 26), third=(40, 46)),
        TemporalOrder3BitConfig(name="hard", length=(100, 110), first=(10, 20), second=(33, 43), third=(66, 76)),
        TemporalOrder3BitConfig(
            name="nightmare", length=(300, 500), first=(30, 60), second=(99, 129), third=(198, 228)
        ),
    )
    paper_sequences: ClassVar = {"hard": 571_100}  # section 5.6, Table 9
    paper_wrong: ClassVar = {"hard": 2 / 2560}
    paper_setting = (
        "a network of 308 weights without forget gates was trained online, one sequence at a time, by gradient descent"
    )

    def generate(self, config: TemporalOrder3BitConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        places = [random.integers(*place) for place in (config.first, config.second, config.third)]
        labels = random.integers(0, len(self.labels) - 1)
        return self.write(config.length, lengths, places, labels, self.noise(config.length, random))

    def solve(self, sequence: str) -> str:
        marks = "".join(symbol for symbol in sequence if symbol in "XY")
        if marks not in CLASS_OF or sequence[:1] + sequence[-1:] != ENDS or set(sequence[1:-1]) - {*"XY", *NOISE}:
            form = "B, then noise over abcd with three of X and Y, then E"
            raise InvalidInputError(f"{sequence!r} is not a valid temporal_order_3bit sequence: must be {form}")
        return CLASS_OF[marks]


TASK = TemporalOrder3Bit()

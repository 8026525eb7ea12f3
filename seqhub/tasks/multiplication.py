"""Multiplication problem: the product of two marked numbers in a long sequence.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.5. It differs from
the adding problem of section 5.4 (see `adding`) in the values, which are in [0, 1), and in the target, which is the
product. The value of a mark on the first pair, which marker -1 hides, counts as 1:

    >>> TASK.solve([[0.9, -1], [0.5, 1], [0.1, 0], [0.25, 1], [0.3, -1]])
    0.125
    >>> TASK.solve([[0.9, -1], [0.5, 1], [0.1, 0], [0.25, 0], [0.3, -1]])
    0.5

The cell of an LSTM computes sums by design, but it has to learn products. Values are multiples of 2**-16. A prediction
is right within 0.04. The paper stops when fewer than 140 of the last 2,000 training sequences are wrong, or when fewer
than 13 are; Table 8 has 482,000 and 1,273,000 sequences for them. The constant baseline has a mean squared error of
0.059.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np

from seqhub.tasks._marked_pairs import generate_pairs, hidden_mark_share, marked_values
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task, longer
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, StoppingRule, TaskConfig, TaskSchema

TOLERANCE = 0.04


@dataclass(frozen=True, kw_only=True)
class MultiplicationConfig(TaskConfig):
    """Range of lengths."""

    def __post_init__(self) -> None:
        self.require(20 <= self.length[0] <= self.length[1], "20 steps or more")


class Multiplication(Task[MultiplicationConfig]):
    """Product of two marked values."""

    name = "multiplication"
    version = 1
    title = "Multiplication problem: the product of two marked numbers in a long sequence"
    description = (
        "A sequence consists of pairs of a random value in [0, 1) and a marker. Two pairs have marker 1, and the "
        "target is the product of their values. Both ends have marker -1, and the value of a mark that this hides "
        "counts as 1."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (MultiplicationConfig(name="hs97-t100", length=(100, 110)),)
    paper_sequences: ClassVar = {"hs97-t100": 482_000}  # Table 8, n = 140
    paper_wrong: ClassVar = {"hs97-t100": 139 / 2560}
    paper_setting = (
        "a network of 93 weights without forget gates was trained online, one sequence at a time, by gradient descent"
    )

    def schema(self, config: MultiplicationConfig) -> TaskSchema:
        return TaskSchema(step_shape=(2,), target="number", tolerance=TOLERANCE)

    def sizes(self, config: MultiplicationConfig) -> dict[str, int]:
        return {"train": 10_000, "validation": 2_500, "test": 2_500}

    def stopping_rule(self, config: MultiplicationConfig) -> StoppingRule:
        return StoppingRule(rule="st3", section="5.5", tolerance=TOLERANCE, window=2_000, wrong=139)

    def constant_baseline(self, config: MultiplicationConfig) -> ConstantBaseline:
        single = hidden_mark_share(config.length)  # share of the sequences with only one visible mark
        mean = single / 2 + (1 - single) / 4
        squares = single / 3 + (1 - single) / 9
        low, high = mean - TOLERANCE, mean + TOLERANCE
        both = (high - high * log(high)) - (low - low * log(low))  # P(product < p) = p - p ln p
        return ConstantBaseline(mean, squares - mean**2, single * 2 * TOLERANCE + (1 - single) * both)

    def test_distributions(self, config: MultiplicationConfig) -> Mapping[str, MultiplicationConfig]:
        return longer(config, 2, 5)

    def generate(self, config: MultiplicationConfig, random: BlockRandom) -> Batch:
        pairs, lengths, values, counts = generate_pairs(random, config.length, signed=False)
        return Batch(pairs, lengths, np.where(counts, values, np.float32(1)).prod(axis=1))

    def solve(self, sequence: Any) -> float:
        values, _ = marked_values(sequence, self.name)
        return float(np.prod(values))


TASK = Multiplication()

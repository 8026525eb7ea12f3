"""The multiplication problem: the product of two marked numbers, long after they came.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.5. As the adding
problem of section 5.4 (see `adding`), but values are of [0, 1), a mark that falls on the first pair, where marker -1
hides it, counts as 1, and the target is the product:

    >>> TASK.solve([[0.9, -1], [0.5, 1], [0.1, 0], [0.25, 1], [0.3, -1]])
    0.125
    >>> TASK.solve([[0.9, -1], [0.5, 1], [0.1, 0], [0.25, 0], [0.3, -1]])
    0.5

Summing up is what the cell of an LSTM does by itself; a product it has to learn. Values are multiples of 2**-16. An
answer counts as right within 0.04. The paper stops where fewer than 140 of the last 2,000 training sequences are wrong,
and again where fewer than 13 are; its Table 8 has 482,000 and 1,273,000 sequences for them. The best constant answer
has a mean squared error of 0.059.
"""

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np

from seqhub.tasks._marked_pairs import generate_pairs, hidden_mark_share, marked_values
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, StoppingRule, TaskConfig, TaskSchema

TOLERANCE = 0.04


@dataclass(frozen=True, kw_only=True)
class MultiplicationConfig(TaskConfig):
    """A length."""

    def __post_init__(self) -> None:
        self.require(20 <= self.length[0] <= self.length[1], "20 steps or more")


class Multiplication(Task[MultiplicationConfig]):
    """The product of two marked values."""

    name = "multiplication"
    version = 1
    title = "The multiplication problem: the product of two marked numbers of a long sequence"
    description = (
        "A sequence is of pairs of a random value of [0, 1) and a marker, and two pairs are marked by 1; both ends "
        "have marker -1, and a mark hidden there counts as 1. The target is the product of the marked values."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (MultiplicationConfig(name="hs97-t100", length=(100, 110)),)
    paper_sequences: ClassVar = {"hs97-t100": 482_000}  # Table 8, n = 140
    paper_wrong: ClassVar = {"hs97-t100": 139 / 2560}
    paper_setting = (
        "a network of 93 weights without forget gates learned online, one sequence at a time, by gradient descent"
    )

    def schema(self, config: MultiplicationConfig) -> TaskSchema:
        return TaskSchema(step_shape=(2,), target="number", tolerance=TOLERANCE)

    def sizes(self, config: MultiplicationConfig) -> dict[str, int]:
        return {"train": 10_000, "validation": 2_500, "test": 2_500}

    def stopping_rule(self, config: MultiplicationConfig) -> StoppingRule:
        return StoppingRule(rule="st3", section="5.5", tolerance=TOLERANCE, window=2_000, wrong=139)

    def constant_baseline(self, config: MultiplicationConfig) -> ConstantBaseline:
        alone = hidden_mark_share(config.length)  # sequences whose target is a single value
        mean = alone / 2 + (1 - alone) / 4
        squares = alone / 3 + (1 - alone) / 9
        low, high = mean - TOLERANCE, mean + TOLERANCE
        both = (high - high * log(high)) - (low - low * log(low))  # a product is below p with chance p - p ln p
        return ConstantBaseline(mean, squares - mean**2, alone * 2 * TOLERANCE + (1 - alone) * both)

    def generate(self, config: MultiplicationConfig, random: BlockRandom) -> Batch:
        pairs, lengths, values, counts = generate_pairs(random, config.length, signed=False)
        return Batch(pairs, lengths, np.where(counts, values, np.float32(1)).prod(axis=1))

    def solve(self, sequence: Any) -> float:
        values, _ = marked_values(sequence, self.name)
        return float(np.prod(values))


TASK = Multiplication()

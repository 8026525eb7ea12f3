"""Adding problem: the sum of two marked numbers in a long sequence.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.4 (`hs97`);
Arjovsky, Shah & Bengio (2016), "Unitary Evolution Recurrent Neural Networks", section 5.2 (`urnn`); Bai, Kolter &
Koltun (2018), "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling",
section 4.2 (`tcn`). A step is a pair of a value and a marker. The target at the end is a function of the two values
with marker 1. Everything else differs between the three papers:

    config      length        values   marks                                     target
    hs97-tT     T to T + T/10 [-1, 1)  one of the first 10 pairs, then one of    0.5 + (X1 + X2) / 4
                                       the first T/2 - 1 others; both ends
                                       have marker -1
    urnn-tT     T             [0, 1)   one in each half                          X1 + X2
    tcn-tT      T             [0, 1)   any two                                   X1 + X2

In `hs97` a mark on the first pair is hidden by the marker -1, and its value counts as 0:

    >>> TASK.solve([[0.9, -1], [0.5, 1], [-0.1, 0], [-0.25, 1], [0.3, -1]]), TASK.solve([[0.5, 1], [0.25, 1]])
    (0.5625, 0.75)

Values are multiples of 2**-15 (`hs97`) or 2**-16, so every target is exact in float32. A prediction is right within
0.04, the tolerance of 1997. The other papers report only the mean squared error; the constant baseline predicts 1, with
an error of 1/6. In `hs97` it predicts 0.5, with an error of 0.039.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from seqhub.tasks._marked_pairs import generate_pairs, hidden_mark_share, marked_values, random_pairs
from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task, longer
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, ConstantBaseline, StoppingRule, TaskConfig, TaskSchema

TOLERANCE = 0.04


@dataclass(frozen=True, kw_only=True)
class AddingConfig(TaskConfig):
    """Range of lengths, and the paper that the config follows, see the top of this file."""

    rules: Literal["hs97", "urnn", "tcn"]

    def __post_init__(self) -> None:
        fixed = self.length[0] == self.length[1]
        self.require(20 <= self.length[0] <= self.length[1], "20 steps or more")
        self.require(self.rules == "hs97" or fixed, "a fixed length, except for hs97")


class Adding(Task[AddingConfig]):
    """Sum of two marked values."""

    name = "adding"
    version = 1
    title = "Adding problem: the sum of two marked numbers in a long sequence"
    description = (
        "A sequence consists of pairs of a random value in [0, 1) and a marker. Two pairs have marker 1, and the "
        "target is the sum of their values. In the configs hs97 values are in [-1, 1), the target is 0.5 + sum / 4, "
        "both ends have marker -1, and the value of a mark that this hides counts as 0."
    )
    source = LONG_SHORT_TERM_MEMORY
    configs = (
        AddingConfig(name="hs97-t100", length=(100, 110), rules="hs97"),
        AddingConfig(name="hs97-t500", length=(500, 550), rules="hs97"),
        AddingConfig(name="hs97-t1000", length=(1000, 1100), rules="hs97"),
        AddingConfig(name="urnn-t100", length=(100, 100), rules="urnn"),
        AddingConfig(name="urnn-t200", length=(200, 200), rules="urnn"),
        AddingConfig(name="urnn-t400", length=(400, 400), rules="urnn"),
        AddingConfig(name="urnn-t750", length=(750, 750), rules="urnn"),
        AddingConfig(name="tcn-t200", length=(200, 200), rules="tcn"),
        AddingConfig(name="tcn-t400", length=(400, 400), rules="tcn"),
        AddingConfig(name="tcn-t600", length=(600, 600), rules="tcn"),
    )
    paper_sequences: ClassVar = {"hs97-t100": 74_000, "hs97-t500": 209_000, "hs97-t1000": 853_000}  # Table 7
    paper_wrong: ClassVar = {"hs97-t100": 1 / 2560, "hs97-t500": 0.0, "hs97-t1000": 1 / 2560}
    paper_setting = (
        "a network of 93 weights without forget gates was trained online, one sequence at a time, by gradient descent"
    )

    def schema(self, config: AddingConfig) -> TaskSchema:
        return TaskSchema(step_shape=(2,), target="number", tolerance=TOLERANCE)

    def sizes(self, config: AddingConfig) -> dict[str, int]:
        shortest = config.length[0]
        return {"train": 10**6 // shortest, "validation": 250_000 // shortest, "test": 250_000 // shortest}

    def stopping_rule(self, config: AddingConfig) -> StoppingRule | None:
        if config.rules != "hs97":
            return None
        return StoppingRule(rule="st3", section="5.4", tolerance=TOLERANCE, window=2_000, mean_error=0.01)

    def constant_baseline(self, config: AddingConfig) -> ConstantBaseline:
        reach = 2 * TOLERANCE  # tolerance of the mean of the two values, which are in [-1, 1)
        if config.rules != "hs97":
            return ConstantBaseline(1.0, 1 / 6, 1 - (1 - TOLERANCE) ** 2)
        single = hidden_mark_share(config.length)  # share of the sequences with only one visible mark
        within = single * 2 * reach + (1 - single) * (1 - (1 - reach) ** 2)
        return ConstantBaseline(0.5, (2 - single) / 48, within)

    def test_distributions(self, config: AddingConfig) -> Mapping[str, AddingConfig]:
        return longer(config, 2)

    def generate(self, config: AddingConfig, random: BlockRandom) -> Batch:
        if config.rules == "hs97":
            pairs, lengths, values, counts = generate_pairs(random, config.length, signed=True)
            return Batch(pairs, lengths, 0.5 + (values * counts).sum(axis=1) / np.float32(4))
        steps = config.length[1]
        if config.rules == "urnn":
            first = random.integers(0, steps // 2 - 1)
            second = random.integers(steps // 2, steps - 1)
        else:
            first = random.integers(0, steps - 1)
            second = random.integers(0, steps - 2)
            second += second >= first
        pairs = random_pairs(random, steps, signed=False)
        rows = np.arange(len(first))
        pairs[rows, first, 1] = pairs[rows, second, 1] = 1
        return Batch(pairs, np.full(len(first), steps), pairs[rows, first, 0] + pairs[rows, second, 0])

    def solve(self, sequence: Any) -> float:
        values, paper = marked_values(sequence, self.name)
        return 0.5 + sum(values) / 4 if paper else sum(values)


TASK = Adding()

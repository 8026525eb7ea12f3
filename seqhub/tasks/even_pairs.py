"""Even pairs: whether the number of changes between neighbours in a string of a and b is even.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "even pairs".
The pairs that are counted are `ab` and `ba`. Their number is even if and only if the first symbol equals the last, so
a model only has to remember the first symbol:

    >>> TASK.solve("aabba"), TASK.solve("aabbab")  # ab, ba; ab, ba, ab
    ('even', 'odd')

Strings have 3 to 40 symbols, as in xLSTM (Beck et al., 2024) and later papers, which test on 40 to 256 (`len40-256`).
Delétang et al. train on 1 to 40 and test on 41 to 500 (`len41-500`). Few strings are short, so they occur in all
splits. The chance level is 1/2. Some papers average the accuracy of this task with tasks of five classes, whose chance
level is 1/5; such averages are difficult to interpret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES, SOURCE, longer
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID


@dataclass(frozen=True, kw_only=True)
class EvenPairsConfig(TaskConfig):
    """Range of the number of symbols."""

    def __post_init__(self) -> None:
        self.require(2 <= self.length[0] <= self.length[1], "2 <= shortest <= longest")


class EvenPairs(Task[EvenPairsConfig]):
    """Parity of the number of changes in a string of two symbols."""

    name = "even_pairs"
    version = 1
    title = "Even or odd number of pairs ab and ba in a string"
    symbols = "ab"
    labels = ("even", "odd")
    description = (
        "A sequence is a string of uniform symbols a and b. The class is even if the number of pairs ab and ba is "
        "even, which is the case if the first and the last symbol are equal, else odd."
    )
    limits = (
        "The data are synthetic. They test whether a model remembers the first symbol, and whether it does so in "
        "sequences that are longer than those in training. Short strings occur in all splits."
    )
    source = SOURCE
    configs = (EvenPairsConfig(name="binary", length=(3, 40)),)

    def sizes(self, config: EvenPairsConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: EvenPairsConfig) -> bool:
        return config.length[0] < 10  # fewer than 1,000 strings of the shortest length

    def test_distributions(self, config: EvenPairsConfig) -> Mapping[str, EvenPairsConfig]:
        return longer(config)

    def generate(self, config: EvenPairsConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        longest = config.length[1]
        words = random.uint16(-(-longest // 16))
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :longest]
        last = bits[np.arange(len(lengths)), lengths - 1]
        characters = bits + np.uint8(ord("a"))
        characters[np.arange(longest) >= lengths[:, None]] = PAD_ID
        return Batch(characters, lengths, (bits[:, 0] ^ last).astype(np.int64))

    def solve(self, sequence: str) -> str:
        if len(sequence) < 2 or set(sequence) - set(self.symbols):
            form = "two or more of a and b"
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid even_pairs sequence: must be {form}")
        changes = sum(before != after for before, after in pairwise(sequence))
        return self.labels[changes % 2]


TASK = EvenPairs()

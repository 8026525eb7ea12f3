"""Parity: whether the number of ones in a string of bits is even or odd.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "parity check"; lengths as in Grazzi
et al. (2025), "Unlocking State-Tracking in Linear RNNs Through Negative Eigenvalues".

    >>> TASK.solve("0111"), TASK.solve_batch(["0111"], TASK.configs[1])
    ('odd', [['even', 'odd', 'even', 'odd']])

`last` has one class for the whole string, as in Delétang et al. and xLSTM (Beck et al., 2024). `every` has the parity
of the bits so far at each step, as Grazzi et al. define the task. The two differ in difficulty: with a class at every
step a model learns from the difference between neighbours. Papers often do not say which one they use.

Strings have 3 to 40 bits. Delétang et al. train on 1 to 40 bits and test on 41 to 500 (`len41-500`); xLSTM and later
papers train on 3 to 40 and test on 40 to 256 (`len40-256`). Few strings are short, so they occur in all splits. The
chance level is 1/2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES, SOURCE, longer
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID


@dataclass(frozen=True, kw_only=True)
class ParityConfig(TaskConfig):
    """Range of the number of bits, and the steps that have a class."""

    every_step: bool

    def __post_init__(self) -> None:
        self.require(1 <= self.length[0] <= self.length[1], "1 <= shortest <= longest")


class Parity(Task[ParityConfig]):
    """Parity of a string of bits, at its end or at every step."""

    name = "parity"
    version = 1
    title = "Parity of a string of bits, at the last or at every step"
    symbols = "01"
    labels = ("even", "odd")
    description = (
        "A sequence is a string of uniform bits. The class is odd if the number of ones is odd, else even; in `every`, "
        "each step has the class of the bits so far."
    )
    limits = (
        "The data are synthetic. They test whether a model tracks a state of one bit that every 1 changes, and whether "
        "it does so in sequences that are longer than those in training. Short strings occur in all splits."
    )
    source = SOURCE
    configs = (
        ParityConfig(name="last", length=(3, 40), every_step=False),
        ParityConfig(name="every", length=(3, 40), every_step=True),
    )

    def schema(self, config: ParityConfig) -> TaskSchema:
        return TaskSchema(
            vocabulary=self.vocabulary, target="step_class" if config.every_step else "class", labels=self.labels
        )

    def sizes(self, config: ParityConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: ParityConfig) -> bool:
        return config.length[0] < 10  # fewer than 1,000 strings of the shortest length

    def test_distributions(self, config: ParityConfig) -> Mapping[str, ParityConfig]:
        return longer(config)

    def generate(self, config: ParityConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        longest = config.length[1]
        words = random.uint16(-(-longest // 16))
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :longest]
        padded = np.arange(longest) >= lengths[:, None]
        characters = bits + np.uint8(ord("0"))
        characters[padded] = PAD_ID
        parities = np.bitwise_xor.accumulate(bits, axis=1).astype(np.int64)
        if not config.every_step:
            return Batch(characters, lengths, parities[np.arange(len(lengths)), lengths - 1])
        parities[padded] = NO_LABEL
        return Batch(characters, lengths, parities)

    def solve(self, sequence: str) -> str:
        if not sequence or set(sequence) - set(self.symbols):
            raise InvalidInputError(f"{sequence[:40]!r} is not a valid parity sequence: must be one or more of 0 and 1")
        return self.labels[sequence.count("1") % 2]

    def solve_batch(self, sequences: Sequence[Any], config: ParityConfig | None = None) -> list[Any]:
        if config is None or not config.every_step:
            return [self.solve(sequence) for sequence in sequences]
        return [[self.solve(text[: step + 1]) for step in range(len(text))] for text in sequences]


TASK = Parity()

"""Missing duplicate: the symbol that is hidden in a string that occurs twice.

Source: Delétang et al. (2023), "Neural Networks and the Chomsky Hierarchy", task "missing duplicate string".
A sequence is a string of uniform bits, twice, with `?` in place of one of the symbols. The class is that symbol:

    >>> TASK.solve("01100?10"), TASK.solve("1?1101")
    ('1', '0')

The code of the paper gives sequences of odd length one more symbol of padding; here lengths are even, 2 to 40. The
paper tests on up to 500 symbols (`len42-500`); its example program on up to 100 (`len42-100`). Few sequences are short,
so they occur in all splits. The chance level is 1/2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._chomsky import SIZES, SOURCE
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID

_HIDDEN = "?"
_TEST_LENGTHS = {"len42-100": (42, 100), "len42-500": (42, 500)}


@dataclass(frozen=True, kw_only=True)
class MissingDuplicateConfig(TaskConfig):
    """Range of the length of the two copies."""

    def __post_init__(self) -> None:
        self.require(
            2 <= self.length[0] <= self.length[1] and not any(length % 2 for length in self.length),
            "even lengths, 2 <= shortest <= longest",
        )


class MissingDuplicate(Task[MissingDuplicateConfig]):
    """Hidden symbol of a duplicated string."""

    name = "missing_duplicate"
    version = 1
    title = "The hidden symbol of a string that occurs twice"
    symbols = "01?"
    marked = (_HIDDEN,)
    labels = ("0", "1")
    description = (
        "A sequence is a string of uniform bits, twice, with ? in place of one of the symbols. The class is the hidden "
        "symbol."
    )
    limits = (
        "The data are synthetic. They test whether a model can compare two copies of a string, and whether it can do "
        "so for strings that are longer than those in training. Short sequences occur in all splits."
    )
    source = SOURCE
    configs = (MissingDuplicateConfig(name="binary", length=(2, 40)),)

    def sizes(self, config: MissingDuplicateConfig) -> Mapping[str, int]:
        return SIZES

    def splits_overlap(self, config: MissingDuplicateConfig) -> bool:
        return config.length[0] < 20  # fewer than 1,000 strings of the shortest length

    def test_distributions(self, config: MissingDuplicateConfig) -> Mapping[str, MissingDuplicateConfig]:
        return {name: replace(config, name=name, length=length) for name, length in _TEST_LENGTHS.items()}

    def generate(self, config: MissingDuplicateConfig, random: BlockRandom) -> Batch:
        sizes = random.integers(config.length[0] // 2, config.length[1] // 2)
        strings = random.integers_2d(0, 1, config.length[1] // 2)
        shares = random.uniform(1)[:, 0].astype(np.float64)
        lengths, step, rows = 2 * sizes, np.arange(config.length[1]), np.arange(random.size)
        copies = np.take_along_axis(strings, step % sizes[:, None], axis=1)
        hidden = (shares * lengths).astype(np.int64)
        labels = copies[rows, hidden]
        characters = (copies + ord("0")).astype(np.uint8)
        characters[rows, hidden] = ord(_HIDDEN)
        characters[step >= lengths[:, None]] = PAD_ID
        return Batch(characters, lengths, labels)

    def solve(self, sequence: str) -> str:
        if sequence.count(_HIDDEN) == 1 and not set(sequence) - set(self.symbols):
            for symbol in self.labels:
                whole = sequence.replace(_HIDDEN, symbol)
                if whole == 2 * whole[: len(whole) // 2]:
                    return symbol
        form = "a string of 0 and 1, twice, with ? in place of one symbol"
        raise InvalidInputError(f"{sequence[:40]!r} is not a valid missing_duplicate sequence: must be {form}")


TASK = MissingDuplicate()

"""Induction heads: the symbol after the first special symbol, queried at the second.

Source: Gu & Dao (2023), "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", induction heads. A sequence
is uniform noise over fifteen symbols, with the special symbol # once in it and once at its end. The class is the symbol
after the first #:

    >>> TASK.solve("bac#daeb#")
    'd'

The vocabulary has 16 symbols with #. `mamba` has sequences of 256 steps as in the paper, `ragged` of 64 to 256. The
test distributions have 64 to 16,384 steps; the paper tests up to 2^20. The first # is at any step with room for a
symbol after it, uniformly. Other code (berlino/seq_icl) has other vocabularies and lengths, so its numbers are not
comparable. The chance level is 1/15.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import other_lengths
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID

NOISE = "abcdefghijklmno"
SPECIAL = "#"


@dataclass(frozen=True, kw_only=True)
class InductionConfig(TaskConfig):
    """Lengths, with both special symbols."""

    def __post_init__(self) -> None:
        self.require(3 <= self.length[0] <= self.length[1], "3 <= shortest <= longest")


class Induction(Task[InductionConfig]):
    """Recall of the symbol after a special symbol."""

    name = "induction"
    version = 1
    title = "Induction heads: the symbol that followed the special symbol (Mamba)"
    symbols = NOISE + SPECIAL
    marked = SPECIAL
    labels = tuple(NOISE)
    description = (
        "A sequence is uniform noise over fifteen symbols with the special symbol # once in it and once at its end. "
        "The label is the symbol after the first #."
    )
    limits = "The data are synthetic. They test recall of one symbol by its context, not language understanding."
    source = """@article{gu2023mamba,
  author  = {Gu, Albert and Dao, Tri},
  title   = {Mamba: Linear-Time Sequence Modeling with Selective State Spaces},
  journal = {arXiv preprint arXiv:2312.00752},
  year    = {2023}
}"""
    configs = (
        InductionConfig(name="mamba", length=(256, 256)),
        InductionConfig(name="ragged", length=(64, 256)),
    )

    def sizes(self, config: InductionConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: InductionConfig) -> Mapping[str, InductionConfig]:
        return other_lengths(config, *(64 << doublings for doublings in range(9)))

    def generate(self, config: InductionConfig, random: BlockRandom) -> Batch:
        lengths = random.integers(*config.length)
        room = random.integers(0, (1 << 31) - 1)
        places = room * (lengths - 2) >> 31  # 0 to length - 3
        longest, rows = config.length[1], np.arange(random.size)
        characters = (random.integers_2d(0, len(NOISE) - 1, longest) + ord(NOISE[0])).astype(np.uint8)
        labels = characters[rows, places + 1].astype(np.int64) - ord(NOISE[0])
        characters[rows, places] = characters[rows, lengths - 1] = ord(SPECIAL)
        characters[np.arange(longest) >= lengths[:, None]] = PAD_ID
        return Batch(characters, lengths, labels)

    def solve(self, sequence: str) -> str:
        before, _, rest = sequence.partition(SPECIAL)
        if rest[-1:] != SPECIAL or len(rest) < 2 or set(before + rest[:-1]) - set(NOISE):
            form = f"noise over {NOISE} with {SPECIAL} once in it, a symbol after it, and once at the end"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid induction sequence: must be {form}")
        return rest[0]


TASK = Induction()

"""Selective copying: repeat the symbols that are scattered among blanks.

Source: Gu & Dao (2023), "Mamba: Linear-Time Sequence Modeling with Selective State Spaces" (its code for this task was
never released), and Poli et al. (2024), "Mechanistic Design and Scaling of Hybrid Architectures" (MAD), function
`generate_selective_copying_instance`. Symbols a, b, ... are scattered among blanks. At the steps after the first ? the
classes are these symbols in order; other steps are ignored:

    >>> TASK.solve("a..b.?..")
    [None, None, None, None, None, None, 'a', 'b']

In all configs 16 of 14 different symbols are scattered; with the blank and ?, the vocabulary has 16 symbols. `l256` and
`l4096` scatter them over 256 or 4,096 steps, each set of steps equally probable, before ? and 16 answer steps.

`mad` has 256 steps in total, answers included. Each blank is inserted before one of the symbols, chosen uniformly, so
the last symbol is always directly before ?. The code of MAD draws these places from the global generator of NumPy
instead of the seeded one that it is given; its other definitions are the same. The chance level is 1/14.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._sampling import sample_distinct
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

DATA = "abcdefghijklmn"
BLANK, COPY = ".?"


@dataclass(frozen=True, kw_only=True)
class SelectiveCopyConfig(TaskConfig):
    """Number of symbols, and the distribution of their steps."""

    count: int = 16  # symbols to copy
    inserted: bool = False  # blanks are inserted before symbols as in MAD; else all sets of steps are equally probable

    def __post_init__(self) -> None:
        self.require(
            self.length[0] == self.length[1] > 2 * self.count + 1 > 2, "one length above 2 * count + 1 and count >= 1"
        )


def _config(context: int) -> SelectiveCopyConfig:
    return SelectiveCopyConfig(name=f"l{context}", length=(context + 17, context + 17))


class SelectiveCopy(Task[SelectiveCopyConfig]):
    """Copying of scattered symbols."""

    name = "selective_copy"
    version = 1
    title = "Selective copying of symbols among blanks (Mamba, MAD)"
    symbols = DATA + BLANK + COPY
    labels = tuple(DATA)
    marked = tuple(DATA)
    description = (
        "Sixteen symbols are scattered among blanks, then there is a ?, then sixteen blanks. The classes of these last "
        "steps are the symbols in order. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test whether a model stores some symbols in order and skips others."
    source = """@article{gu2023mamba,
  author  = {Gu, Albert and Dao, Tri},
  title   = {Mamba: Linear-Time Sequence Modeling with Selective State Spaces},
  journal = {arXiv preprint arXiv:2312.00752},
  year    = {2023}
}"""
    configs = (
        _config(256),
        _config(4096),
        SelectiveCopyConfig(name="mad", length=(256, 256), inserted=True),
    )

    def schema(self, config: SelectiveCopyConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: SelectiveCopyConfig) -> Mapping[str, int]:
        if config.length[0] > 1_000:
            return {"train": 1_024, "validation": 256, "test": 256}
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: SelectiveCopyConfig) -> Mapping[str, SelectiveCopyConfig]:
        extra = 0 if config.inserted else config.count + 1
        lengths = {f"len{context}": context + extra for context in (512, 1024, 4096)}
        return {
            name: replace(config, name=name, length=(steps, steps))
            for name, steps in lengths.items()
            if steps != config.length[0]
        }

    def generate(self, config: SelectiveCopyConfig, random: BlockRandom) -> Batch:
        count, steps = config.count, config.length[0]
        context = steps - count - 1
        data = random.integers_2d(0, len(DATA) - 1, count)
        if config.inserted:
            before = random.integers_2d(0, count - 1, context - count)  # the symbol after each blank
            cells = before + count * np.arange(random.size)[:, None]
            blanks = np.bincount(cells.ravel(), minlength=count * random.size).reshape(-1, count)
            places = np.arange(count) + np.cumsum(blanks, axis=1)
        else:
            places = np.sort(sample_distinct(random, context, count), axis=1)
        characters = np.full((random.size, steps), ord(BLANK), np.uint8)
        np.put_along_axis(characters, places, (data + ord(DATA[0])).astype(np.uint8), axis=1)
        characters[:, context] = ord(COPY)
        labels = np.full(characters.shape, NO_LABEL, np.int64)
        labels[:, -count:] = data
        return Batch(characters, np.full(random.size, steps), labels)

    def solve(self, sequence: str) -> list[str | None]:
        context, copy, answers = sequence.partition(COPY)
        data = [symbol for symbol in context if symbol != BLANK]
        if not data or copy != COPY or answers != BLANK * len(data) or set(data) - set(DATA):
            form = f"symbols of {DATA} among blanks {BLANK}, then {COPY}, then as many blanks as symbols"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid selective_copy sequence: must be {form}")
        return [None] * (len(context) + 1) + data


TASK = SelectiveCopy()

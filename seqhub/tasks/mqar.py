"""Multi-query associative recall (MQAR): look up the values of many keys of the same sequence.

Source: Arora et al. (2024), "Zoology: Measuring and Improving Recall in Efficient Language Models", and its code,
`zoology/data/multiquery_ar.py`. A sequence starts with P pairs of a key and a value. All keys of a sequence are
different, and so are its values. Then each key is queried once, at an even distance from the end of the pairs.
Distances are sampled without replacement, distance 2g with a probability proportional to (g + 1)^-0.99. The class of a
query is the value of its key; other steps are ignored. The value itself does not occur in the rest of the sequence:

    >>> TASK.solve("k2 v8 k4 v7 _ _ k4 _ _ _ _ _ k2 _")
    [None, None, None, None, None, None, 'v7', None, None, None, None, None, 'v8', None]

A vocabulary of V symbols has a blank, V/2 - 1 keys and V/2 values. `small` has V = 64. The configs of ZOOLOGY have
V = 8,192, sequences of L steps and P pairs; the slices 64/4 to 1024/256 on which Zoology tests are their test
distributions. They are not among `configs`, since slices with few pairs do not have all 4,096 classes in the rows that
`seqhub check` reads.

Steps without pairs or queries are filled with

- blanks, in `small` and ZOOLOGY (`random_non_queries=False` in the code);
- `safe`: uniform random symbols except the keys of the sequence, in `small-random`;
- `original`: uniform random symbols, in `small-original`, as by default in the code. A filler can then be a key of the
  sequence, which is ignored in the loss although nothing distinguishes it from a query: P (L - 3P) / V of the fillers,
  0.5 in a row of 256/64 and 8 in a row of 1024/256 at V = 8,192. Its targets do not follow from its text.

The code has further differences: one global NumPy seed generates all rows, and its experiments choose the learning rate
on the test rows. The chance level is 2/V.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._sampling import query_offsets, sample_distinct
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

BLANK = "_"
_LARGEST = 8_192
_TEST_SLICES = ((64, 4), (64, 8), (64, 16), (128, 32), (256, 64), (512, 128), (1024, 256))  # steps and pairs


def words(vocab_size: int) -> tuple[str, ...]:
    """Return the symbols of a vocabulary: the blank, keys k1, k2, ..., values v0, v1, ..."""
    half = vocab_size // 2
    return (BLANK, *(f"k{number}" for number in range(1, half)), *values(vocab_size))


def values(vocab_size: int) -> tuple[str, ...]:
    """Return the values of a vocabulary."""
    return tuple(f"v{number}" for number in range(vocab_size // 2))


@dataclass(frozen=True, kw_only=True)
class MqarConfig(TaskConfig):
    """Sequences of one length with one number of pairs."""

    vocab_size: int
    pairs: int
    fillers: Literal["blank", "safe", "original"] = "blank"

    def __post_init__(self) -> None:
        steps = self.length[0]
        self.require(
            steps == self.length[1]
            and steps % 2 == 0
            and 1 <= self.pairs <= steps // 4
            and self.pairs < self.vocab_size // 2
            and self.vocab_size % 2 == 0
            and self.vocab_size <= _LARGEST,
            f"one even length of at least 4 * pairs, and an even vocab_size above 2 * pairs, at most {_LARGEST:,}",
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the config."""
        return Vocabulary(words(self.vocab_size), " ", "mqar")


def _zoology(steps: int, pairs: int) -> MqarConfig:
    return MqarConfig(name=f"zoology-{steps}-{pairs}", length=(steps, steps), vocab_size=_LARGEST, pairs=pairs)


ZOOLOGY = tuple(_zoology(*each) for each in ((64, 4), (128, 8), (256, 16), (256, 32), (256, 64), (512, 64)))
"""Slices on which Zoology trains, with a vocabulary of 8,192 symbols."""


class Mqar(Task[MqarConfig]):
    """Recall of the values of many keys."""

    name = "mqar"
    version = 1
    title = "Multi-query associative recall: the values of many keys (Zoology)"
    symbols = words(_LARGEST)
    separator = " "
    labels = values(_LARGEST)
    description = (
        "A sequence starts with pairs of a key and a value; later each key is queried once. The class at the step of a "
        "query is the value of its key. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test recall of pairs within a sequence, not language understanding."
    source = """@inproceedings{arora2024zoology,
  author    = {Arora, Simran and others},
  title     = {Zoology: Measuring and Improving Recall in Efficient Language Models},
  booktitle = {ICLR},
  year      = {2024}
}"""
    configs = (
        MqarConfig(name="small", length=(64, 64), vocab_size=64, pairs=8),
        MqarConfig(name="small-random", length=(64, 64), vocab_size=64, pairs=8, fillers="safe"),
        MqarConfig(name="small-original", length=(64, 64), vocab_size=64, pairs=8, fillers="original"),
    )

    def schema(self, config: MqarConfig) -> TaskSchema:
        return TaskSchema(vocabulary=config.vocabulary, target="step_class", labels=values(config.vocab_size))

    def sizes(self, config: MqarConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: MqarConfig) -> Mapping[str, MqarConfig]:
        slices: tuple[tuple[int, int], ...] = _TEST_SLICES
        if config.vocab_size < _LARGEST:
            steps, pairs = config.length[0], config.pairs
            most = config.vocab_size // 2 - 1
            slices = ((steps, pairs // 2), (2 * steps, pairs), (4 * steps, pairs), (2 * steps, 2 * pairs))
            slices = tuple((length, count) for length, count in slices if 1 <= count <= most)
        names = {f"len{steps}-pairs{pairs}": (steps, pairs) for steps, pairs in slices}
        return {
            name: replace(config, name=name, length=(steps, steps), pairs=pairs)
            for name, (steps, pairs) in names.items()
            if (steps, pairs) != (config.length[0], config.pairs)
        }

    def has_exact_targets(self, config: MqarConfig, split: str) -> bool:
        return config.fillers != "original"

    def generate(self, config: MqarConfig, random: BlockRandom) -> Batch:
        pairs, steps, half = config.pairs, config.length[0], config.vocab_size // 2
        keys = 1 + sample_distinct(random, half - 1, pairs)
        answers = sample_distinct(random, half, pairs)
        space = steps // 2 - pairs
        places = query_offsets(random, np.full(random.size, space), space)[:, :pairs]
        rest = steps - 2 * pairs
        tokens = np.zeros((random.size, steps), np.int64)
        if config.fillers == "original":
            tokens[:, 2 * pairs :] = random.integers_2d(0, config.vocab_size - 1, rest)
        elif config.fillers == "safe":
            chosen = random.integers_2d(0, config.vocab_size - pairs - 1, rest)
            # number r among the symbols that are not keys: add the number of keys before it
            first = np.arange(random.size)[:, None] * config.vocab_size
            smaller = np.sort(keys, axis=1) - np.arange(pairs) + first
            before = np.searchsorted(smaller.ravel(), (chosen + first).ravel(), side="right").reshape(chosen.shape)
            tokens[:, 2 * pairs :] = chosen + before - np.arange(random.size)[:, None] * pairs
        tokens[:, 0 : 2 * pairs : 2] = keys
        tokens[:, 1 : 2 * pairs : 2] = half + answers
        queries = 2 * (pairs + places)
        np.put_along_axis(tokens, queries, keys, axis=1)
        labels = np.full(tokens.shape, NO_LABEL, np.int64)
        np.put_along_axis(labels, queries, answers, axis=1)
        return Batch((tokens + 1).astype(np.uint16), np.full(random.size, steps), labels)

    def solve(self, sequence: str, pairs: int | None = None) -> list[str | None]:
        """Return the value at each query; without `pairs`, the pairs end at the first step that is not a new key."""
        symbols = sequence.split(" ")
        values_of: dict[str, str] = {}
        for key, value in zip(symbols[::2], symbols[1::2], strict=False):
            pair = key[:1] == "k" and value[:1] == "v" and key not in values_of
            if not pair or len(values_of) == pairs:
                break
            values_of[key] = value
        if set(symbols) - self.vocabulary.ids.keys() or len(values_of) != (pairs or len(values_of) or None):
            form = "pairs of a key and a value with different keys, then symbols _, k1, k2, ... or v0, v1, ..."
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid mqar sequence: must be {form}")
        return [None if step < 2 * len(values_of) else values_of.get(each) for step, each in enumerate(symbols)]

    def solve_batch(self, sequences: Sequence[Any], config: MqarConfig | None = None) -> list[Any]:
        pairs = None if config is None else config.pairs
        return [self.solve(sequence, pairs) for sequence in sequences]


TASK = Mqar()

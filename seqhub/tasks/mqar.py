"""Multi-query associative recall (MQAR): look up the values of many keys of the same sequence.

Source: Arora et al. (2024), "Zoology: Measuring and Improving Recall in Efficient Language Models", and its code,
`zoology/data/multiquery_ar.py`. A sequence starts with P pairs of a key and a value. All keys of a sequence are
different, and so are its values. Then each key is queried once, at an even distance from the end of the pairs.
Distances are sampled without replacement, distance 2g with a probability proportional to (g + 1)^-0.99. The class of a
query is the value of its key; other steps are ignored. The value itself does not occur in the rest of the sequence:

    >>> TASK.solve("k2 v8 k4 v7 _ _ k4 _ _ _ _ _ k2 _")
    [None, None, None, None, None, None, 'v7', None, None, None, None, None, 'v8', None]

A vocabulary of V symbols has a blank, V/2 - 1 keys and V/2 values. `small` has V = 64, the others V = 8,192. A slice
L/P has sequences of L steps and P pairs. `zoology` is the training set of the code: the slice 64/4 with five ninths of
the sequences, and 128/8, 256/16, 256/32 and 256/64 with one ninth each. Its test distributions are the slices on which
the code tests, 64/4 to 1024/256. `zoology-64-4` to `zoology-1024-256` are single slices, as in figure 2 of the paper.

Steps without pairs or queries are filled with

- blanks, in `small`, `zoology` and the slices (`random_non_queries=False` in the code);
- `safe`: uniform random symbols except the keys of the sequence, in `small-random` and `zoology-random`;
- `original`: uniform random symbols, in `small-original` and `zoology-original`, as by default in the code. A filler
  can then be a key of the sequence, which is ignored in the loss although nothing distinguishes it from a query:
  P (L - 3P) / V of the fillers, 0.5 in a row of 256/64 and 8 in a row of 1024/256 at V = 8,192. Its targets do not
  follow from its text.

The code has further differences: one global NumPy seed generates all rows, and its experiments choose the learning rate
on the test rows. The chance level is 2/V.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._sampling import query_offsets, sample_distinct
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import PAD_ID, Vocabulary

_Fillers = Literal["blank", "safe", "original"]

BLANK = "_"
_LARGEST = 8_192
_BITS = 31  # of the random words that are scaled to a range
_MIX = ((64, 4, 5), (128, 8, 1), (256, 16, 1), (256, 32, 1), (256, 64, 1))  # steps, pairs and relative frequency
_SLICES = ((64, 4), (128, 8), (256, 16), (256, 64), (512, 128), (1024, 256))
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
    fillers: _Fillers = "blank"

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


@dataclass(frozen=True, kw_only=True)
class MqarMixConfig(MqarConfig):
    """Mix of lengths and numbers of pairs; `length` and `pairs` are the largest."""

    mix: tuple[tuple[int, int, int], ...]  # steps, pairs and relative frequency of each slice

    def __post_init__(self) -> None:
        for steps, pairs, frequency in self.mix:
            self.require(frequency >= 1, "frequencies of at least 1")
            MqarConfig(name=self.name, length=(steps, steps), vocab_size=self.vocab_size, pairs=pairs)
        lengths, numbers = [each[0] for each in self.mix], [each[1] for each in self.mix]
        largest = self.length == (min(lengths), max(lengths)) and self.pairs == max(numbers)
        self.require(largest, "the shortest and longest length and the most pairs of its mix")


def _slice(steps: int, pairs: int) -> MqarConfig:
    return MqarConfig(name=f"zoology-{steps}-{pairs}", length=(steps, steps), vocab_size=_LARGEST, pairs=pairs)


def _mix(name: str, fillers: _Fillers) -> MqarMixConfig:
    return MqarMixConfig(name=name, length=(64, 256), vocab_size=_LARGEST, pairs=64, fillers=fillers, mix=_MIX)


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
        _mix("zoology", "blank"),
        _mix("zoology-random", "safe"),
        _mix("zoology-original", "original"),
        *(_slice(steps, pairs) for steps, pairs in _SLICES),
    )

    def schema(self, config: MqarConfig) -> TaskSchema:
        return TaskSchema(vocabulary=config.vocabulary, target="step_class", labels=values(config.vocab_size))

    def sizes(self, config: MqarConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: MqarConfig) -> Mapping[str, MqarConfig]:
        slices: tuple[tuple[int, int], ...] = _TEST_SLICES
        own = None if isinstance(config, MqarMixConfig) else (config.length[0], config.pairs)
        if config.vocab_size < _LARGEST:
            steps, pairs = config.length[0], config.pairs
            most = config.vocab_size // 2 - 1
            slices = ((steps, pairs // 2), (2 * steps, pairs), (4 * steps, pairs), (2 * steps, 2 * pairs))
            slices = tuple((length, count) for length, count in slices if 1 <= count <= most)
        return {
            f"{steps}-{pairs}": MqarConfig(
                name=f"{steps}-{pairs}",
                length=(steps, steps),
                vocab_size=config.vocab_size,
                pairs=pairs,
                fillers=config.fillers,
            )
            for steps, pairs in slices
            if (steps, pairs) != own
        }

    def has_exact_targets(self, config: MqarConfig, split: str) -> bool:
        return config.fillers != "original"

    def generate(self, config: MqarConfig, random: BlockRandom) -> Batch:
        most, longest, half = config.pairs, config.length[1], config.vocab_size // 2
        lengths, pairs, spaces, offset = _sizes_of_rows(config, random)
        keys = 1 + sample_distinct(random, half - 1, most)
        answers = sample_distinct(random, half, most)
        places = query_offsets(random, lengths // 2 - pairs, spaces)[:, :most]
        tokens = np.zeros((random.size, longest), np.int64)
        if config.fillers == "original":
            tokens[:, offset:] = random.integers_2d(0, config.vocab_size - 1, longest - offset)
        elif config.fillers == "safe":
            tokens[:, offset:] = _safe_fillers(config, random, keys, pairs, longest - offset)
        rows, numbers = np.nonzero(np.arange(most) < pairs[:, None])
        tokens[rows, 2 * numbers] = keys[rows, numbers]
        tokens[rows, 2 * numbers + 1] = half + answers[rows, numbers]
        queries = 2 * (pairs[rows] + places[rows, numbers])
        tokens[rows, queries] = keys[rows, numbers]
        labels = np.full(tokens.shape, NO_LABEL, np.int64)
        labels[rows, queries] = answers[rows, numbers]
        ids = (tokens + 1).astype(np.uint16)
        ids[np.arange(longest) >= lengths[:, None]] = PAD_ID
        return Batch(ids, lengths, labels)

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
        if isinstance(config, MqarMixConfig):
            return [self.solve(sequence, _pairs_of(sequence.split(" "), config)) for sequence in sequences]
        pairs = None if config is None else config.pairs
        return [self.solve(sequence, pairs) for sequence in sequences]


def _sizes_of_rows(config: MqarConfig, random: BlockRandom) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Return lengths (N,), numbers of pairs (N,), the most places of queries, and the first step with a filler."""
    if not isinstance(config, MqarMixConfig):
        steps, pairs = config.length[0], config.pairs
        return np.full(random.size, steps), np.full(random.size, pairs), steps // 2 - pairs, 2 * pairs
    mix = np.array(config.mix)
    ends = mix[:, 2].cumsum()
    lengths, pairs = mix[np.searchsorted(ends, random.integers(0, int(ends[-1]) - 1), side="right"), :2].T
    return lengths, pairs, int((mix[:, 0] // 2 - mix[:, 1]).max()), 2 * int(mix[:, 1].min())


def _safe_fillers(
    config: MqarConfig, random: BlockRandom, keys: NDArray[np.int64], pairs: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return uniform symbols other than the first `pairs` keys of each row: (N, count)."""
    size = config.vocab_size
    if isinstance(config, MqarMixConfig):
        chosen = random.integers_2d(0, (1 << _BITS) - 1, count) * (size - pairs[:, None]) >> _BITS
    else:
        chosen = random.integers_2d(0, size - config.pairs - 1, count)
    # number r among the symbols that are not keys: add the number of keys before it
    order, first = np.arange(config.pairs), np.arange(random.size)[:, None] * size
    used = order < pairs[:, None]
    smaller = np.where(used, np.sort(np.where(used, keys, size), axis=1) - order, size) + first
    before = np.searchsorted(smaller.ravel(), (chosen + first).ravel(), side="right").reshape(chosen.shape)
    fillers: NDArray[np.int64] = chosen + before - np.arange(random.size)[:, None] * config.pairs
    return fillers


def _pairs_of(symbols: Sequence[str], config: MqarMixConfig) -> int | None:
    """Return the number of pairs of a text of a mix; None if no slice has its length.

    It is the largest one of its length for which the text starts with so many pairs. Random fillers after fewer pairs
    would have to form at least 16 further pairs by chance.
    """
    keys = list[str]()
    for key, value in zip(symbols[::2], symbols[1::2], strict=False):
        if key[:1] != "k" or value[:1] != "v" or key in keys:
            break
        keys.append(key)
    known = [pairs for steps, pairs, _ in config.mix if steps == len(symbols)]
    return max((pairs for pairs in known if pairs <= len(keys)), default=None)


TASK = Mqar()

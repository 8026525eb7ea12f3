"""Memorization: the values of keys by one map that is the same in all sequences.

Source: Poli et al. (2024), "Mechanistic Design and Scaling of Hybrid Architectures" (MAD), function
`generate_memorization_instance`. A sequence consists of random keys, each followed by a blank. The class at the blank
is the value of the key before it; other steps are ignored. The values are never in the input, so the model has to store
the map in its weights:

    >>> TASK.solve("k0 _ k5 _ k0 _")
    [None, 'v35', None, 'v43', None, 'v35']

`mad` has 256 symbols: 127 keys, 128 values, of which 127 are used, and the blank; sequences have 32 steps. The map is a
random permutation, fixed by a hash; the code uses a shuffle of NumPy with seed 12345, which gives another permutation.
MAD trains on 256 fixed rows. `v512` has 255 keys. The chance level is 1/127 in `mad`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import MAD, other_lengths
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

BLANK = "_"
_MOST_KEYS = 255


@cache
def value_numbers(keys: int) -> tuple[int, ...]:
    """Return the number of the value of each key: a permutation, sorted by SHA-256."""
    hashes = [hashlib.sha256(f"memorization {keys} {value}".encode()).digest() for value in range(keys)]
    return tuple(sorted(range(keys), key=hashes.__getitem__))


@dataclass(frozen=True, kw_only=True)
class MemorizationConfig(TaskConfig):
    """Sequences of one length with one number of keys."""

    keys: int

    def __post_init__(self) -> None:
        self.require(
            self.length[0] == self.length[1] >= 2 and self.length[0] % 2 == 0 and 2 <= self.keys <= _MOST_KEYS,
            f"one even length of at least 2 and 2 to {_MOST_KEYS} keys",
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the config: the blank, then the keys."""
        return Vocabulary((BLANK, *(f"k{key}" for key in range(self.keys))), " ", "memorization")


class Memorization(Task[MemorizationConfig]):
    """Recall of values that are stored in the weights."""

    name = "memorization"
    version = 1
    title = "Memorization: the values of keys by one map for all sequences (MAD)"
    symbols = (BLANK, *(f"k{key}" for key in range(_MOST_KEYS)))
    separator = " "
    labels = tuple(f"v{value}" for value in range(_MOST_KEYS))
    description = (
        "A sequence consists of random keys, each followed by a blank. The class at the blank is the value of the key, "
        "by a map that is the same in all sequences and never in the input. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test whether a model stores facts in its weights, not memory over steps."
    source = MAD
    configs = (
        MemorizationConfig(name="mad", length=(32, 32), keys=127),
        MemorizationConfig(name="v512", length=(32, 32), keys=255),
    )

    def schema(self, config: MemorizationConfig) -> TaskSchema:
        return TaskSchema(vocabulary=config.vocabulary, target="step_class", labels=self.labels[: config.keys])

    def sizes(self, config: MemorizationConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: MemorizationConfig) -> Mapping[str, MemorizationConfig]:
        return other_lengths(config, 256)

    def generate(self, config: MemorizationConfig, random: BlockRandom) -> Batch:
        steps = config.length[0]
        keys = random.integers_2d(0, config.keys - 1, steps // 2)
        inputs = np.ones((random.size, steps), np.uint16)  # the id of the blank
        inputs[:, ::2] = keys + 2
        labels = np.full(inputs.shape, NO_LABEL, np.int64)
        labels[:, 1::2] = np.array(value_numbers(config.keys))[keys]
        return Batch(inputs, np.full(random.size, steps), labels)

    def solve(self, sequence: str, keys: int = 127) -> list[str | None]:
        symbols = sequence.split(" ")
        known = {f"k{key}": f"v{value}" for key, value in enumerate(value_numbers(keys))}
        if len(symbols) % 2 or set(symbols[1::2]) - {BLANK} or set(symbols[::2]) - known.keys():
            form = f"keys k0 to k{keys - 1}, each followed by {BLANK}"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid memorization sequence: must be {form}")
        return [known[symbols[step - 1]] if step % 2 else None for step in range(len(symbols))]

    def solve_batch(self, sequences: Sequence[Any], config: MemorizationConfig | None = None) -> list[Any]:
        keys = 127 if config is None else config.keys
        return [self.solve(sequence, keys) for sequence in sequences]


TASK = Memorization()

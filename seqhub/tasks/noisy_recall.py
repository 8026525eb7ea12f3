"""Noisy in-context recall: the values of keys seen before, among pairs of noise.

Source: Poli et al. (2024), "Mechanistic Design and Scaling of Hybrid Architectures" (MAD), function
`generate_noisy_in_context_recall_instance` with `multi_query=True`. A sequence consists of pairs of a key (a to h) and
its value (A to H), then a key seen before. Each sequence has its own random map from keys to values. With probability
`noise`, a pair is replaced by two noise symbols (i to x); one pair never is. The class at a key that was seen before is
its value; other steps are ignored:

    >>> TASK.solve("aCbBpqaCb")
    [None, None, None, None, None, None, 'C', None, 'B']

`mad` has 32 symbols, 127 steps (64 pairs without the last value) and 20 % noise. `noise40` to `noise80` are harder
variants of MAD. MAD trains on every next symbol of 12,800 fixed rows, including values that nothing determines, and
scores the test rows as here; here training rows are scored in the same way. In the code, a row whose pairs were all
noise would be an error; here the pair that is never noise is not the last one. Models must be causal, because a value
follows its key. The chance level is 1/8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import MAD
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

KEYS, VALUES, NOISE = "abcdefgh", "ABCDEFGH", "ijklmnopqrstuvwx"


@dataclass(frozen=True, kw_only=True)
class NoisyRecallConfig(TaskConfig):
    """Sequences of one length with one share of noise."""

    noise: float

    def __post_init__(self) -> None:
        steps = self.length[0]
        self.require(
            steps == self.length[1] >= 3 and steps % 2 == 1 and 0 <= self.noise < 1,
            "one odd length of at least 3 and 0 <= noise < 1",
        )


class NoisyRecall(Task[NoisyRecallConfig]):
    """Recall of the values of keys among noise."""

    name = "noisy_recall"
    version = 1
    title = "Noisy in-context recall: the values of keys seen before, among noise (MAD)"
    symbols = KEYS + VALUES + NOISE
    marked = KEYS
    labels = tuple(VALUES)
    description = (
        "A sequence consists of pairs of a key and its value, by a map that is random for each sequence, and of pairs "
        "of noise symbols. The class at a key that was seen before is its value. Other steps have no class and are "
        "ignored."
    )
    limits = "The data are synthetic. They test recall of pairs within a sequence and robustness to noise."
    source = MAD
    configs = (
        NoisyRecallConfig(name="mad", length=(127, 127), noise=0.2),
        *(NoisyRecallConfig(name=f"noise{share}", length=(127, 127), noise=share / 100) for share in (40, 60, 80)),
    )

    def schema(self, config: NoisyRecallConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: NoisyRecallConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: NoisyRecallConfig) -> Mapping[str, NoisyRecallConfig]:
        longer = {f"len{steps}": replace(config, length=(steps - 1, steps - 1)) for steps in (256, 512, 1024)}
        noisier = {f"noise{share}": replace(config, noise=share / 100) for share in (20, 40, 60, 80)}
        return {
            name: replace(other, name=name)
            for name, other in (longer | noisier).items()
            if (other.length, other.noise) != (config.length, config.noise)
        }

    def generate(self, config: NoisyRecallConfig, random: BlockRandom) -> Batch:
        pairs, rows = config.length[0] // 2, np.arange(random.size)[:, None]
        keys = random.integers_2d(0, len(KEYS) - 1, pairs)
        value_of = random.integers_2d(0, len(VALUES) - 1, len(KEYS))
        noisy = random.uniform(pairs) < config.noise
        noisy[rows[:, 0], random.integers(0, pairs - 1)] = False
        symbols = random.integers_2d(0, len(NOISE) - 1, 2 * pairs)
        order = random.uniform(len(KEYS))

        shown = np.full((random.size, pairs + 1), -1)
        shown[:, :pairs] = np.where(noisy, -1, keys)
        first = np.full((random.size, len(KEYS)), pairs)  # first pair of each key; `pairs` if it has none
        for key in range(len(KEYS)):
            found = shown == key
            first[:, key] = np.where(found.any(axis=1), found.argmax(axis=1), pairs)
        shown[:, -1] = np.where(first < pairs, order, -1).argmax(axis=1)

        text = np.frombuffer((KEYS + VALUES + NOISE).encode(), np.uint8)
        answers = np.take_along_axis(value_of, np.maximum(shown, 0), axis=1)
        characters = np.empty((random.size, 2 * (pairs + 1)), np.uint8)
        characters[:, :-2] = text[len(KEYS + VALUES) + symbols]
        characters[:, ::2] = np.where(shown >= 0, text[np.maximum(shown, 0)], characters[:, ::2])
        characters[:, 1::2] = np.where(shown >= 0, text[len(KEYS) + answers], characters[:, 1::2])
        again = (shown >= 0) & (np.arange(pairs + 1) > np.take_along_axis(first, np.maximum(shown, 0), axis=1))
        labels = np.full(characters.shape, NO_LABEL, np.int64)
        labels[:, ::2] = np.where(again, answers, NO_LABEL)
        return Batch(characters[:, :-1], np.full(random.size, 2 * pairs + 1), labels[:, :-1])

    def solve(self, sequence: str) -> list[str | None]:
        value_of: dict[str, str] = {}
        targets = list[str | None]()
        valid = len(sequence) % 2 == 1
        for first, second in zip(sequence[:-1:2], sequence[1::2], strict=False):
            if first in KEYS and second in VALUES and value_of.get(first, second) == second:
                targets += [value_of.get(first), None]
                value_of[first] = second
            else:
                valid &= first in NOISE and second in NOISE
                targets += [None, None]
        if not valid or sequence[-1:] not in value_of:
            form = "pairs of a key and its value or of two noise symbols, then a key seen before"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid noisy_recall sequence: must be {form}")
        return [*targets, value_of[sequence[-1]]]


TASK = NoisyRecall()

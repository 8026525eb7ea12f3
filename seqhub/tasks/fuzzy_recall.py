"""Fuzzy in-context recall: keys and values are motifs of one to three symbols.

Source: Poli et al. (2024), "Mechanistic Design and Scaling of Hybrid Architectures" (MAD), function
`generate_fuzzy_in_context_recall_instance` with `multi_query=True`. A sequence consists of keys (motifs of different
symbols a to g), each followed by its value (a motif of different symbols A to H). Each sequence has its own random map
from keys to values. If a key was seen before, the classes at the steps before the symbols of its value are these
symbols; other steps are ignored. A sequence ends before the last symbol of the value of a key seen before, and begins
with padding to a fixed length:

    >>> TASK.solve("..abAHbAabA")
    [None, None, None, None, None, None, None, None, None, 'A', 'H']

`mad` has 16 symbols and 128 steps. Motifs have one to three symbols; in validation and test rows all keys have three.
MAD trains on every next symbol of 12,800 fixed rows, including those that nothing determines, and scores the test rows
as here; here training rows are scored in the same way. In the code, the first occurrence of the last key is inserted at
a random step, which can be too late, so that the last value cannot be known; here it is always inserted. Models must be
causal, because a value follows its key. The chance level is 1/8.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks._mad import MAD, other_lengths
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL, Batch, TaskConfig, TaskSchema

KEYS, VALUES, PADDING = "abcdefg", "ABCDEFGH", "."
_MOTIF = 3  # most symbols of a motif


@dataclass(frozen=True, kw_only=True)
class FuzzyRecallConfig(TaskConfig):
    """Sequences of one length."""

    def __post_init__(self) -> None:
        self.require(self.length[0] == self.length[1] >= 32, "one length, at least 32")


class FuzzyRecall(Task[FuzzyRecallConfig]):
    """Recall of motifs by motifs."""

    name = "fuzzy_recall"
    version = 1
    title = "Fuzzy in-context recall: keys and values of one to three symbols (MAD)"
    symbols = KEYS + VALUES + PADDING
    marked = KEYS
    labels = tuple(VALUES)
    description = (
        "A sequence consists of keys of one to three symbols, each followed by its value of one to three symbols, by a "
        "map that is random for each sequence. If a key was seen before, the classes at the steps before the symbols "
        "of its value are these symbols. Other steps have no class and are ignored."
    )
    limits = "The data are synthetic. They test recall of groups of symbols within a sequence."
    source = MAD
    configs = (FuzzyRecallConfig(name="mad", length=(128, 128)),)

    def schema(self, config: FuzzyRecallConfig) -> TaskSchema:
        return TaskSchema(vocabulary=self.vocabulary, target="step_class", labels=self.labels)

    def sizes(self, config: FuzzyRecallConfig) -> Mapping[str, int]:
        return {"train": 10_000, "validation": 1_000, "test": 1_000}

    def test_distributions(self, config: FuzzyRecallConfig) -> Mapping[str, FuzzyRecallConfig]:
        return other_lengths(config, 256, 512, 1024)

    def generate(self, config: FuzzyRecallConfig, random: BlockRandom) -> Batch:
        steps, rows = config.length[0], np.arange(random.size)
        pairs = steps // 2  # more than fit; the last column is the pair that is queried at the end
        key_sizes = random.integers_2d(1, _MOTIF, pairs)
        if random.split != "train":
            key_sizes[:] = _MOTIF
        key_motifs, keys = _motifs(KEYS, key_sizes, random.uniform(pairs))
        value_sizes = random.integers_2d(1, _MOTIF, pairs)
        value_motifs, values = _motifs(VALUES, value_sizes, random.uniform(pairs))
        queried, answer = keys[:, -1], values[:, -1]
        queried_size = key_sizes[:, -1] + value_sizes[:, -1]
        limit = steps - queried_size - 2 * _MOTIF  # no pair begins at this step or later
        # a pair begins in the last 2 * _MOTIF steps before the limit, so the pair that is queried is always inserted
        latest = (random.uniform(1)[:, 0] * (limit - 2 * _MOTIF + 1)).astype(np.int64)

        text = np.full((random.size, steps + 1 + 2 * _MOTIF), PADDING.encode()[0], np.uint8)
        labels = np.full(text.shape, NO_LABEL, np.int64)
        value_of = np.full((random.size, len(key_motifs)), -1)
        end = np.zeros(random.size, np.int64)

        def append(active: NDArray[np.int64], key: NDArray[np.int64], value: NDArray[np.int64]) -> None:
            """Append pairs to the rows `active`; `value` is only for new keys."""
            known = value_of[active, key]
            value = np.where(known < 0, value, known)
            value_of[active, key] = value
            never = np.zeros(len(active), np.bool_)
            for motifs, chosen, scored in ((key_motifs, key, never), (value_motifs, value, known >= 0)):
                for place in range(_MOTIF):
                    symbols = motifs[chosen, place]
                    written = symbols > 0
                    here, at = active[written], end[active[written]]
                    text[here, at] = symbols[written]
                    right = scored[written]
                    labels[here[right], at[right] - 1] = symbols[written][right] - np.int64(ord(VALUES[0]))
                    end[here] += 1

        for pair in range(pairs - 1):
            active = np.flatnonzero(end < limit)
            if not active.size:
                break
            insert = (end[active] >= latest[active]) & (value_of[active, queried[active]] < 0)
            key = np.where(insert, queried[active], keys[active, pair])
            append(active, key, np.where(key == queried[active], answer[active], values[active, pair]))
        append(rows, queried, answer)
        source = np.arange(steps) - (steps + 1 - end)[:, None]  # padding on the left, without the last symbol
        shown = source >= 0
        source = np.maximum(source, 0)
        characters = np.where(shown, np.take_along_axis(text, source, axis=1), PADDING.encode()[0])
        labels = np.where(shown, np.take_along_axis(labels, source, axis=1), NO_LABEL)
        return Batch(characters.astype(np.uint8), np.full(random.size, steps), labels)

    def solve(self, sequence: str) -> list[str | None]:
        text = sequence.lstrip(PADDING)
        targets: list[str | None] = [None] * (len(sequence) - len(text))
        parts = re.findall(f"([{KEYS}]+)([{VALUES}]*)", text)
        value_of: dict[str, str] = {}
        for key, value in parts[:-1]:
            seen = key in value_of
            if not value or value_of.setdefault(key, value) != value:
                parts = []
                break
            targets += [None] * (len(key) - 1) + [*(value if seen else [None] * len(value)), None]
        last, begun = parts[-1] if parts else ("", "")
        if "".join(map("".join, parts)) != text or value_of.get(last, "")[:-1] != begun or last not in value_of:
            form = "padding, keys with their values, then a key seen before and its value without the last symbol"
            raise InvalidInputError(f"{sequence[:60]!r} is not a valid fuzzy_recall sequence: must be {form}")
        return targets + [None] * (len(last) - 1) + list(value_of[last])


@cache
def _all_motifs(symbols: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all motifs as characters (M, 3), 0 after the end, sorted by size; and the first motif of each size."""
    found = [[*map(ord, each)] for size in range(1, _MOTIF + 1) for each in permutations(symbols, size)]
    sizes = np.array([len(each) for each in found])
    motifs = np.array([each + [0] * (_MOTIF - len(each)) for each in found], np.uint8)
    return motifs, np.searchsorted(sizes, np.arange(1, _MOTIF + 2))


def _motifs(
    symbols: str, sizes: NDArray[np.int64], uniform: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return all motifs (M, 3), and a uniform motif of each of these sizes, as numbers."""
    motifs, first = _all_motifs(symbols)
    counts = np.diff(first)[sizes - 1]
    return motifs, first[sizes - 1] + (uniform * counts).astype(np.int64)


TASK = FuzzyRecall()

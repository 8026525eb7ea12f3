"""Base class of the temporal order tasks: noise over four symbols, with X or Y at some steps."""

from collections.abc import Sequence
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks._sources import LONG_SHORT_TERM_MEMORY
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, StoppingRule, TaskConfig

NOISE = "abcd"
ENDS = "BE"  # first and last symbol

# (65536,) words of 8 ASCII characters: the noise that 16 random bits encode, two bits for each step
_EIGHT_STEPS = np.frombuffer(NOISE.encode(), np.uint8)[
    np.arange(1 << 16)[:, None] >> np.arange(0, 16, 2) & 3
].copy().view(np.uint64)[:, 0]  # fmt: skip

_MARKS = np.frombuffer(b"XY", np.uint8)

C = TypeVar("C", bound=TaskConfig)


class TemporalOrder(Task[C]):
    """Classification of the marked symbols in order."""

    symbols = "XYabcdBE"
    marked = "XY"
    source = LONG_SHORT_TERM_MEMORY

    def stopping_rule(self, config: C) -> StoppingRule:
        return StoppingRule(rule="st3", section="5.6", tolerance=0.3, window=2_000, mean_error=0.1)

    @staticmethod
    def noise(length: IntRange, random: BlockRandom) -> NDArray[np.uint16]:
        """Return random words (N, T / 8) for the noise of the longest sequence, each for eight steps."""
        return random.uint16(-(-length[1] // 8))

    @staticmethod
    def write(
        length: IntRange,
        lengths: NDArray[np.int64],
        places: Sequence[NDArray[np.int64]],
        labels: NDArray[np.int64],
        noise: NDArray[np.uint16],
        ends: str = ENDS,
    ) -> Batch:
        """Return sequences made of their fields.

        Args:
            length: Shortest and longest length.
            lengths: (N,), number of steps of each sequence.
            places: For each marked symbol, in order, its step in each sequence, (N,).
            labels: (N,), with the marked symbols as bits, highest first: 0 for X, 1 for Y.
            noise: (N, T / 8), see `noise`.
            ends: First and last symbol.
        """
        words = np.take(_EIGHT_STEPS, noise)
        characters = words.view(np.uint8)
        begin, end = ends.encode()
        characters[:, 0] = begin
        flat, first = characters.reshape(-1), np.arange(0, characters.size, characters.shape[1])
        for bit, steps in zip(reversed(range(len(places))), places, strict=True):
            flat[first + steps] = np.take(_MARKS, labels >> bit & 1)
        flat[first + lengths - 1] = end
        kept = _kept(length, words.shape[1])
        words[:, words.shape[1] - kept.shape[1] :] &= np.take(kept, lengths - length[0], axis=0)
        return Batch(characters[:, : length[1]], lengths, labels)


@cache
def _kept(length: IntRange, words: int) -> NDArray[np.uint64]:
    """Return masks with ones in the steps of a row: (lengths, W), for the last W words, in which lengths differ."""
    steps = np.arange(length[0] // 8 * 8, words * 8)
    kept = steps < np.arange(length[0], length[1] + 1)[:, None]
    return (kept * np.uint8(255)).view(np.uint64)

"""Pairs of a value and a marker, as the adding and the multiplication problem of 1997 have them.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.4. Two pairs of a
sequence are marked by 1: one of the first ten, then one of the first T/2 - 1 that are not marked yet, T being the
shortest length. Other markers are 0, but those of the first and the last pair are -1, whatever was drawn; hence a mark
on the first pair is not seen, and its value does not count.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import IntRange

SIGNED, UNSIGNED = 2**-15, 2**-16  # distance of neighbouring values of [-1, 1) and of [0, 1)

_FIRST = 10  # pairs, of which the first mark is on one


def random_pairs(random: BlockRandom, longest: int, signed: bool) -> NDArray[np.float32]:
    """Pairs with values of [-1, 1) or [0, 1), each of 65,536 equally likely, and markers 0: (size, longest, 2)."""
    words = random.uint16(longest)
    values = words.view(np.int16) * np.float32(SIGNED) if signed else words * np.float32(UNSIGNED)
    return values.astype(np.complex64).view(np.float32).reshape(-1, longest, 2)  # a value and 0: one write, not two


def generate_pairs(
    random: BlockRandom, length: IntRange, signed: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Sequences of the paper.

    Returns:
        Pairs (N, T, 2), 0 where padded; lengths (N,); the values of both marked pairs (N, 2); whether each counts.
    """
    shortest, longest = length
    lengths = random.integers(shortest, longest)
    first = random.integers(0, _FIRST - 1)
    second = random.integers(0, shortest // 2 - 2)
    second += second >= first  # of the pairs that are not marked yet
    pairs = random_pairs(random, longest, signed)
    rows = np.arange(len(lengths))
    at = np.stack([first, second], axis=1)
    values = pairs[rows[:, None], at, 0]
    pairs[rows[:, None], at, 1] = 1
    pairs[:, 0, 1] = -1
    pairs[rows, lengths - 1, 1] = -1
    whole = pairs.view(np.complex64)[:, :, 0]  # value and marker at once: eight times as fast
    whole[:, shortest:][np.arange(shortest, longest) >= lengths[:, None]] = 0
    return pairs, lengths, values, at > 0


def hidden_mark_share(length: IntRange) -> float:
    """How often a sequence of the paper has a mark on its first pair."""
    return 1 / _FIRST + (1 - 1 / _FIRST) / (length[0] // 2 - 1)


def marked_values(sequence: Any, task: str) -> tuple[list[float], bool]:
    """The values of the pairs that are marked by 1, and whether the sequence has the ends of the paper, -1.

    Raises:
        InvalidInputError: No finite pairs, another marker, or another number of marks than a sequence has.
    """
    pairs = np.asarray(sequence, dtype=np.float64)
    if pairs.ndim != 2 or len(pairs) < 2 or pairs.shape[1] != 2 or not np.isfinite(pairs).all():
        raise InvalidInputError(f"pairs of shape {pairs.shape}; {task} has two finite ones or more of (steps, 2)")
    markers = pairs[:, 1]
    ends = markers == -1
    paper = bool(ends[0])
    if not np.isin(markers, (-1, 0, 1)).all() or ends.sum() != 2 * paper or ends[-1] != paper:
        raise InvalidInputError(f"markers other than 0 and 1, which {task} has, with -1 at both ends or at none")
    values = pairs[markers == 1, 0].tolist()
    if len(values) != 2 and not (paper and len(values) == 1):
        raise InvalidInputError(f"{len(values)} pairs marked by 1; {task} has two, or one where -1 hides the other")
    return values, paper

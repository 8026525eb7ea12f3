"""Pairs of a value and a marker, for the adding and the multiplication problem of 1997.

Source: Hochreiter & Schmidhuber (1997), "Long Short-Term Memory", Neural Computation 9(8), section 5.4. Two pairs of a
sequence have marker 1: one of the first ten, then one of the first T/2 - 1 other pairs, where T is the shortest length.
The first and the last pair always have marker -1, all others 0. So a mark on the first pair is hidden, and its value is
ignored.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import IntRange

SIGNED, UNSIGNED = 2**-15, 2**-16  # resolution of values in [-1, 1) and in [0, 1)

_FIRST = 10  # the first mark is on one of this number of pairs


def random_pairs(random: BlockRandom, longest: int, signed: bool) -> NDArray[np.float32]:
    """Return pairs of a uniform value, one of 65,536 in [-1, 1) or [0, 1), and marker 0: (size, longest, 2)."""
    words = random.uint16(longest)
    values = words.view(np.int16) * np.float32(SIGNED) if signed else words * np.float32(UNSIGNED)
    return values.astype(np.complex64).view(np.float32).reshape(-1, longest, 2)  # value and marker 0 in one write


def generate_pairs(
    random: BlockRandom, length: IntRange, signed: bool
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
    """Generate sequences of the paper.

    Returns:
        Pairs (N, T, 2), 0 in the padding; lengths (N,); values of the two marked pairs (N, 2); a mask (N, 2) that is
        False for hidden marks.
    """
    shortest, longest = length
    lengths = random.integers(shortest, longest)
    first = random.integers(0, _FIRST - 1)
    second = random.integers(0, shortest // 2 - 2)
    second += second >= first  # skip the pair that is marked already
    pairs = random_pairs(random, longest, signed)
    rows = np.arange(len(lengths))
    at = np.stack([first, second], axis=1)
    values = pairs[rows[:, None], at, 0]
    pairs[rows[:, None], at, 1] = 1
    pairs[:, 0, 1] = -1
    pairs[rows, lengths - 1, 1] = -1
    whole = pairs.view(np.complex64)[:, :, 0]  # value and marker in one write: eight times as fast
    whole[:, shortest:][np.arange(shortest, longest) >= lengths[:, None]] = 0
    return pairs, lengths, values, at > 0


def hidden_mark_share(length: IntRange) -> float:
    """Return the probability that a sequence of the paper has a mark on its first pair."""
    return 1 / _FIRST + (1 - 1 / _FIRST) / (length[0] // 2 - 1)


def marked_values(sequence: Any, task: str) -> tuple[list[float], bool]:
    """Return the values of the pairs with marker 1, and True if both ends have marker -1, as in the paper.

    Raises:
        InvalidInputError: Not finite pairs, another marker, or another number of marks.
    """
    pairs = np.asarray(sequence, dtype=np.float64)
    if pairs.ndim != 2 or len(pairs) < 2 or pairs.shape[1] != 2 or not np.isfinite(pairs).all():
        raise InvalidInputError(
            f"pairs of shape {pairs.shape}: must be finite and (steps, 2) with 2 or more steps ({task})"
        )
    markers = pairs[:, 1]
    ends = markers == -1
    paper = bool(ends[0])
    if not np.isin(markers, (-1, 0, 1)).all() or ends.sum() != 2 * paper or ends[-1] != paper:
        raise InvalidInputError(f"markers of {task}: must be 0 or 1, with -1 at both ends or at neither")
    values = pairs[markers == 1, 0].tolist()
    if len(values) != 2 and not (paper and len(values) == 1):
        raise InvalidInputError(f"{len(values)} pairs with marker 1: must be 2, or 1 if -1 hides the other ({task})")
    return values, paper

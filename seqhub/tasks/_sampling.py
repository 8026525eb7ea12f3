"""Sampling helpers of the recall tasks."""

import numpy as np
from numpy.typing import NDArray

from seqhub.tasks.rng import BlockRandom


def sample_distinct(random: BlockRandom, total: int, count: int) -> NDArray[np.int64]:
    """Return `count` different numbers below `total` for each example, in random order: (size, count).

    The first `count` steps of the shuffle of Fisher & Yates; `total` is at most 65,536.
    """
    numbers = np.tile(np.arange(total, dtype=np.uint16), (random.size, 1))
    rows = np.arange(random.size)
    for step in range(count):
        chosen = random.integers(step, total - 1)
        numbers[rows, chosen], numbers[:, step] = numbers[:, step].copy(), numbers[rows, chosen]
    return numbers[:, :count].astype(np.int64)


def query_offsets(
    random: BlockRandom, spaces: NDArray[np.int64], longest: int, power: float = 0.01
) -> NDArray[np.int64]:
    """Return the possible places of queries in the order in which they are sampled without replacement.

    Place g (from 0) has a probability proportional to (g + 1) ** (power - 1), as in Zoology. Sampling without
    replacement is a race of exponentially distributed times with these rates (Efraimidis & Spirakis, 2006).

    Args:
        random: Random numbers.
        spaces: (size,), number of places of each example; places from there on are last.
        longest: Largest number of places.
        power: Exponent plus 1; 1 for a uniform distribution.

    Returns:
        (size, longest) places, counted from 0.
    """
    places = np.arange(longest)
    uniform = random.uniform(longest).astype(np.float64) + 2**-25  # above 0
    times = -np.log(uniform) / (places + 1.0) ** (power - 1)
    times[places >= spaces[:, None]] = np.inf
    order: NDArray[np.int64] = np.argsort(times, axis=1, kind="stable")
    return order

"""Random numbers of torch's generator for the CPU, in NumPy.

Both are the Mersenne Twister of Matsumoto & Nishimura (1998), seeded by its `init_genrand`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WORD = 1 << 32
_BITS = 24  # of a uniform number in single precision


class TorchRandom:
    """Generator in the state after `torch.manual_seed(seed)`.

    Args:
        seed: Seed; like torch, only its lowest 32 bits are used.
    """

    def __init__(self, seed: int) -> None:
        self._words: Any = np.random.MT19937()
        state: Any = np.random.RandomState(seed % _WORD).get_state(legacy=False)
        self._words.state = state

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> NDArray[np.float32]:
        """Return the numbers of `torch.empty(shape).uniform_(low, high)`.

        torch rounds `high - low` and the result to single precision, and not the product between them. In double
        precision, product and sum are exact if `low` is not much smaller than `high - low`.
        """
        first, width = np.float32(low), np.float32(high) - np.float32(low)
        words = self._words.random_raw(int(np.prod(shape))) & ((1 << _BITS) - 1)
        numbers = words * 2.0**-_BITS * np.float64(width) + np.float64(first)
        found: NDArray[np.float32] = numbers.astype(np.float32).reshape(shape)
        return found

    def skip(self, count: int) -> None:
        """Advance by a number of uniform numbers in single precision."""
        self._words.random_raw(count, output=False)

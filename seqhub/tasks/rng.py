"""Random words by block: any block of 1,024 examples is reached at once, and alone.

A data set is a sequence of blocks. Block b of it takes its randomness from NumPy's Philox generator (Salmon
et al., 2011, "Parallel Random Numbers: As Easy as 1, 2, 3") with a key made from what the data are, and counter
(0, 0, 0, b). Only raw words are used: NumPy promises their values for ever, those of `Generator` methods not.
So a prefix, a shard, one example, or many workers in any order see the same bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 1024  # examples

_WORD_BYTES = 8
_LOOKED_UP_AT_ONCE = 1 << 16  # words whose indices stay in the cache


def philox_key(facts: Mapping[str, object]) -> int:
    """The first 128 bits of SHA-256 over a canonical text of `facts`.

    >>> philox_key({"b": 1, "a": (2, 3)}) == philox_key({"a": [2, 3], "b": 1})
    True
    """
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


@cache
def _quantiles() -> NDArray[np.float32]:
    """Middle quantiles of 65,536 equal shares of the standard normal distribution: (65536,)."""
    law = NormalDist()
    upper = np.array([law.inv_cdf((k + 0.5) / 65_536) for k in range(32_768, 65_536)], dtype=np.float32)
    return np.concatenate([-upper[::-1], upper])


class BlockRandom:
    """Hands out fields of consecutive blocks, each field for all examples at once.

    Every call takes a fixed number of words from each block's own stream, so what one block gets
    does not depend on its neighbours.

    Args:
        key: Philox key, 128 bits.
        first_block: Number of the first block.
        blocks: How many blocks follow each other.
        split: Which split the blocks are of. The key differs between splits anyway; this is for tasks whose law
            differs, too: targets that are noisy to learn from and exact to be measured by.
    """

    def __init__(self, key: int, first_block: int, blocks: int, split: str = "train") -> None:
        self.size = blocks * BLOCK_SIZE  # examples
        self.split = split
        self._streams = [np.random.Philox(key=key, counter=[0, 0, 0, first_block + b]) for b in range(blocks)]

    def _take(self, bytes_per_example: int) -> NDArray[np.uint64]:
        words = BLOCK_SIZE * bytes_per_example // _WORD_BYTES
        pieces = [stream.random_raw(words) for stream in self._streams]
        return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)).astype("<u8", copy=False)

    def integers(self, low: int, high: int) -> NDArray[np.int64]:
        """Uniform integers from `low` to `high`, both included: (size,).

        A 32-bit word times the number of values, shifted back: no value is likelier than another by more
        than that number / 2**32.
        """
        return _in_range(self._take(4).view("<u4"), low, high)

    def integers_2d(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        """Uniform integers as above, `count` for each example: (size, count)."""
        return _in_range(self._take(4 * count).view("<u4").reshape(self.size, count), low, high)

    def uniform(self, count: int) -> NDArray[np.float32]:
        """Uniform numbers in [0, 1), multiples of 2**-24: (size, count)."""
        words = self._take(4 * count).view("<u4").reshape(self.size, count)
        return (words >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)

    def normal(self, count: int) -> NDArray[np.float32]:
        """Numbers of the standard normal distribution: (size, count).

        Each is one of its 65,536 equally likely quantiles, looked up: as fast as NumPy's own, and the same number on
        every machine, which no formula with a logarithm in it promises. None is beyond 4.3.
        """
        words = self.uint16(count).ravel()
        numbers = np.empty(len(words), dtype=np.float32)
        for first in range(0, len(words), _LOOKED_UP_AT_ONCE):
            part = slice(first, first + _LOOKED_UP_AT_ONCE)
            np.take(_quantiles(), words[part], out=numbers[part], mode="clip")  # no word is outside; needs no copy
        return numbers.reshape(self.size, count)

    def uint16(self, count: int) -> NDArray[np.uint16]:
        """Uniform 16-bit words: (size, count)."""
        return self._take(2 * count).view("<u2").reshape(self.size, count)

    def uint32_by_block(self, count: int) -> Iterator[NDArray[np.uint32]]:
        """Uniform 32-bit words, for each block (BLOCK_SIZE * count,): for fields too large for the cache together."""
        for stream in self._streams:
            yield stream.random_raw(BLOCK_SIZE * count // 2).astype("<u8", copy=False).view("<u4")


def _in_range(words: NDArray[np.uint32], low: int, high: int) -> NDArray[np.int64]:
    numbers = words.astype(np.uint64)
    numbers *= np.uint64(high - low + 1)
    numbers >>= np.uint64(32)
    found = numbers.view(np.int64)
    found += low
    return found

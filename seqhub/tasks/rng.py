"""Counter-based random numbers with random access to blocks of 1,024 examples.

A dataset is a sequence of blocks. The random numbers of block b are from NumPy's Philox generator (Salmon et al., 2011,
"Parallel Random Numbers: As Easy as 1, 2, 3") with a key that is a hash of the dataset's parameters, and counter
(0, 0, 0, b). Only raw words are used, because NumPy guarantees their values, but not the values of `Generator` methods.
So a prefix, a shard, a single example, and workers in any order get the same bytes.
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
_WORDS_AT_ONCE = 1 << 16  # words of a lookup, so that their indices stay in the cache


def philox_key(parameters: Mapping[str, object]) -> int:
    """Return the first 128 bits of SHA-256 over the canonical JSON text of `parameters`.

    >>> philox_key({"b": 1, "a": (2, 3)}) == philox_key({"a": [2, 3], "b": 1})
    True
    """
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


@cache
def quantiles() -> NDArray[np.float32]:
    """Return the quantiles (k + 1/2) / 65,536 of the standard normal distribution: (65536,)."""
    normal = NormalDist()
    upper = np.array([normal.inv_cdf((k + 0.5) / 65_536) for k in range(32_768, 65_536)], dtype=np.float32)
    return np.concatenate([-upper[::-1], upper])


class BlockRandom:
    """Random number generator for consecutive blocks; each call returns one field of all examples.

    Every call takes a fixed number of words from the stream of each block, so the values of a block do not depend on
    its neighbours.

    Args:
        key: Philox key, 128 bits.
        first_block: Number of the first block.
        blocks: Number of consecutive blocks.
        split: Split of the blocks, for tasks with a different distribution in each split, such as noisy targets in
            training only. The key already differs between splits.
    """

    def __init__(self, key: int, first_block: int, blocks: int, split: str = "train") -> None:
        self.size = blocks * BLOCK_SIZE  # examples
        self.split = split
        self._streams = [np.random.Philox(key=key, counter=[0, 0, 0, first_block + b]) for b in range(blocks)]

    def _take(self, bytes_per_example: int) -> NDArray[np.uint64]:
        pieces = [words for _, words in self._by_block(bytes_per_example)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _by_block(self, bytes_per_example: int) -> Iterator[tuple[slice, NDArray[np.uint64]]]:
        """Yield the examples of each block with their words, which are still in the cache."""
        words = BLOCK_SIZE * bytes_per_example // _WORD_BYTES
        for number, stream in enumerate(self._streams):
            rows = slice(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE)
            yield rows, stream.random_raw(words).astype("<u8", copy=False)

    def integers(self, low: int, high: int) -> NDArray[np.int64]:
        """Return uniform integers from `low` to `high`, both included: (size,).

        A 32-bit word is multiplied by the number of values and shifted right by 32 bits. The probabilities of two
        values differ by a factor of at most 1 + (number of values) / 2**32.
        """
        words = self._take(4).view("<u4")
        return _in_range(words, low, high, np.empty(self.size, dtype=np.uint64)).view(np.int64)

    def integers_2d(self, low: int, high: int, count: int) -> NDArray[np.int64]:
        """Return uniform integers like `integers`, `count` for each example: (size, count)."""
        numbers = np.empty((self.size, count), dtype=np.uint64)
        for rows, block in self._by_block(4 * count):
            _in_range(block.view("<u4").reshape(-1, count), low, high, numbers[rows])
        return numbers.view(np.int64)

    def uniform(self, count: int, below: float = 1.0) -> NDArray[np.float32]:
        """Return uniform numbers in [0, below), multiples of below * 2**-24: (size, count).

        Args:
            count: Numbers of each example.
            below: Upper bound, a power of two, so that the product is exact.
        """
        numbers = np.empty((self.size, count), dtype=np.float32)
        for rows, block in self._by_block(4 * count):
            words = block.view("<u4").reshape(-1, count)
            words >>= np.uint32(8)
            # Conversion of int32 is faster than of uint32
            np.multiply(words.view(np.int32), np.float32(below * 2**-24), dtype=np.float32, out=numbers[rows])
        return numbers

    def permutations(self, count: int) -> NDArray[np.uint32]:
        """Return random orders of `count` indices, at most 256: (size, count).

        They are those that sort the numbers of `uniform`; of equal numbers the first is first.
        """
        words = self._take(4 * count).view("<u4").reshape(self.size, count)
        words &= np.uint32(0xFFFFFF00)
        words |= np.arange(count, dtype=np.uint32)
        words.sort(axis=1)  # four times as fast as the order of the numbers
        words &= np.uint32(0xFF)
        return words

    def normal(self, count: int, table: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return numbers of the standard normal distribution: (size, count).

        Each is one of 65,536 equally probable quantiles, from a table. This is as fast as NumPy's generator and gives
        the same numbers on every machine, which formulas with logarithms do not guarantee. The largest is below 4.3.

        Args:
            count: Numbers of each example.
            table: Values that replace those of `quantiles`, such as their multiples.
        """
        table = quantiles() if table is None else table
        numbers = np.empty((self.size, count), dtype=np.float32)
        for rows, block in self._by_block(2 * count):
            words, part = block.view("<u2"), numbers[rows].reshape(-1)
            for first in range(0, len(words), _WORDS_AT_ONCE):
                some = slice(first, first + _WORDS_AT_ONCE)
                np.take(table, words[some], out=part[some], mode="clip")  # never clips; avoids a copy
        return numbers

    def uint16(self, count: int) -> NDArray[np.uint16]:
        """Return uniform 16-bit words: (size, count)."""
        return self._take(2 * count).view("<u2").reshape(self.size, count)

    def uint32_by_block(self, count: int) -> Iterator[NDArray[np.uint32]]:
        """Yield uniform 32-bit words of each block (BLOCK_SIZE * count,), for fields larger than the cache."""
        for _, words in self._by_block(4 * count):
            yield words.view("<u4")


def _in_range(words: NDArray[np.uint32], low: int, high: int, out: NDArray[np.uint64]) -> NDArray[np.uint64]:
    np.multiply(words, np.uint64(high - low + 1), out=out)
    out >>= np.uint64(32)
    if low:
        out.view(np.int64)[...] += low
    return out

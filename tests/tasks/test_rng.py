"""Random numbers by block: definition, independence and uniformity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.tasks.rng import BLOCK_SIZE, BlockRandom, philox_key
from tests.helpers.task_cases import assert_follows

KEY = philox_key({"task": "test"})


def words(block: int, count: int, key: int = KEY) -> list[int]:
    """Return raw words of Philox with this key and counter (0, 0, 0, block), the documented definition."""
    return [int(word) for word in np.random.Philox(key=key, counter=[0, 0, 0, block]).random_raw(count)]


def halves(values: list[int], bits: int) -> list[int]:
    """Return the parts of each 64-bit word, low bits first."""
    return [value >> shift & (1 << bits) - 1 for value in values for shift in range(0, 64, bits)]


def test_fields_agree_with_the_documented_definition():
    random = BlockRandom(KEY, first_block=7, blocks=1)
    integers, noise, more = random.integers(10, 20), random.uint16(3), random.integers(-5, 5)
    raw = words(7, BLOCK_SIZE // 2 + 3 * BLOCK_SIZE // 4 + BLOCK_SIZE // 2)
    first, second, third = np.split(
        np.array(raw, dtype=object), [BLOCK_SIZE // 2, BLOCK_SIZE // 2 + 3 * BLOCK_SIZE // 4]
    )
    assert integers.tolist() == [10 + (word * 11 >> 32) for word in halves(list(first), 32)]
    assert noise.ravel().tolist() == halves(list(second), 16)
    assert more.tolist() == [-5 + (word * 11 >> 32) for word in halves(list(third), 32)]
    assert (integers.dtype, noise.dtype) == (np.int64, np.uint16)
    assert noise.shape == (BLOCK_SIZE, 3)


def test_first_words_are_pinned():
    assert philox_key({"task": "qrsu", "seed": 0}) == 0xF2C9B4ED5E9F28AE91145C20134D2F40
    assert BlockRandom(0xF2C9B4ED5E9F28AE91145C20134D2F40, 0, 1).integers(0, 999)[:6].tolist() == [
        802,
        422,
        382,
        703,
        669,
        2,
    ]


def test_canonical_text_of_a_key():
    assert philox_key({"b": 1, "a": (2, 3)}) == philox_key({"a": [2, 3], "b": 1})
    keys = {
        philox_key(parameters)
        for parameters in ({"seed": 0}, {"seed": "0"}, {"seed": 1}, {"seed": -1}, {"sead": 0}, {})
    }
    assert len(keys) == 6
    assert max(keys) < 2**128


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 2**40), blocks=st.integers(1, 4), data=st.data())
def test_a_block_does_not_depend_on_its_neighbours(first, blocks, data):
    number = data.draw(st.integers(0, blocks - 1))
    together, alone = BlockRandom(KEY, first, blocks), BlockRandom(KEY, first + number, 1)
    assert together.size == blocks * BLOCK_SIZE
    rows = slice(number * BLOCK_SIZE, (number + 1) * BLOCK_SIZE)
    np.testing.assert_array_equal(together.integers(0, 99)[rows], alone.integers(0, 99))
    np.testing.assert_array_equal(together.uint16(5)[rows], alone.uint16(5))
    np.testing.assert_array_equal(together.integers(3, 3)[rows], alone.integers(3, 3))


def test_blocks_keys_and_fields_differ():
    generators = [BlockRandom(key, block, 1) for key in (KEY, KEY + 1) for block in range(3)]
    fields = [random.integers(0, 2**31).tobytes() for random in generators for _ in range(2)]
    assert len(set(fields)) == len(fields)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 3), (1, 2), (10, 20), (100, 110), (-3, 3), (250, 290), (0, 200)])
def test_integers_are_uniform_and_reach_both_ends(low, high):
    integers = BlockRandom(KEY, 0, 64).integers(low, high)
    assert (integers.min(), integers.max()) == (low, high)
    assert_follows(np.bincount(integers - low))


def test_words_are_uniform_bit_by_bit_and_byte_by_byte():
    noise = BlockRandom(KEY, 100, 64).uint16(4)
    assert_follows(np.bincount(noise.ravel() >> 8, minlength=256))
    assert_follows(np.bincount(noise.ravel() & 255, minlength=256))
    for bit in range(16):
        for column in noise.T:
            assert_follows(np.bincount(column >> bit & 1, minlength=2))


def test_neighbouring_examples_columns_and_fields_are_independent():
    random = BlockRandom(KEY, 200, 64)
    one, two = random.integers(0, 7), random.integers(0, 7)
    noise = random.uint16(2) >> 13
    for left, right in ((one, two), (one[:-1], one[1:]), (noise[:, 0], noise[:, 1]), (noise[:-1, 0], noise[1:, 0])):
        assert_follows(np.bincount(left.astype(np.int64) * 8 + right, minlength=64))


def test_range_of_one_value_takes_words_too():
    one, two = BlockRandom(KEY, 0, 1), BlockRandom(KEY, 0, 1)
    assert set(one.integers(4, 4)) == {4}
    two.integers(0, 9)
    np.testing.assert_array_equal(one.integers(0, 9), two.integers(0, 9))


def test_permutations_are_the_orders_of_uniform_numbers() -> None:
    numbers, orders = BlockRandom(KEY, 3, 2).uniform(16), BlockRandom(KEY, 3, 2).permutations(16)
    assert (orders == numbers.argsort(axis=1, kind="stable")).all()
    assert (BlockRandom(KEY, 3, 2).uniform(16, below=0.25) == numbers / 4).all()
    assert 0 <= numbers.min() < numbers.max() < 1

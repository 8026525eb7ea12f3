"""Memorization: the map, and test distributions."""

import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.memorization import TASK, MemorizationConfig, value_numbers
from seqhub.tasks.rng import BlockRandom


@pytest.mark.parametrize("keys", [127, 255])
def test_the_map_is_a_permutation(keys):
    assert sorted(value_numbers(keys)) == list(range(keys))
    assert sum(value == key for key, value in enumerate(value_numbers(keys))) < 6


def test_longer_test_distributions():
    found = TASK.test_distributions(TASK.configs[0])
    assert TASK.generate(found["len256"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 256)


@pytest.mark.parametrize("text", ["", "k1", "_ k1", "k127 _", "k1 k1"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid memorization sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one even length"):
        MemorizationConfig(name="wrong", length=(32, 32), keys=256)

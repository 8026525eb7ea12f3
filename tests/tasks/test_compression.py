"""Compression: symbols of the noise, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.compression import TASK, CompressionConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows


def test_noise_is_uniform():
    characters = first_rows("compression/mad").inputs
    assert (characters[:, 31] == ord("#")).all()
    assert_follows(np.bincount(characters[:, :31].ravel() - ord("a"), minlength=15))


def test_longer_test_distributions():
    found = TASK.test_distributions(TASK.configs[0])
    assert [config.length[0] for config in found.values()] == [127, 255, 511]
    assert TASK.generate(found["len64"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 127)


@pytest.mark.parametrize("text", ["", "#", "ab#_", "a_#__", "a#_#", "z#_"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid compression sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one odd length"):
        CompressionConfig(name="wrong", length=(4, 4))

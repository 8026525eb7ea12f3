"""Noisy recall: share of noise, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.noisy_recall import TASK, NoisyRecallConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows


@pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)
def test_share_of_noise(config):
    noise = first_rows(f"noisy_recall/{config.name}").inputs[:, :-1:2] > ord("h")
    assert abs(noise.mean() - config.noise * 62 / 63) < 0.01  # one pair of 63 never is noise


def test_each_row_has_its_own_values():
    batch = first_rows("noisy_recall/mad")
    last = batch.inputs[:, -1] - ord("a")
    assert_follows(np.bincount(8 * last.astype(int) + batch.labels[:, -1], minlength=64))


def test_names_of_the_test_distributions():
    found = TASK.test_distributions(TASK.configs[0])
    assert list(found) == ["len256", "len512", "len1024", "noise40", "noise60", "noise80"]
    assert TASK.generate(found["len256"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 255)


@pytest.mark.parametrize("text", ["", "a", "aA", "aAb", "aAaBa", "aij", "aAijz"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid noisy_recall sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one odd length"):
        NoisyRecallConfig(name="wrong", length=(128, 128), noise=0.2)

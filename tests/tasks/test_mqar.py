"""MQAR: pairs, queries, fillers and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.mqar import TASK, ZOOLOGY, MqarConfig
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from tests.helpers.task_cases import assert_follows, first_rows


def test_each_key_is_queried_once_at_an_even_distance():
    batch = first_rows("mqar/small")
    tokens, rows = batch.inputs.astype(int) - 1, np.arange(len(batch))[:, None]
    assert len(np.unique(tokens[:, 0:16:2] + 100 * rows)) == len(np.unique(tokens[:, 1:16:2] + 100 * rows)) == 8 * 2048
    row, step = np.nonzero(batch.labels != NO_LABEL)
    assert (step >= 16).all()
    assert (step % 2 == 0).all()
    queried = tokens[row, step].reshape(-1, 8)
    np.testing.assert_array_equal(np.sort(queried), np.sort(tokens[:, 0:16:2]))


def test_distances_follow_the_power_law():
    """One query, so that nothing is sampled without replacement."""
    config = MqarConfig(name="one", length=(64, 64), vocab_size=64, pairs=1)
    batch = TASK.generate(config, BlockRandom(1, 0, 4))
    places = np.nonzero(batch.labels != NO_LABEL)[1] // 2 - 1
    assert_follows(np.bincount(places, minlength=31), np.arange(1, 32) ** -0.99)


def test_safe_fillers_are_uniform_without_the_keys_of_the_row():
    batch = first_rows("mqar/small-random")
    tokens = batch.inputs.astype(int) - 1
    fillers = np.where(batch.labels == NO_LABEL, tokens, -1)[:, 16:]
    assert not (fillers[:, :, None] == tokens[:, None, 0:16:2]).any()
    values = fillers[fillers >= 32] - 32
    assert_follows(np.bincount(values, minlength=32))
    assert_follows(np.bincount(fillers[(fillers > 0) & (fillers < 32)] - 1, minlength=31))


def test_original_fillers_are_often_keys_of_the_row():
    batch = first_rows("mqar/small-original")
    tokens = batch.inputs.astype(int) - 1
    fillers = np.where(batch.labels == NO_LABEL, tokens, -1)[:, 16:]
    hits = (fillers[:, :, None] == tokens[:, None, 0:16:2]).any(axis=2).sum() / len(batch)
    assert abs(hits - 40 * 8 / 64) < 0.3  # P (L - 3P) / V


def test_test_distributions_are_the_slices_of_zoology():
    slices = TASK.test_distributions(ZOOLOGY[0])
    assert list(slices) == [
        *("len64-pairs8", "len64-pairs16", "len128-pairs32"),
        *("len256-pairs64", "len512-pairs128", "len1024-pairs256"),
    ]
    config = TASK.test_distributions(TASK.configs[0])["len128-pairs16"]
    batch = TASK.generate(config, BlockRandom(1, 0, 1))
    assert batch.inputs.shape == (1024, 128)
    assert ((batch.labels != NO_LABEL).sum(axis=1) == 16).all()


@pytest.mark.parametrize("text", ["", "_ _", "v1 k1", "k1 v1 x"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid mqar sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="at least 4 \\* pairs"):
        MqarConfig(name="wrong", length=(64, 64), vocab_size=64, pairs=17)


@pytest.mark.parametrize("config", ZOOLOGY[::3], ids=lambda config: config.name)
def test_zoology_agrees_with_the_definition(config):
    batch, labels = TASK.generate(config, BlockRandom(1, 0, 1))[:5], TASK.schema(config).labels
    texts = config.vocabulary.decode_batch(batch.inputs)
    expected = [[None if each == NO_LABEL else labels[each] for each in row] for row in batch.labels]
    assert TASK.solve_batch(texts, config) == expected

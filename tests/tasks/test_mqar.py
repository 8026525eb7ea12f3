"""MQAR: pairs, queries, fillers and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.mqar import TASK, MqarConfig, MqarMixConfig
from seqhub.tasks.ref import TaskRef
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


SLICES = ["64-4", "64-8", "64-16", "128-32", "256-64", "512-128", "1024-256"]


def test_test_distributions_are_the_slices_of_zoology():
    for name in ("zoology", "zoology-random", "zoology-original"):
        assert list(TaskRef.parse(f"mqar/{name}").test_distributions) == SLICES
    assert list(TaskRef.parse("mqar/zoology-64-4").test_distributions) == SLICES[1:]
    config = TASK.test_distributions(TASK.configs[0])["128-16"]
    batch = TASK.generate(config, BlockRandom(1, 0, 1))
    assert batch.inputs.shape == (1024, 128)
    assert ((batch.labels != NO_LABEL).sum(axis=1) == 16).all()


@pytest.mark.parametrize("name", ["zoology", "zoology-random"])
def test_the_mix_has_the_frequencies_of_its_slices(name):
    batch = first_rows(f"mqar/{name}", rows=8192)
    queries = (batch.labels != NO_LABEL).sum(axis=1)
    slices = ((64, 4), (128, 8), (256, 16), (256, 32), (256, 64))
    counts = [int(((batch.lengths == steps) & (queries == pairs)).sum()) for steps, pairs in slices]
    assert sum(counts) == len(batch)
    assert_follows(np.array(counts), np.array([5, 1, 1, 1, 1]))


def test_safe_fillers_of_the_mix_are_not_keys_of_the_row():
    batch = first_rows("mqar/zoology-random")
    tokens = batch.inputs.astype(int) - 1
    for number in range(0, 2048, 97):
        pairs = int((batch.labels[number] != NO_LABEL).sum())
        row, labels = tokens[number, : batch.lengths[number]], batch.labels[number, : batch.lengths[number]]
        keys = row[0 : 2 * pairs : 2]
        fillers = row[2 * pairs :][labels[2 * pairs :] == NO_LABEL]
        assert len(set(keys)) == pairs
        assert not set(keys) & set(fillers)
        assert fillers.max() < 8192
        assert sorted(keys) == sorted(row[labels != NO_LABEL])


def test_a_slice_has_the_rows_of_the_test_distribution_of_the_mix():
    one, other = (first_rows(f"mqar/{name}", "test", 1024) for name in ("zoology-256-64", "zoology@256-64"))
    np.testing.assert_array_equal(one.inputs, other.inputs)


@pytest.mark.parametrize("text", ["", "_ _", "v1 k1", "k1 v1 x"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid mqar sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="at least 4 \\* pairs"):
        MqarConfig(name="wrong", length=(64, 64), vocab_size=64, pairs=17)
    for mix in (((64, 4, 0),), ((64, 4, 1), (128, 8, 1)), ((64, 17, 1),)):
        with pytest.raises(InvalidConfigError):
            MqarMixConfig(name="wrong", length=(64, 64), vocab_size=64, pairs=4, mix=mix)

"""Repeated recall: assignments, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.mqar_repeated import TASK, MqarRepeatedConfig
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from tests.helpers.task_cases import first_rows


def test_each_key_is_assigned_four_times_and_queried_once():
    batch = first_rows("mqar_repeated/back4", rows=100)
    for tokens, labels in zip(batch.inputs.astype(int), batch.labels, strict=True):
        keys, counts = np.unique(tokens[0:64:2], return_counts=True)
        assert counts.tolist() == [4] * 8
        assert sorted(tokens[labels != NO_LABEL]) == keys.tolist()


def test_longer_test_distributions():
    found = TASK.test_distributions(TASK.configs[2])
    assert [(config.length, config.back) for config in found.values()] == [((512, 512), 3), ((768, 768), 3)]
    assert TASK.generate(found["len512"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 512)


@pytest.mark.parametrize("text", ["", "k1 _", "k1 v1 k2 _", "k1 v1 x"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid mqar_repeated sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="back <= times"):
        MqarRepeatedConfig(name="wrong", length=(256, 256), back=5)

"""Induction heads: places of the special symbol, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.induction import TASK, InductionConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows


def test_the_special_symbol_is_anywhere():
    characters = first_rows("induction/mamba", rows=4096).inputs
    assert ((characters == ord("#")).sum(axis=1) == 2).all()
    assert_follows(np.bincount((characters == ord("#")).argmax(axis=1), minlength=254))


def test_test_distributions_double_the_length():
    found = TASK.test_distributions(TASK.configs[1])
    assert [config.length[0] for config in found.values()] == [64 << k for k in range(9)]
    assert TASK.generate(found["len512"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 512)


@pytest.mark.parametrize("text", ["", "#", "##", "a#b", "a#b#c#", "#z#"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid induction sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="3 <= shortest"):
        InductionConfig(name="wrong", length=(2, 2))

"""Selective copying: places of the symbols, and test distributions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.selective_copy import TASK, SelectiveCopyConfig
from tests.helpers.task_cases import assert_follows, first_rows


def test_all_places_are_equally_probable():
    steps = np.nonzero(first_rows("selective_copy/l256").inputs[:, :256] < ord("o"))
    symbols = first_rows("selective_copy/l256").inputs[:, :256] != ord(".")
    assert len(steps[0]) == 256 * 2048
    assert (symbols.sum(axis=1) == 16).all()
    assert_follows(symbols.sum(axis=0))


def test_blanks_of_mad_are_inserted_before_symbols():
    characters = first_rows("selective_copy/mad").inputs
    assert (characters[:, 239] == ord("?")).all()
    assert (characters[:, 238] != ord(".")).all()
    first = (characters != ord(".")).argmax(axis=1)  # number of the 223 blanks before the first symbol
    assert abs(first.mean() - 223 / 16) < 0.5
    assert abs(first.var() - 223 * 15 / 256) < 2


def test_longer_test_distributions():
    found = TASK.test_distributions(TASK.configs[0])
    assert {name: config.length[0] for name, config in found.items()} == {
        "len512": 529,
        "len1024": 1041,
        "len4096": 4113,
    }
    assert TASK.generate(found["len512"], BlockRandom(1, 0, 1)).inputs.shape == (1024, 529)


@pytest.mark.parametrize("text", ["", "?", "ab", "a?..", "a?.?.", "z?."])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid selective_copy sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one length above"):
        SelectiveCopyConfig(name="wrong", length=(33, 33))

"""Even pairs: examples and lengths of the sources."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.even_pairs import TASK
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows

CONFIG = TASK.configs[0]


def test_example_of_the_paper():
    assert TASK.solve("aabba") == "even"  # one ab and one ba


def test_lengths_and_symbols_are_uniform():
    batch = first_rows("even_pairs/binary", rows=20_000)
    assert_follows(np.bincount(batch.lengths, minlength=41)[3:])
    assert_follows(np.bincount(batch.inputs[batch.inputs > 0] - ord("a"), minlength=2))


def test_models_are_tested_on_longer_strings():
    tests = TASK.test_distributions(CONFIG)
    assert set(tests) == {"len40-256", "len41-500", "len256", "len512"}
    for name, test in tests.items():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))
        assert test.name == name
        assert test.length[0] <= batch.lengths.min() <= batch.lengths.max() <= test.length[1]
        assert [TASK.labels[label] for label in batch.labels[:20]] == TASK.solve_batch(batch.texts()[:20])


@pytest.mark.parametrize("text", ["", "a", "abc"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid even_pairs sequence"):
        TASK.solve(text)

"""Missing duplicate: examples of the source, the hidden position and longer sequences."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.missing_duplicate import TASK, MissingDuplicateConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows

CONFIG = TASK.configs[0]


def test_examples_of_the_source():
    assert [TASK.solve(text) for text in ("01100?10", "1011?1", "?0", "1?")] == ["1", "0", "0", "1"]


def test_every_position_is_hidden_with_equal_probability():
    config = MissingDuplicateConfig(name="ten", length=(10, 10))
    batch = TASK.generate(config, BlockRandom(1, 0, 8))
    assert_follows(np.bincount(np.nonzero(batch.inputs == ord("?"))[1], minlength=10))


def test_lengths_are_uniform():
    batch = first_rows("missing_duplicate/binary", rows=8192)
    assert_follows(np.bincount(batch.lengths // 2, minlength=21)[1:])
    assert ((batch.inputs == ord("?")).sum(axis=1) == 1).all()


def test_models_are_tested_on_longer_sequences():
    tests = TASK.test_distributions(CONFIG)
    assert {name: test.length for name, test in tests.items()} == {"len42-100": (42, 100), "len42-500": (42, 500)}
    for test in tests.values():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))
        assert [TASK.labels[label] for label in batch.labels[:20]] == TASK.solve_batch(batch.texts()[:20])


@pytest.mark.parametrize("text", ["", "?", "01", "0101", "01?", "?1?1", "0?10", "??", "012?"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid missing_duplicate sequence"):
        TASK.solve(text)


def test_odd_lengths_are_errors():
    with pytest.raises(InvalidConfigError, match="even lengths"):
        MissingDuplicateConfig(name="wrong", length=(2, 41))

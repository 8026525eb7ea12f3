"""Parity: examples and lengths of the sources."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.parity import TASK
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from tests.helpers.task_cases import assert_follows, first_rows


def test_examples_of_the_definition():
    assert [TASK.solve(text) for text in ("0", "1", "00000", "111", "1001")] == ["even", "odd", "even", "odd", "even"]
    assert TASK.solve_batch(["110"], TASK.configs[1]) == [["odd", "even", "even"]]


def test_lengths_are_uniform():
    lengths = first_rows("parity/every", rows=20_000).lengths
    assert_follows(np.bincount(lengths, minlength=41)[3:])


@pytest.mark.parametrize("config", TASK.configs, ids=lambda config: config.name)
def test_models_are_tested_on_longer_strings(config):
    tests = TASK.test_distributions(config)
    assert {name: test.length for name, test in tests.items()} == {
        "len40-256": (40, 256), "len41-500": (41, 500), "len256": (256, 256), "len512": (512, 512)
    }  # fmt: skip
    for name, test in tests.items():
        assert (test.name, test.every_step) == (name, config.every_step)
        batch = TASK.generate(test, BlockRandom(1, 0, 1))
        texts = batch.texts()[:20]
        solved = TASK.solve_batch(texts, test)
        for text, target, labels in zip(texts, solved, batch.labels[:20], strict=True):
            names = [target] if isinstance(target, str) else target
            assert names == [TASK.labels[label] for label in np.atleast_1d(labels) if label != NO_LABEL]
            assert test.length[0] <= len(text) <= test.length[1]


@pytest.mark.parametrize("text", ["", "012", "0 1"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid parity sequence"):
        TASK.solve(text)

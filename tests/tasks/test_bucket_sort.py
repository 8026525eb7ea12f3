"""Bucket sort: examples of the source and longer strings."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.bucket_sort import TASK
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from tests.helpers.task_cases import assert_follows, first_rows

CONFIG = TASK.configs[0]


@pytest.mark.parametrize(("string", "answer"), [("10204112", "00111224"), ("1110001", "0001111"), ("4", "4")])
def test_examples_of_the_source(string, answer):
    assert TASK.answer(string) == answer
    assert TASK.solve(string + "_" * len(answer)) == [None] * len(string) + list(answer)


def test_lengths_and_symbols_are_uniform():
    batch = first_rows("bucket_sort/k5", rows=8192)
    assert_follows(np.bincount(batch.lengths // 2, minlength=41)[1:])
    symbols = batch.inputs[(batch.inputs >= ord("0")) & (batch.inputs <= ord("9"))]
    assert_follows(np.bincount(symbols - ord("0"), minlength=len(TASK.labels)))


def test_models_are_tested_on_longer_strings():
    tests = TASK.test_distributions(CONFIG)
    assert {name: test.symbols for name, test in tests.items()} == {"len41-100": (41, 100), "len41-500": (41, 500)}
    for name, test in tests.items():
        assert (test.name, test.length) == (name, (2 * test.symbols[0], 2 * test.symbols[1]))
        batch = TASK.generate(test, BlockRandom(1, 0, 1))[:20]
        for text, labels in zip(batch.texts(), batch.labels, strict=True):
            names = [None if label == NO_LABEL else TASK.labels[label] for label in labels]
            assert names[: len(text)] == TASK.solve(text)


@pytest.mark.parametrize("text", ["", "_", "01", "01_", "01___", "51__"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid bucket_sort sequence"):
        TASK.solve(text)

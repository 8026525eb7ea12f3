"""Reverse words: words, lengths and errors."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.reverse_words import TASK
from tests.helpers.task_cases import assert_follows, first_examples, first_rows


def test_examples_of_the_definition() -> None:
    assert TASK.solve("cold") == "cold"
    assert TASK.solve("cold dark night") == "night dark cold"


def test_words_and_lengths_are_uniform() -> None:
    batch = first_rows("reverse_words/short", rows=8_192)
    assert_follows(np.bincount(batch.lengths, minlength=11)[2:])
    assert_follows(np.bincount(batch.inputs[batch.inputs > 0], minlength=41)[1:])


def test_models_are_tested_on_longer_sentences() -> None:
    for name, (low, high) in {"len11-20": (11, 20), "len21-40": (21, 40)}.items():
        for text, target in first_examples(f"reverse_words/short@{name}", "test"):
            assert low <= len(text.split(" ")) <= high
            assert target.split(" ") == text.split(" ")[::-1]


@pytest.mark.parametrize(("text", "position"), [("", 0), ("cold  night", 1), ("cold nacht", 1)])
def test_unknown_words_are_errors(text: str, position: int) -> None:
    with pytest.raises(InvalidInputError, match=f"at position {position}: must be a word of reverse_words"):
        TASK.solve(text)

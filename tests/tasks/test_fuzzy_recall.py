"""Fuzzy recall: sizes of motifs, and test distributions."""

import re

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.fuzzy_recall import TASK, FuzzyRecallConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import first_rows


@pytest.mark.parametrize(("split", "expected"), [("train", {1, 2, 3}), ("validation", {3}), ("test", {3})])
def test_sizes_of_the_motifs(split, expected):
    texts = first_rows("fuzzy_recall/mad", split, rows=200).texts()
    assert {len(key) for text in texts for key in re.findall("[a-g]+", text)} == expected
    values = [value for text in texts for value in re.findall("[A-H]+", text[:100])]
    assert {len(value) for value in values} == {1, 2, 3}
    assert all(len(set(value)) == len(value) for value in values)


def test_the_last_key_was_seen_before():
    batch = first_rows("fuzzy_recall/mad")
    assert (batch.labels[:, -1] >= 0).all()
    assert (batch.inputs[:, 16:] != ord(".")).all()


def test_a_repeated_key_is_scored():
    assert TASK.solve("aBaBa") == [None, None, "B", None, "B"]
    assert TASK.solve("abABCabABCabAB")[5:] == [None, "A", "B", "C", None, None, "A", "B", "C"]


def test_longer_test_distributions():
    found = TASK.test_distributions(TASK.configs[0])
    assert list(found) == ["len256", "len512", "len1024"]
    batch = TASK.generate(found["len256"], BlockRandom(1, 0, 1, "test"))
    assert batch.inputs.shape == (1024, 256)
    for text, labels in zip(batch.texts()[:20], batch.labels, strict=False):
        np.testing.assert_array_equal([-100 if each is None else ord(each) - 65 for each in TASK.solve(text)], labels)


@pytest.mark.parametrize("text", ["", "a", "aA", "aAb", "aAaBa", "aA.a", "aAaA", "zAz", "A"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid fuzzy_recall sequence"):
        TASK.solve(text)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="one length, at least 32"):
        FuzzyRecallConfig(name="wrong", length=(16, 16))

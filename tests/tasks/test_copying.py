"""Copying: the three tasks, their chance levels and longer sequences."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.copying import TASK, CopyingConfig
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import Split
from tests.helpers.task_cases import assert_follows, first_rows

CONFIGS = {config.name: config for config in TASK.configs}
each_config = pytest.mark.parametrize("name", CONFIGS)


def test_memory_has_the_form_of_the_paper():
    """Ten letters, T - 1 blanks, a delimiter and ten blanks: T + 20 steps."""
    texts = first_rows("copying/memory").texts()
    assert {len(text) for text in texts} == {120}
    assert {text[10:] for text in texts} == {"_" * 99 + "|" + "_" * 10}


def test_strings_have_uniform_lengths_and_letters():
    batch = first_rows("copying/string", rows=8192)
    assert_follows(np.bincount(batch.lengths // 2, minlength=65)[1:])
    letters = batch.inputs[batch.inputs >= ord("a")]
    assert_follows(np.bincount(letters[letters <= ord("z")] - ord("a"), minlength=26))


def test_repeats_and_symbols_are_uniform_and_independent():
    batch = first_rows("copying/repeat", rows=8192)
    ids = TASK.schema(CONFIGS["repeat"]).vocabulary.ids
    symbols = ((batch.inputs > 0) & (batch.inputs <= 256)).sum(axis=1)
    repeats = (batch.inputs == ids["x"]).sum(axis=1)
    assert_follows(np.bincount(10 * (symbols - 1) + repeats - 1, minlength=100))
    assert ((batch.labels != NO_LABEL).sum(axis=1) == symbols * repeats + 1).all()
    share = (batch.labels == 256).sum() / (batch.labels != NO_LABEL).sum()
    assert TASK.chance(CONFIGS["repeat"]) == 1 / 31.25
    assert share == pytest.approx(1 / 31.25, rel=0.03)


@each_config
def test_models_are_tested_on_longer_sequences(name):
    tests = TASK.test_distributions(CONFIGS[name])
    assert (
        set(tests)
        == {
            "string": {"symbols128", "symbols256", "symbols512"},
            "memory": {"delay200", "delay300", "delay500"},
            "repeat": {"symbols11-20", "repeats11-20"},
        }[name]
    )
    for key, test in tests.items():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))[:10]
        schema = TASK.schema(test)
        assert schema.labels == Split(f"copying/{name}").schema.labels
        assert test.name == key
        for ids, labels, length in zip(batch.inputs, batch.labels, batch.lengths, strict=True):
            text = ids.tobytes().rstrip(b"\0").decode() if name != "repeat" else schema.vocabulary.decode(ids)
            names = [None if label == NO_LABEL else schema.labels[label] for label in labels[:length]]
            assert names == TASK.solve(text)
            assert test.length[0] <= length <= test.length[1]


@pytest.mark.parametrize("text", ["", "a|", "ab|_", "|", "A|_", "11000010 x _", "1100 x _ _", "11000010 _ _"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid copying sequence"):
        TASK.solve(text)


def test_ranges_need_at_least_one_symbol():
    with pytest.raises(InvalidConfigError, match="1 <= low <= high"):
        CopyingConfig(name="wrong", length=(1, 3), kind="string", symbols=(0, 1))

"""Stack manipulation: examples of the source, distributions and longer sequences."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.stack_manipulation import TASK, StackManipulationConfig
from tests.helpers.task_cases import assert_follows, first_rows

CONFIG = TASK.configs[0]


@pytest.mark.parametrize(("symbols", "stack"), [("0110bxx", "110"), ("110xxx", ""), ("1xxxa", "0"), ("01", "10")])
def test_examples_of_the_source(symbols, stack):
    blanks = len(symbols) + 1
    answer = [*stack, "end"]
    expected = [None] * len(symbols) + answer + [None] * (blanks - len(answer))
    assert TASK.solve(symbols + "_" * blanks) == expected


def test_initial_stacks_and_actions_are_uniform():
    config = StackManipulationConfig(name="twelve", length=(25, 25), symbols=(12, 12))
    batch = TASK.generate(config, BlockRandom(1, 0, 8))
    bits = (batch.inputs == ord("0")) | (batch.inputs == ord("1"))
    assert_follows(np.bincount(bits.sum(axis=1), minlength=12)[1:])  # 1 to 11
    assert_follows(np.array([(batch.inputs == ord(action)).sum() for action in "xab"]))
    assert_follows(np.array([(batch.inputs == ord(bit)).sum() for bit in "01"]))


@pytest.mark.parametrize("symbols", [(1, 40), (1, 1), (2, 2), (3, 3), (41, 100)])
def test_chance_is_the_share_of_the_most_frequent_class(symbols):
    config = StackManipulationConfig(
        name="test", length=(2 * symbols[0] + 1, 2 * symbols[1] + 1), symbols=symbols
    )  # fmt: skip
    labels = TASK.generate(config, BlockRandom(1, 0, 8)).labels
    counts = np.bincount(labels[labels != NO_LABEL])
    assert counts.max() / counts.sum() == pytest.approx(TASK.chance(config), abs=0.01)


def test_lengths_are_uniform():
    lengths = first_rows("stack_manipulation/binary", rows=8192).lengths
    assert_follows(np.bincount(lengths // 2, minlength=41)[1:])


def test_models_are_tested_on_longer_sequences():
    tests = TASK.test_distributions(CONFIG)
    assert {name: test.length for name, test in tests.items()} == {"len41-100": (83, 201), "len41-500": (83, 1001)}
    for test in tests.values():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))[:20]
        for text, labels in zip(batch.texts(), batch.labels, strict=True):
            names = [None if label == NO_LABEL else TASK.labels[label] for label in labels]
            assert names[: len(text)] == TASK.solve(text)


@pytest.mark.parametrize("text", ["", "_", "0", "0_", "x__", "0x0____", "0x____", "2__"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid stack_manipulation sequence"):
        TASK.solve(text)


def test_the_length_follows_from_the_number_of_symbols():
    with pytest.raises(InvalidConfigError, match=r"a length of 2 \* symbols \+ 1"):
        StackManipulationConfig(name="wrong", length=(2, 80), symbols=(1, 40))

"""Cycle navigation: examples of the source, chance level and longer sequences."""

import numpy as np
import pytest

from seqhub.errors import InvalidInputError
from seqhub.tasks.cycle_navigation import TASK
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows

CONFIG = TASK.configs[0]


def test_examples_of_the_definition():
    assert [TASK.solve(text) for text in ("+-0--", "+++-", "0", "-", "+++++")] == ["3", "2", "0", "4", "0"]


def test_moves_are_uniform():
    batch = first_rows("cycle_navigation/ring5", rows=20_000)
    counts = [int((batch.inputs == ord(move)).sum()) for move in TASK.symbols]
    assert_follows(np.array(counts))


def test_position_0_is_the_most_probable():
    batch = first_rows("cycle_navigation/ring5", rows=200_000)
    share = (batch.labels == 0).mean()
    assert TASK.chance(CONFIG) == pytest.approx(0.2035, abs=1e-4)
    assert share == pytest.approx(TASK.chance(CONFIG), abs=4 * 0.4 / len(batch) ** 0.5)


def test_models_are_tested_on_longer_sequences():
    tests = TASK.test_distributions(CONFIG)
    assert set(tests) == {"len40-256", "len41-500", "len256", "len512"}
    for test in tests.values():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))
        assert [TASK.labels[label] for label in batch.labels[:20]] == TASK.solve_batch(batch.texts()[:20])
    assert TASK.chance(tests["len512"]) == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["", "012", "+ -"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid cycle_navigation sequence"):
        TASK.solve(text)

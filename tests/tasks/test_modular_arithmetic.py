"""Modular arithmetic: examples of the source, evaluation order, chance levels and longer expressions."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.modular_arithmetic import TASK, ModularArithmeticConfig
from seqhub.tasks.rng import BlockRandom
from tests.helpers.task_cases import assert_follows, first_rows

CONFIGS = {config.name: config for config in TASK.configs}
each_config = pytest.mark.parametrize("name", CONFIGS)


def test_examples_of_the_code_of_the_paper():
    assert [TASK.solve(text) for text in ("1+2*3", "1-1-1", "0*1+4*3-2")] == ["2", "4", "0"]
    assert [TASK.solve(text) for text in ("-4", "(-4)", "((2*-3)-(1+1))", "(0-(2-3))")] == ["1", "1", "2", "1"]
    assert [TASK.solve(text, left=True) for text in ("1+2*3", "2-4*3+1", "4")] == ["4", "0", "4"]


@pytest.mark.parametrize("name", ["add", "precedence", "brackets"])
def test_python_evaluates_expressions_to_the_same_value(name):
    batch = first_rows(f"modular_arithmetic/{name}", rows=500)
    for text, label in zip(batch.texts(), batch.labels, strict=True):
        assert eval(text) % 5 == label


@each_config
def test_lengths_are_uniform(name):
    lengths = first_rows(f"modular_arithmetic/{name}", rows=8192).lengths
    first, last = CONFIGS[name].length
    assert_follows(np.bincount(lengths, minlength=last + 1)[first :: 1 if name == "brackets" else 2])


@each_config
def test_0_is_the_most_probable_value(name):
    chance = TASK.chance(CONFIGS[name])
    batch = first_rows(f"modular_arithmetic/{name}", rows=8192)
    assert (batch.labels == 0).mean() == pytest.approx(chance, abs=4 * 0.45 / len(batch) ** 0.5)
    assert chance == pytest.approx({"add": 0.2, "left": 0.273, "precedence": 0.2, "brackets": 0.28}[name], abs=0.02)


def test_brackets_are_divided_uniformly():
    """An expression of nine symbols has an operand of one to five symbols on the left."""
    config = ModularArithmeticConfig(name="nine", length=(9, 9), kind="brackets")
    operands = []
    for text in TASK.generate(config, BlockRandom(1, 0, 2)).texts():
        depth = np.cumsum([(symbol == "(") - (symbol == ")") for symbol in text])
        outer = [i for i in range(2, 8) if depth[i] == 1 and text[i] in "+-*" and text[i - 1] not in "(+-*"]
        operands.append(outer[0] - 1)
    assert_follows(np.bincount(operands, minlength=6)[1:])


@each_config
def test_models_are_tested_on_longer_expressions(name):
    tests = TASK.test_distributions(CONFIGS[name])
    assert set(tests) == (
        {"len40-256", "len41-500", "len256", "len512"} if name == "brackets" else {"len41-255", "len41-499", "len255"}
    )
    for test in tests.values():
        batch = TASK.generate(test, BlockRandom(1, 0, 1))
        assert [TASK.labels[label] for label in batch.labels[:20]] == TASK.solve_batch(batch.texts()[:20], test)
        assert 0.2 <= TASK.chance(test) < 0.32


@pytest.mark.parametrize("text", ["", "5", "1+", "(1", "1)", "+1", "1 + 1", "()", "12"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid modular_arithmetic sequence"):
        TASK.solve(text)
    with pytest.raises(InvalidInputError, match="is not a valid modular_arithmetic sequence"):
        TASK.solve(text, left=True)


def test_even_lengths_need_brackets():
    with pytest.raises(InvalidConfigError, match="odd lengths without brackets"):
        ModularArithmeticConfig(name="wrong", length=(3, 40), kind="left")

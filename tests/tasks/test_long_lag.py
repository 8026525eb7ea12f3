"""Long time lags: the three experiments and their distributions."""

from math import isclose

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.long_lag import TASK, LongLagConfig
from seqhub.tasks.splits import Split
from tests.helpers.task_cases import assert_follows, first_rows

CONFIGS = {config.name: config for config in TASK.configs}


def test_configs_agree_with_the_paper():
    assert len(CONFIGS) == 13
    assert {name: config.p for name, config in CONFIGS.items() if config.kind != "2c"} == {
        "2a-p4": 4, "2a-p10": 10, "2a-p100": 100, "2b-p100": 100,
    }  # fmt: skip
    rows = [(config.q, config.p, TASK.paper_sequences[name]) for name, config in CONFIGS.items() if config.kind == "2c"]
    assert rows == [
        (50, 50, 30_000), (100, 100, 31_000), (200, 200, 33_000), (500, 500, 38_000), (1000, 1000, 49_000),
        (1000, 500, 49_000), (1000, 200, 75_000), (1000, 100, 135_000), (1000, 50, 203_000),
    ]  # fmt: skip
    for config in CONFIGS.values():
        stopping_rule = TASK.stopping_rule(config)
        assert (stopping_rule.rule, stopping_rule.window) == ("streak", 10_000)
        assert stopping_rule.tolerance == (0.2 if config.kind == "2c" else 0.25)


def test_2a_has_two_sequences():
    for name in ("2a-p4", "2a-p100"):
        p = CONFIGS[name].p
        middle = " ".join(f"a{k}" for k in range(1, p))
        split = Split(f"long_lag/{name}")
        texts = [example.inputs for example in split.examples(split.blocks(0, 8))]
        assert set(texts) == {f"x {middle} x", f"y {middle} y"}
        assert_follows(np.unique(texts, return_counts=True)[1])
        assert len(split.schema.vocabulary) == p + 1


@pytest.mark.parametrize("name", ["2b-p100", "2c-q50-p50", "2c-q1000-p1000"])
def test_noise_is_uniform_and_neighbours_are_independent(name):
    config, vocabulary = CONFIGS[name], CONFIGS[name].vocabulary
    count = config.p - (config.kind == "2b")
    batch = first_rows(f"long_lag/{name}", rows=4096)
    start = 1 if config.kind == "2b" else 2
    noise = batch.inputs[:, start : start + (config.q or config.p - 1)].astype(int) - vocabulary.ids["a1"]
    assert noise.min() == 0
    assert noise.max() == count - 1 == len(vocabulary) - vocabulary.ids["a1"]
    assert_follows(np.bincount(noise.ravel(), minlength=count))
    coarse = noise * 10 // count  # ten kinds of nearly equal size
    shares = np.bincount(np.arange(count) * 10 // count) / count
    for first in (0, 1):  # within a word of two symbols, and between words
        pairs = coarse[:, first:-1:2] * 10 + coarse[:, first + 1 :: 2]
        assert_follows(np.bincount(pairs.ravel(), minlength=100), np.outer(shares, shares).ravel())


def test_the_length_of_2c_is_geometric():
    for name in ("2c-q50-p50", "2c-q200-p200"):
        config, batch = CONFIGS[name], first_rows(f"long_lag/{name}", rows=20_480)
        extra = batch.lengths - config.q - 3
        counts = np.bincount(extra * 2 + batch.labels, minlength=80)
        shares = np.repeat(0.1 * 0.9 ** np.arange(30), 2)
        assert_follows(counts[:60], shares)
        assert isclose(extra.mean(), 9, abs_tol=0.3)
        assert config.length == (config.q + 3, config.q + 108)
        assert extra.max() <= 105


@pytest.mark.parametrize(
    ("text", "answer"),
    [("x a3", "x"), ("y a99 a1 a1", "y"), ("b x a1 a2 e", "x"), ("b y e", "y"), ("x a1 a2 x", None), ("y a1 y", None)],
)
def test_solve(text, answer):
    assert TASK.solve(text) == answer


@pytest.mark.parametrize(
    "text",
    ["", "x", "a1 x", "x y", "x a2 x", "x a1 a3 x", "x a1 y", "b x a1", "b a1 e", "x a1 e", "b x a1 e x", "x a0",
     "x a01", "x a1001", "x ab", "x  a1", "b x b e"],
)  # fmt: skip
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid long_lag sequence"):
        TASK.solve(text)


@pytest.mark.parametrize("numbers", [{"p": 1}, {"p": 1_001}, {"p": 4, "q": -1}])
def test_invalid_numbers_are_errors(numbers):
    with pytest.raises(InvalidConfigError, match="config 'mine' needs 2 <= p <= 1,000 and q >= 0"):
        LongLagConfig(name="mine", kind="2c", length=(5, 9), **numbers)

"""Temporal order with three symbols: configs, ranges and errors."""

from itertools import product

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks.schema import StoppingRule
from seqhub.tasks.temporal_order_3bit import TASK, TemporalOrder3BitConfig
from tests.helpers.task_cases import assert_follows, first_rows

CONFIGS = {config.name: config for config in TASK.configs}
each_config = pytest.mark.parametrize("name", CONFIGS)


def test_hard_agrees_with_the_experiment_of_the_paper():
    hard = CONFIGS["hard"]
    assert (hard.length, hard.first, hard.second, hard.third) == ((100, 110), (10, 20), (33, 43), (66, 76))
    assert dict(zip(map("".join, product("XY", repeat=3)), TASK.labels, strict=True)) == {
        "XXX": "Q", "XXY": "R", "XYX": "S", "XYY": "U", "YXX": "V", "YXY": "A", "YYX": "B", "YYY": "C",
    }  # fmt: skip
    assert TASK.paper_sequences == {"hard": 571_100}
    assert TASK.paper_wrong["hard"] * 2560 == 2
    assert TASK.stopping_rule(hard) == StoppingRule(
        rule="st3", section="5.6", tolerance=0.3, window=2_000, mean_error=0.1
    )


@each_config
def test_ranges_are_kept_and_both_ends_reached(name):
    config, batch = CONFIGS[name], first_rows(f"temporal_order_3bit/{name}", rows=20_000)
    assert (batch.lengths.min(), batch.lengths.max()) == config.length
    marked = (batch.inputs == ord("X")) | (batch.inputs == ord("Y"))
    assert set(marked.sum(axis=1).tolist()) == {3}
    steps = np.nonzero(marked)[1].reshape(-1, 3)
    for column, (low, high) in zip(steps.T, (config.first, config.second, config.third), strict=True):
        counts = np.bincount((column - low) * 8 + batch.labels, minlength=8 * (high - low + 1))
        assert_follows(counts)  # uniform for every label
    rows = np.arange(len(batch))
    assert set(batch.inputs[:, 0].tolist()) == {ord("B")}
    assert set(batch.inputs[rows, batch.lengths - 1].tolist()) == {ord("E")}


@pytest.mark.parametrize(("text", "label"), [("BXXXE", "Q"), ("BXaYbXE", "S"), ("BYYcYddE", "C")])
def test_solve(text, label):
    assert TASK.solve(text) == label


@pytest.mark.parametrize("text", ["", "B", "BXYE", "BXYXYE", "EXYXB", "BXYXa", "BXBYXE", "XYX", "bxyxe"])
def test_invalid_texts_are_errors(text):
    with pytest.raises(InvalidInputError, match="is not a valid temporal_order_3bit sequence"):
        TASK.solve(text)


@pytest.mark.parametrize(
    "ranges", [{"length": (22, 20)}, {"first": (0, 4)}, {"first": (2, 7)}, {"second": (7, 13)}, {"third": (13, 19)}]
)
def test_invalid_ranges_are_errors(ranges):
    good = {"length": (20, 22), "first": (2, 4), "second": (7, 9), "third": (13, 15)}
    TemporalOrder3BitConfig(name="mine", **good)
    with pytest.raises(InvalidConfigError, match="config 'mine' needs low <= high in each range and 0 < first"):
        TemporalOrder3BitConfig(name="mine", **(good | ranges))

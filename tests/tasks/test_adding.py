"""Adding and multiplication: positions of the marks in each paper, and hidden marks."""

import numpy as np
import pytest

from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.tasks import adding, multiplication
from seqhub.tasks.adding import AddingConfig
from seqhub.tasks.multiplication import MultiplicationConfig
from seqhub.tasks.registry import resolve
from tests.helpers.task_cases import assert_follows, first_rows

PAPER = ["adding/hs97-t100", "adding/hs97-t500", "multiplication/hs97-t100"]
ROWS = 8192


def mark_counts(task_id: str, rows: int = ROWS) -> np.ndarray:
    """Return how many rows have marker 1 at each step."""
    counts: np.ndarray = (first_rows(task_id, rows=rows).inputs[:, :, 1] == 1).sum(axis=0)
    return counts


@pytest.mark.parametrize("task_id", PAPER)
def test_positions_of_marks_agree_with_the_paper(task_id):
    shortest = resolve(task_id)[1].length[0]
    batch = first_rows(task_id, rows=ROWS)
    markers, last = batch.inputs[:, :, 1], batch.lengths - 1
    rows = np.arange(len(batch))
    assert (markers[:, 0] == -1).all()
    assert (markers[rows, last] == -1).all()
    assert (markers == -1).sum() == 2 * len(batch)
    marks = (markers == 1).sum(axis=1)
    assert set(marks.tolist()) == {1, 2}
    assert set(np.unique(markers).tolist()) == {-1, 0, 1}
    half = shortest // 2  # the first mark is on one of ten pairs, the second on one of the first half - 1 others
    at = np.arange(half)
    shares = np.where(at < 10, 0.9, 1.0) / (half - 1) + np.where(at < 10, 0.1, 0)
    counts = mark_counts(task_id)
    assert not counts[half:].any()
    assert_follows(counts[1:half], shares[1:half])
    single = (marks == 1).mean()
    expected = shares[0]
    assert abs(single - expected) < 5 * (expected / len(batch)) ** 0.5
    assert last.min() - (half - 1) == half  # the paper's shortest lag


@pytest.mark.parametrize("task_id", ["adding/urnn-t100", "adding/urnn-t200"])
def test_each_half_has_a_mark_in_urnn(task_id):
    counts = mark_counts(task_id)
    halves = (first_rows(task_id).inputs[:, :, 1] == 1).reshape(2048, 2, -1).sum(axis=2)
    assert (halves == 1).all()
    assert_follows(counts)


def test_two_different_steps_are_marked_in_tcn_at_any_distance():
    marks = first_rows("adding/tcn-t200", rows=ROWS).inputs[:, :, 1] == 1
    assert (marks.sum(axis=1) == 2).all()
    assert_follows(marks.sum(axis=0))
    first = marks.argmax(axis=1)
    distance = marks.shape[1] - 1 - marks[:, ::-1].argmax(axis=1) - first
    assert_follows(np.bincount(distance, minlength=200)[1:150], np.arange(199, 50, -1).astype(float))


@pytest.mark.parametrize(
    ("task_id", "low", "high"),
    [("adding/hs97-t100", -1, 1), ("adding/urnn-t100", 0, 1), ("multiplication/hs97-t100", 0, 1)],
)
def test_values_fill_their_range_evenly(task_id, low, high):
    values = first_rows(task_id).inputs[:, :100, 0]
    assert low <= values.min() < low + 1e-3
    assert high - 1e-3 < values.max() < high
    assert_follows(np.histogram(values, bins=64, range=(low, high))[0])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([0.5, 1.0], r"pairs of shape \(2,\): .*\(steps, 2\).*adding"),
        ([[0.5, 1.0], [float("inf"), 1.0]], "finite"),
        ([[0.5, 1.0], [0.5, 0.5]], "markers of adding: must be 0 or 1"),
        ([[0.5, -1.0], [0.5, 1.0], [0.5, 1.0]], "-1 at both ends or at neither"),
        ([[0.5, 1.0], [0.5, 0.0]], "1 pairs with marker 1: must be 2.*adding"),
        ([[0.5, 1.0], [0.5, 1.0], [0.5, 1.0]], "3 pairs with marker 1"),
        ([[0.5, -1.0], [0.5, 0.0], [0.5, -1.0]], "0 pairs with marker 1"),
    ],
)
def test_invalid_sequences_are_errors(pairs, message):
    with pytest.raises(InvalidInputError, match=message):
        adding.TASK.solve(pairs)


def test_invalid_configs_are_errors():
    with pytest.raises(InvalidConfigError, match="a fixed length, except for hs97"):
        AddingConfig(name="x", length=(100, 110), rules="tcn")
    for config in (AddingConfig, MultiplicationConfig):
        with pytest.raises(InvalidConfigError, match="20 steps or more"):
            config(name="x", length=(10, 11), **({"rules": "hs97"} if config is AddingConfig else {}))


def test_stopping_rules_are_those_of_sections_5_4_and_5_5():
    stopping_rule = {config.name: adding.TASK.stopping_rule(config) for config in adding.TASK.configs}
    assert {name for name, each in stopping_rule.items() if each is not None} == set(adding.TASK.paper_sequences)
    first = stopping_rule["hs97-t100"]
    assert (first.rule, first.tolerance, first.mean_error, first.window, first.wrong) == ("st3", 0.04, 0.01, 2000, 0)
    product = multiplication.TASK.stopping_rule(multiplication.TASK.configs[0])
    assert (product.rule, product.tolerance, product.mean_error, product.wrong) == ("st3", 0.04, None, 139)

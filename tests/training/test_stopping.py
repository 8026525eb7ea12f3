"""Stopping criteria, compared with reference implementations and known cases."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import Split
from seqhub.tasks.stopping import stopping_rule_of
from seqhub.training.stopping import Accuracy, Criteria, Criterion, St2, St3, Streak, check_stop

CUTS = st.lists(st.integers(0, 60), max_size=5)
WORST = st.lists(st.floats(0, 0.5) | st.just(float("nan")), min_size=1, max_size=60)


def met_after_updates(
    make: Callable[[], Criterion], worst: np.ndarray, mean: np.ndarray, cuts: list[int]
) -> int | None:
    """Return `met_at` after several updates, with a checkpoint between each two."""
    rule = make()
    edges = [0, *sorted(min(cut, len(worst)) for cut in cuts), len(worst)]
    for start, stop in pairwise(edges):
        copy = make()
        copy.load_state_dict(rule.state_dict())
        rule = copy
        rule.update(worst[start:stop], mean[start:stop])
    return rule.met_at


def plain_st3(
    worst: list[float], mean: list[float], window: int, tolerance: float, bound: float, wrong: int
) -> int | None:
    for end in range(window, len(worst) + 1):
        last = slice(end - window, end)
        if sum(not w < tolerance for w in worst[last]) <= wrong and sum(mean[last]) / window < bound:
            return end
    return None


@given(WORST, CUTS, st.integers(1, 8), st.integers(0, 3), st.sampled_from([0.3, 0.04]), st.randoms())
def test_st3_finds_the_first_window_for_any_update_sizes(worst, cuts, window, wrong, tolerance, random) -> None:
    means = [random.uniform(0, 0.2) for _ in worst]
    wrong = min(wrong, window)
    found = met_after_updates(lambda: St3(window, tolerance, 0.1, wrong), np.array(worst), np.array(means), cuts)
    expected = plain_st3(worst, means, window, tolerance, 0.1, wrong)
    if found != expected:  # possible only by rounding, if a mean is at the bound
        average = np.convolve(means, np.full(window, 1 / window), mode="valid")
        assert abs(average - 0.1).min() < 1e-9


def test_st3_without_a_bound_of_the_mean_counts_only_wrong_sequences() -> None:
    worst = np.array([0.5, 0.5, 0.0, 0.5, 0.0, 0.0])
    assert met_after_updates(lambda: St3(3, 0.04, None, 1), worst, np.full(6, 9.0), []) == 5
    assert met_after_updates(lambda: St3(3, 0.04, None, 0), worst, np.full(6, 9.0), []) is None
    assert met_after_updates(lambda: St3(3, 0.04, None, 3), worst, np.full(6, 9.0), []) == 3


@given(WORST, CUTS, st.integers(1, 8))
def test_streak_counts_the_sequences_before_it_for_any_update_sizes(worst, cuts, window) -> None:
    starts = (
        start for start in range(len(worst) - window + 1) if all(each < 0.25 for each in worst[start : start + window])
    )
    found = met_after_updates(lambda: Streak(window, 0.25), np.array(worst), np.zeros(len(worst)), cuts)
    assert found == next(starts, None)


def test_a_streak_is_met_at_its_end_and_does_not_change_later() -> None:
    rule = Streak(window=10, tolerance=0.2)
    rule.update(np.array([0.1, 0.2, *[0.1] * 9]), np.zeros(11))
    assert rule.met_at is None
    rule.update(np.array([0.1, 0.9]), np.zeros(2))
    assert rule.met_at == 2
    rule.update(np.full(30, 0.1), np.zeros(30))
    assert rule.met_at == 2


class FixedErrors:
    """Model with given errors, which records the texts of its rows."""

    def __init__(self, *checks: tuple[list[float], float]) -> None:
        self.checks = list(checks)
        self.texts: list[str] = []

    def errors(self, rows: Batch) -> np.ndarray:
        self.texts += rows.texts()
        worst, mean = self.checks.pop(0)
        return np.stack([np.array(worst), np.full(len(worst), mean), np.zeros(len(worst)), np.zeros(len(worst))], 1)

    def scores(self, rows: Batch) -> np.ndarray:
        raise AssertionError("st2 uses only errors")


def test_st2_uses_new_sequences_at_each_validation() -> None:
    split = Split("qrsu/easy", "validation", seed=3)
    right, near = [0.0, 0.1, 0.15], 0.02
    model = FixedErrors(
        ([0.2, 0.0, 0.2], near), (right, 0.04), ([0.0, float("nan"), 0.3], near), ([0.0, 0.2, 0.1], near)
    )
    rule = St2(split, window=3, tolerance=0.2, mean_error=0.04, wrong=1)
    for check, met in enumerate([None, None, None, 400], start=1):
        copy = St2(split, window=3, tolerance=0.2, mean_error=0.04, wrong=1)
        copy.load_state_dict(rule.state_dict())
        rule = copy
        rule.check(100 * check, model)
        assert rule.met_at == met
    rule.check(500, model)  # does not use the model, which has no errors left
    assert rule.met_at == 400
    (rows,) = split.batches(0, 12)
    assert model.texts == rows.texts()


def test_accuracy_keeps_the_first_validation() -> None:
    rule = Accuracy(0.999)
    rule.check(320, 998, 1000)
    assert rule.met_at is None
    rule.check(640, 999, 1000)
    rule.check(960, 0, 1000)
    assert rule.met_at == 640


def test_a_run_has_the_general_criteria_and_the_one_of_its_task() -> None:
    paper = stopping_rule_of("qrsu/hard")
    criteria, others = Criteria("qrsu/hard", 0.99, stopping_rule=paper), Criteria("square/fixed", 0.99)
    for each in (criteria, others):
        each.update(np.full(2_000, 0.29), np.full(2_000, 0.09))
        each.check(2_000, 98, 100, FixedErrors())
    assert criteria.met_at() == {"accuracy>=0.99": None, "st3": 2_000, "paper": 2_000}
    assert others.met_at() == {"accuracy>=0.99": None, "st3": 2_000}
    copy = Criteria("qrsu/hard", 0.99, stopping_rule=paper)
    copy.load_state_dict(criteria.state_dict())
    assert copy.met_at() == criteria.met_at()
    stops = {name: copy.met(name) for name in ("accuracy", "st3", "paper", "both", "none")}
    assert stops == {"accuracy": False, "st3": True, "paper": True, "both": False, "none": False}
    copy.check(2_320, 99, 100, FixedErrors())
    assert copy.met("both")


def test_criterion_scale_applies_the_same_rule_to_more_sequences() -> None:
    plain, double = stopping_rule_of("multiplication/hs97-t100"), stopping_rule_of("multiplication/hs97-t100", 2)
    assert plain is not None
    assert double is not None
    assert (double.window, double.wrong) == (2 * plain.window, 2 * plain.wrong)
    assert (double.rule, double.tolerance, double.mean_error) == (plain.rule, plain.tolerance, plain.mean_error)
    fewer = stopping_rule_of("multiplication/hs97-t100", 2, allowed_wrong=12)
    assert fewer is not None
    assert (fewer.window, fewer.wrong) == (4_000, 12)
    one, two = (Criteria("qrsu/hard", 0.99, stopping_rule=stopping_rule_of("qrsu/hard", n)) for n in (1, 2))
    for criteria in (one, two):
        criteria.update(np.full(4_500, 0.2), np.full(4_500, 0.05))
    assert (one.met_at()["paper"], two.met_at()["paper"]) == (2_000, 4_000)
    assert one.met_at()["st3"] == two.met_at()["st3"] == 2_000
    found = Criteria(
        "two_sequence/3b-t100-n3", 0.99, stopping_rule=stopping_rule_of("two_sequence/3b-t100-n3", 10)
    ).paper
    assert isinstance(found, St2)
    assert (found.window, found.wrong) == (2_560, 50)


@pytest.mark.parametrize(
    ("task_id", "criterion_scale", "allowed_wrong", "message"),
    [
        ("square/fixed", 2, None, "criterion_scale and allowed_wrong need a task whose source has a stopping rule"),
        ("multiplication/hs97-t100", 1, 2_001, "allowed_wrong=2001: must be 0 to 2,000"),
        ("multiplication/hs97-t100", 3, -1, "allowed_wrong=-1: must be 0 to 6,000"),
    ],
)
def test_criterion_scale_and_allowed_wrong_out_of_range(
    task_id: str, criterion_scale: int, allowed_wrong: int | None, message: str
) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        stopping_rule_of(task_id, criterion_scale, allowed_wrong)


def test_unknown_criterion_lists_the_known() -> None:
    with pytest.raises(UnknownNameError, match="no criterion 'acc'; known: accuracy, st3, paper, both, none"):
        check_stop("acc")

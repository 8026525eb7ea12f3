"""Metrics of several labels and several numbers: by hand, against their definitions, and coverage of the intervals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError
from seqhub.metrics.accumulator import MetricAccumulator
from seqhub.metrics.multi_label import metrics_by_number, multi_label_metrics, ratio_interval
from seqhub.metrics.per_example import example_metrics
from seqhub.tasks.schema import TaskSchema

NAMES = ("a", "b", "c")
LABELS = TaskSchema(step_shape=(1,), target="multi_label", labels=NAMES)
NUMBERS = TaskSchema(step_shape=(1,), target="numbers", numbers=("x", "y"), tolerance=0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30))
def test_metrics_of_labels_follow_their_definitions(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    held = random.integers(0, 2, (rows, 3)).astype(np.float32)
    logits = torch.from_numpy(random.normal(size=(rows, 3)))
    accumulator = MetricAccumulator(LABELS, rows)
    for start in range(0, rows, 7):
        part = slice(start, start + 7)
        accumulator.add(logits[part], torch.from_numpy(held[part]), torch.ones(len(held[part]), 1))
    found = accumulator.metrics()
    predicted = logits.numpy() > 0
    truth = held > 0
    both, either = (predicted & truth).sum(), predicted.sum() + truth.sum()
    assert found["micro_f1"] == pytest.approx(2 * both / either if either else 0)
    assert found["accuracy"] == pytest.approx((predicted == truth).all(axis=1).mean())
    assert found["label_accuracy"] == pytest.approx((predicted == truth).mean())
    f1 = [2 * (predicted & truth)[:, k].sum() / (predicted[:, k].sum() + truth[:, k].sum()) for k in range(3)
          if truth[:, k].any()]  # fmt: skip
    assert found["macro_f1"] == pytest.approx(np.mean(f1) if f1 else 0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(held).double())
    assert found["loss"] == pytest.approx(float(expected), rel=1e-6)
    by_row = example_metrics(LABELS, logits.float(), torch.from_numpy(held), torch.ones(rows, 1))
    assert float(by_row[:, 2].mean()) == pytest.approx(float(expected), rel=1e-4)
    assert float(by_row[:, 3].mean()) == pytest.approx(found["accuracy"])
    for low, high in (found["interval"], found["label_interval"], found["micro_interval"]):
        assert 0 <= low <= high <= 1


def test_metrics_of_numbers_follow_their_definitions() -> None:
    random = np.random.default_rng(0)
    targets = random.normal(size=(50, 2)).astype(np.float32)
    outputs = targets + random.normal(size=(50, 2)).astype(np.float32) * [0.1, 2.0]
    accumulator = MetricAccumulator(NUMBERS, 50)
    accumulator.add(torch.from_numpy(outputs), torch.from_numpy(targets), torch.ones(50, 1))
    found = accumulator.metrics()
    errors = outputs - targets
    assert found["mse"] == pytest.approx(np.square(errors).mean(), rel=1e-5)
    assert found["mean_absolute_error"] == pytest.approx(np.abs(errors).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((np.abs(errors) <= 0.5).all(axis=1).mean())
    for place, name in enumerate(NUMBERS.numbers):
        each = found["per_number"][name]
        squared = np.square(errors[:, place]).mean()
        assert each["mse"] == pytest.approx(squared, rel=1e-5)
        assert each["r2"] == pytest.approx(1 - squared / targets[:, place].var(), rel=1e-4)
        assert each["interval"][0] < each["mean_absolute_error"] < each["interval"][1]
    assert found["per_number"]["x"]["r2"] > 0.9 > found["per_number"]["y"]["r2"]


def test_a_constant_number_has_no_explained_variance() -> None:
    assert metrics_by_number(np.ones((4, 1)), np.full((4, 1), 2.0), ["x"])["x"]["r2"] == 0


def test_interval_of_micro_f1_covers_the_true_value() -> None:
    """About 95 of 100 intervals of 150 rows contain the F1 of a large population."""
    random = np.random.default_rng(3)

    def rows(number: int) -> tuple[np.ndarray, np.ndarray]:
        hard = random.random((number, 1)) < 0.3  # rows are right or wrong as a whole, as labels depend on each other
        truth = random.random((number, 5)) < 0.4
        guess = np.where(random.random((number, 5)) < np.where(hard, 0.5, 0.95), truth, ~truth)
        return 2.0 * (truth & guess).sum(axis=1), (truth.sum(axis=1) + guess.sum(axis=1)).astype(float)

    parts, wholes = rows(200_000)
    true = parts.sum() / wholes.sum()
    hits = 0
    for _ in range(300):
        low, high = ratio_interval(*rows(150))
        hits += low <= true <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_nan_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="contain NaN or infinity"):
        multi_label_metrics(np.array([[np.nan, 0.5]]), np.zeros((1, 2)), ["a", "b"])

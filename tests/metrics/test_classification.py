"""Classification metrics, compared with plain implementations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError
from seqhub.metrics.classification import classification_metrics, largest_error
from seqhub.metrics.intervals import wilson_interval


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_solves_its_equation(counts: tuple[int, int]) -> None:
    """Both ends p satisfy |share - p| = z sqrt(p (1 - p) / n), Wilson's definition."""
    correct, total = counts
    share = correct / total
    for end in wilson_interval(correct, total):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / total), abs=1e-9)
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= share <= high <= 1


@pytest.mark.parametrize(("correct", "total"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_rejected(correct: int, total: int) -> None:
    with pytest.raises(InvalidInputError):
        wilson_interval(correct, total)


def test_metrics_against_a_plain_loop() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(300, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = random.integers(0, 4, 300)
    found = classification_metrics(probabilities, labels, "QRSU")
    wider = classification_metrics(probabilities, labels, "QRSU", tolerance=0.6)
    assert found["abs_wrong"] > wider["abs_wrong"] == int((largest_error(probabilities, labels) >= 0.6).sum())
    wrong_by_abs = sum(
        any(abs(p - (k == label)) >= 0.3 for k, p in enumerate(row))
        for row, label in zip(probabilities, labels, strict=True)
    )
    mean_error = np.mean(
        [abs(p - (k == label)) for row, label in zip(probabilities, labels, strict=True) for k, p in enumerate(row)]
    )
    assert found["examples"] == 300
    assert found["accuracy"] == np.mean(probabilities.argmax(axis=1) == labels)
    assert found["loss"] == pytest.approx(-np.mean(np.log(probabilities[np.arange(300), labels])))
    assert found["abs_wrong"] == wrong_by_abs
    assert found["abs_error"] == pytest.approx(mean_error)
    assert sum(map(sum, found["confusion"])) == 300
    for i, name in enumerate("QRSU"):
        assert found["per_class"][name] == {"correct": found["confusion"][i][i], "total": int((labels == i).sum())}


def test_the_loss_of_a_wrong_prediction_with_probability_one_is_finite() -> None:
    found = classification_metrics(np.array([[1.0, 0.0]]), np.array([1]), "AB")
    assert math.isfinite(found["loss"])


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [(np.ones((2, 3)), "3 classes|2 labels"), (np.full((2, 2), np.nan), "2 of 2 rows of probabilities contain NaN")],
)
def test_invalid_probabilities_are_rejected(probabilities: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        classification_metrics(probabilities, np.array([0, 1]), "AB")


def test_largest_error_is_symmetric_in_two_classes() -> None:
    p = np.linspace(0, 1, 11)
    np.testing.assert_allclose(largest_error(np.stack([p, 1 - p], axis=1), np.zeros(11, int)), 1 - p)

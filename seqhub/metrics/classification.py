"""Classification metrics from probabilities and labels."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.metrics.intervals import wilson_interval

TOLERANCE = 0.3  # Hochreiter & Schmidhuber (1997), section 5.6: largest error of a correct output

_ROUNDING = Fraction(1, 10**6)  # upper bound on the single-precision rounding error of a share of correct steps


def share_of_rows(share: float, rows: int) -> Fraction:
    """Return a share of a number of rows as an exact fraction; the share is its shortest decimal representation.

    >>> share_of_rows(0.1, 10), int(share_of_rows(0.29, 100)), int(0.29 * 100)
    (Fraction(1, 1), 29, 28)
    """
    return Fraction(repr(float(share))) * rows


def reaches(threshold: float, correct: float, rows: int) -> bool:
    """Return whether the number of correct rows is at least the share `threshold` of all rows.

    Whole numbers are compared exactly. A sum of shares, as for a class per step, has the rounding error of single
    precision and is compared up to a millionth of the rows.

    Args:
        threshold: Share, in (0, 1].
        correct: Number of correct rows, or sum of their shares of correct steps, 0 to `rows`.
        rows: Number of rows.

    >>> reaches(0.9, 9, 10), reaches(0.9, 8, 10), reaches(0.999, 9990, 10_000), reaches(0.999, 9989, 10_000)
    (True, False, True, False)
    """
    given = Fraction(correct)
    slack = 0 if given.denominator == 1 else _ROUNDING * rows
    return given + slack >= share_of_rows(threshold, rows)


def scaled_score(accuracy: float, chance: float) -> float:
    """Return an accuracy on a scale on which the chance level is 0 and 1 is perfect; 0 below the chance level.

    Scores of tasks with different chance levels can be averaged. Source: Grazzi et al. (2025), tables 3 and 5.

    Args:
        accuracy: Accuracy, 0 to 1.
        chance: Accuracy of the best constant prediction, 0 to below 1.

    >>> [scaled_score(accuracy, 0.25) for accuracy in (0.1, 0.25, 0.625, 1.0)]
    [0.0, 0.0, 0.5, 1.0]
    """
    return max(0.0, (accuracy - chance) / (1 - chance))


def largest_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.floating]:
    """Return the largest error of the outputs of each example, (N,), with target 1 for the label and 0 elsewhere.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,), class indices.

    >>> largest_error(np.array([[0.8, 0.2], [0.6, 0.4]]), np.array([0, 1])).round(3).tolist()
    [0.2, 0.6]
    """
    targets = np.zeros_like(probabilities)
    targets[np.arange(len(labels)), labels] = 1
    worst: NDArray[np.floating] = np.abs(probabilities - targets).max(axis=1)
    return worst


def class_probabilities(logits: NDArray[np.floating], logistic: bool = False) -> NDArray[np.float64]:
    """Return the outputs for each class in double precision, as `per_example.class_outputs` does for tensors.

    Args:
        logits: (..., C), or (..., 1) for a single logit of the second of two classes.
        logistic: Whether the outputs are logistic units.

    >>> class_probabilities(np.array([[0.0, 0.0]])).tolist(), class_probabilities(np.array([[0.0]]), True).tolist()
    ([[0.5, 0.5]], [[0.5, 0.5]])
    """
    x = logits.astype(np.float64)
    if logistic:
        x = np.concatenate([-x, x], axis=-1) if x.shape[-1] == 1 else x
        found: NDArray[np.float64] = np.exp(-np.logaddexp(0, -x))
        return found
    if x.shape[-1] == 1:
        x = np.concatenate([np.zeros_like(x), x], axis=-1)
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def classification_metrics(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    names: Sequence[str],
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Return the classification metrics of one split as plain JSON values.

    Args:
        probabilities: (N, C), rows sum to 1.
        labels: (N,), class indices.
        names: C class names.
        tolerance: Error from which on an output is wrong.

    Returns:
        `examples` N; `accuracy` in [0, 1] with `interval` [low, high] (Wilson, 95 %); `loss`, mean cross-entropy in
        nats; `per_class` name -> {correct, total}; `confusion` C rows of C counts, true class by row;
        `abs_wrong`, the number of examples with an output whose error is `tolerance` or more, and `abs_error`, the mean
        absolute difference of all outputs from their targets.
    """
    if len(labels) == 0 or probabilities.shape != (len(labels), len(names)):
        raise InvalidInputError(
            f"probabilities of shape {probabilities.shape} for {len(labels)} labels and {len(names)} classes; "
            "must be (labels, classes), with at least one label"
        )
    invalid = (~np.isfinite(probabilities)).any(axis=1).sum()
    if invalid:
        raise InvalidInputError(f"{invalid} of {len(labels)} rows of probabilities contain NaN or infinity")
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    correct = int(confusion.trace())
    label_probabilities = probabilities[np.arange(len(labels)), labels]
    others = probabilities.sum(axis=1) - label_probabilities
    return {
        "examples": len(labels),
        "accuracy": correct / len(labels),
        "interval": list(wilson_interval(correct, len(labels))),
        "loss": float(-np.log(np.maximum(label_probabilities, np.finfo(np.float64).tiny)).mean()),
        "per_class": {
            name: {"correct": int(confusion[i, i]), "total": int(confusion[i].sum())} for i, name in enumerate(names)
        },
        "confusion": confusion.tolist(),
        "abs_wrong": int((largest_error(probabilities, labels) >= tolerance).sum()),
        "abs_error": float(((1 - label_probabilities) + others).mean() / len(names)),
    }

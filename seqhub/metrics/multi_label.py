"""Metrics of sets of labels, and of several numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.metrics.intervals import Z95, wilson_interval


def multi_label_metrics(
    probabilities: NDArray[np.floating], labels: NDArray[np.floating], names: Sequence[str]
) -> dict[str, Any]:
    """Return the metrics of predicted sets of labels; a label is predicted if its probability is above 1/2.

    Args:
        probabilities: (N, C), each in [0, 1].
        labels: (N, C), 1 for the labels of a row and 0 for others.
        names: C names.

    Returns:
        `examples`; `accuracy`, the share of rows whose predicted labels are exactly theirs, with its Wilson `interval`;
        `label_accuracy`, the share of right decisions among all labels of all rows, with `label_interval`; `micro_f1`,
        the F1 of all decisions together, with `micro_interval` (see `ratio_interval`); `macro_f1`, the mean F1 of the
        labels that occur in these rows; `per_label`, by name the numbers of `correct` predictions, of `predicted` rows
        and of rows in `total`; and `loss`, the mean cross-entropy of a label in nats.

    Raises:
        InvalidInputError: Probabilities with NaN or infinity.

    >>> found = multi_label_metrics(np.array([[0.9, 0.2], [0.8, 0.7]]), np.array([[1, 0], [1, 0]]), ["a", "b"])
    >>> found["accuracy"], round(found["micro_f1"], 3), found["per_label"]["b"]
    (0.5, 0.8, {'correct': 0, 'predicted': 1, 'total': 0})
    """
    if not np.isfinite(probabilities).all():
        raise InvalidInputError("probabilities contain NaN or infinity; must be finite")
    held, predicted = labels > 0, probabilities > 0.5
    both = held & predicted
    right = held == predicted
    rows = len(labels)
    exact, decisions = int(right.all(axis=1).sum()), float(right.mean(axis=1).sum())
    of_label = np.where(held, probabilities, 1 - probabilities)
    counts = np.stack([both.sum(axis=0), predicted.sum(axis=0), held.sum(axis=0)], axis=1).tolist()
    per_label = {
        name: {"correct": correct, "predicted": guessed, "total": total}
        for name, (correct, guessed, total) in zip(names, counts, strict=True)
    }
    found = 2.0 * both.sum(axis=1)
    possible = predicted.sum(axis=1) + held.sum(axis=1)
    return {
        "examples": rows,
        "accuracy": exact / rows,
        "interval": list(wilson_interval(exact, rows)),
        "label_accuracy": decisions / rows,
        "label_interval": list(wilson_interval(min(decisions, rows), rows)),
        "micro_f1": float(found.sum() / possible.sum()) if possible.any() else 0.0,
        "micro_interval": list(ratio_interval(found, possible)),
        "macro_f1": float(np.mean([f1_of(**each) for each in per_label.values() if each["total"]] or [0.0])),
        "per_label": per_label,
        "loss": float(-np.log(np.maximum(of_label, np.finfo(np.float64).tiny)).mean()),
    }


def f1_of(correct: int, predicted: int, total: int) -> float:
    """Return the F1 of one label; 0 if it is neither predicted nor in a row.

    >>> f1_of(1, 2, 2), f1_of(0, 0, 0)
    (0.5, 0.0)
    """
    return 2 * correct / (predicted + total) if predicted + total else 0.0


def ratio_interval(parts: NDArray[np.floating], wholes: NDArray[np.floating]) -> tuple[float, float]:
    """Return the 95 % interval of a ratio of sums over independent rows, within [0, 1], by linearization.

    Source: Takahashi, Yamamoto, Kuchiba & Koyama (2022), "Confidence interval for micro-averaged F1 and macro-averaged
    F1 scores", Applied Intelligence 52, with the rows as units, because the labels of a row depend on each other.

    Args:
        parts: (N,), share of each row in the upper sum.
        wholes: (N,), share of each row in the lower sum.

    >>> [round(bound, 2) for bound in ratio_interval(np.array([2.0, 0.0, 2.0]), np.array([2.0, 2.0, 4.0]))]
    [0.15, 0.85]
    """
    total = float(wholes.sum())
    if not total:
        return 0.0, 0.0
    ratio = float(parts.sum()) / total
    half = Z95 * math.sqrt(float(np.square(parts - ratio * wholes).sum())) / total
    if ratio in (0, 1):  # every row is wholly right or wrong, so that the rows tell no variance
        return wilson_interval(ratio * len(parts), len(parts))
    return max(0.0, ratio - half), min(1.0, ratio + half)


def metrics_by_number(
    outputs: NDArray[np.floating], targets: NDArray[np.floating], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return `mse`, `mean_absolute_error` with its 95 % `interval`, and `r2` of each of several numbers.

    R2 is 1 - mse / variance of the targets of these rows; 0 if they are all equal. The interval is that of the normal
    distribution of a mean.

    Args:
        outputs: (N, K)
        targets: (N, K)
        names: K names.

    >>> metrics_by_number(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]), ["x"])["x"]["r2"]
    -1.0
    """
    errors = np.abs(outputs - targets)
    mean, variance = errors.mean(axis=0), targets.var(axis=0)
    half = Z95 * errors.std(axis=0) / math.sqrt(len(errors))
    squared = np.square(errors).mean(axis=0)
    return {
        name: {
            "mse": float(squared[number]),
            "mean_absolute_error": float(mean[number]),
            "interval": [max(0.0, float(mean[number] - half[number])), float(mean[number] + half[number])],
            "r2": float(1 - squared[number] / variance[number]) if variance[number] > 0 else 0.0,
        }
        for number, name in enumerate(names)
    }

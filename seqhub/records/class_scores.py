"""Scores of each class from the confusion matrix in a record."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seqhub.records.run import LabelCounts


class ClassScores(NamedTuple):
    """Scores of one class."""

    rows: int  # with the class as their target
    recall: float  # share of them that is predicted right; NaN without rows
    precision: float  # share of right predictions among those of the class; NaN without predictions
    f1: float  # harmonic mean of the two; 0 without right predictions


def class_scores_of(confusion: Sequence[Sequence[int]]) -> list[ClassScores]:
    """Return the scores of each class.

    Args:
        confusion: (C, C), counts by target and by prediction.

    >>> class_scores_of([[3, 5], [0, 0]])[1]
    ClassScores(rows=0, recall=nan, precision=0.0, f1=0.0)
    >>> class_scores_of([[3, 1], [1, 7]])[0]
    ClassScores(rows=4, recall=0.75, precision=0.75, f1=0.75)
    """
    found = []
    for number, row in enumerate(confusion):
        right, rows, predicted = row[number], sum(row), sum(each[number] for each in confusion)
        recall = right / rows if rows else math.nan
        precision = right / predicted if predicted else math.nan
        found.append(ClassScores(rows, recall, precision, 2 * right / max(1, rows + predicted)))
    return found


def label_scores_of(per_label: Mapping[str, LabelCounts]) -> list[ClassScores]:
    """Return the scores of each of several labels of a row, as `class_scores_of` does for classes.

    >>> label_scores_of({"urgent": {"correct": 1, "predicted": 2, "total": 4}})
    [ClassScores(rows=4, recall=0.25, precision=0.5, f1=0.3333333333333333)]
    """
    found = []
    for each in per_label.values():
        right, predicted, rows = each["correct"], each["predicted"], each["total"]
        recall = right / rows if rows else math.nan
        precision = right / predicted if predicted else math.nan
        found.append(ClassScores(rows, recall, precision, 2 * right / max(1, rows + predicted)))
    return found


def macro_f1(confusion: Sequence[Sequence[int]]) -> float:
    """Return the mean F1 of the classes that occur in the targets.

    >>> macro_f1([[3, 1, 0], [1, 3, 0], [0, 0, 0]])
    0.75
    """
    scores = [each.f1 for each in class_scores_of(confusion) if each.rows]
    return sum(scores) / max(1, len(scores))

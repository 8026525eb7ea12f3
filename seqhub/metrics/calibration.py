"""Calibration: whether predictions with a probability of p are right with a frequency of p."""

import numpy as np
from numpy.typing import NDArray

from seqhub.records.run import CalibrationMetrics

BINS = 10  # of equal width, from 0 to 1


class Calibration:
    """Accumulator of the confidence and the correctness of predictions.

    >>> calibration = Calibration()
    >>> calibration.add(np.array([[0.9, 0.1], [0.25, 0.75]]), np.array([0, 0]))
    >>> round(calibration.metrics()["error"], 3)
    0.425
    """

    def __init__(self) -> None:
        self._sums = np.zeros((3, BINS))  # predictions, confidence, right predictions

    def add(self, probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
        """Add probabilities (N, C) of predictions, and their labels (N,)."""
        confidence = probabilities.max(axis=1)
        bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
        right = probabilities.argmax(axis=1) == labels
        for total, values in zip(self._sums, (np.ones(len(bins)), confidence, right), strict=True):
            total += np.bincount(bins, weights=values, minlength=BINS)

    def metrics(self) -> CalibrationMetrics:
        """Return the metrics of the predictions so far."""
        counts, confidence, right = self._sums
        filled = np.maximum(counts, 1)
        error = float(np.abs(confidence - right).sum() / max(1.0, counts.sum()))
        return {
            "error": error,
            "counts": counts.astype(int).tolist(),
            "confidence": (confidence / filled).tolist(),
            "accuracy": (right / filled).tolist(),
        }

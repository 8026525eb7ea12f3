"""Confidence intervals of proportions."""

import math

from seqhub.errors import InvalidInputError

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


def wilson_interval(correct: float, total: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion, which is accurate also near 0 and 1.

    For the mean of other numbers in [0, 1] it is long enough, because their variance is at most that of 0 and 1 with
    the same mean.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22.

    Args:
        correct: Number of correct ones, or the sum of the numbers.
        total: Number of all.

    >>> [round(bound, 4) for bound in wilson_interval(9_990, 10_000)]
    [0.9982, 0.9995]
    """
    if not 0 <= correct <= total or total == 0:
        raise InvalidInputError(f"correct={correct}, total={total}: must be 0 <= correct <= total and total >= 1")
    share, z2 = correct / total, Z95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return (middle - half if correct else 0.0), (middle + half if correct < total else 1.0)

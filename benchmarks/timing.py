"""Timing on shared machines: both sides in turn, medians, and the ratio of neighbours."""

import operator
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

Goal = tuple[Literal["ratio", "ours"], Literal[">=", "<="], float]
_HOLDS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a result.

    Args:
        case: What was measured.
        unit: Of `theirs` and `ours`.
        theirs: The tutorials' or the usual way; None where there is none to compare with.
        ours: This package.
        ratio: How much faster, or larger, ours is.
        goal: What is asked of `ratio` or of `ours`, as in ("ratio", ">=", 300).
        each: Where `ours` is a median over seeds, the value of every seed, None where it has none.
        each_of_theirs: The same for `theirs`.
    """

    case: str
    unit: str
    theirs: float | None
    ours: float
    ratio: float | None = None
    goal: Goal | None = None
    each: Sequence[float | None] = ()
    each_of_theirs: Sequence[float | None] = ()

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        quantity, relation, bound = self.goal
        value = getattr(self, quantity)
        return bool(_HOLDS[relation](value, bound))


class Job(NamedTuple):
    """Something to time."""

    run: Callable[[], object]
    items: int  # that one call of `run` makes


def compare(case: str, theirs: Job, ours: Job, rounds: int, *, unit: str, goal: Goal | None = None) -> Row:
    """Rates of both in items per second, timed in turn after one call each to warm up; ratio of neighbours."""
    for job in (theirs, ours):
        job.run()
    pairs = [(rate(theirs), rate(ours)) for _ in range(rounds)]
    return row_of_pairs(case, pairs, unit=unit, goal=goal)


def row_of_pairs(case: str, pairs: list[tuple[float, float]], *, unit: str, goal: Goal | None = None) -> Row:
    """Medians of (theirs, ours) measured in turn, and the median ratio."""
    return Row(
        case=case,
        unit=unit,
        theirs=median(theirs for theirs, _ in pairs),
        ours=median(ours for _, ours in pairs),
        ratio=median(ours / theirs for theirs, ours in pairs),
        goal=goal,
    )


def rate(job: Job) -> float:
    """Items per second of one call."""
    started = time.perf_counter()
    job.run()
    return job.items / (time.perf_counter() - started)


@contextmanager
def native(on: bool) -> Iterator[None]:
    """With the native recurrence, or with torch's own modules."""
    before = os.environ.get("SEQHUB_KERNELS")
    os.environ["SEQHUB_KERNELS"] = str(int(on))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SEQHUB_KERNELS"]
        else:
            os.environ["SEQHUB_KERNELS"] = before


def number(value: float | None) -> str:
    """Three digits, thousands apart.

    >>> number(1234567.0), number(0.01234), number(56.7), number(None)
    ('1,230,000', '0.0123', '56.7', '')
    """
    if value is None:
        return ""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"

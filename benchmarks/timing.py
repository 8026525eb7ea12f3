"""Timing on shared machines: both sides in turn, medians, and the ratio within each round."""

import operator
import os
import platform
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

Goal = tuple[Literal["ratio", "ours"], Literal[">=", "<="], float]
_HOLDS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a result.

    Args:
        case: The measured case.
        unit: Unit of `theirs` and `ours`.
        theirs: The baseline; None if there is none.
        ours: seqhub.
        ratio: Factor by which seqhub is faster or larger.
        goal: Goal for `ratio` or `ours`, as in ("ratio", ">=", 300).
        each: If `ours` is a median over seeds, the value of every seed, None where it has none.
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
        """Return whether the goal is met; None if there is none."""
        if self.goal is None:
            return None
        quantity, relation, bound = self.goal
        value = getattr(self, quantity)
        return bool(_HOLDS[relation](value, bound))


class Job(NamedTuple):
    """A function to time."""

    run: Callable[[], object]
    items: int  # number of items of one call of `run`


def compare(
    case: str,
    theirs: Job,
    ours: Job,
    rounds: int,
    *,
    unit: str,
    goal: Goal | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    """Measure rates of both in items per second, in turn, after one warm-up call each.

    For work of one thread, the clock `time.process_time` depends less on other processes.
    """
    for job in (theirs, ours):
        job.run()
    pairs = [(rate(theirs, clock), rate(ours, clock)) for _ in range(rounds)]
    return row_of_pairs(case, pairs, unit=unit, goal=goal)


def row_of_pairs(case: str, pairs: list[tuple[float, float]], *, unit: str, goal: Goal | None = None) -> Row:
    """Return a row with medians of pairs (theirs, ours) measured in turn, and the median ratio."""
    return Row(
        case=case,
        unit=unit,
        theirs=median(theirs for theirs, _ in pairs),
        ours=median(ours for _, ours in pairs),
        ratio=median(ours / theirs for theirs, ours in pairs),
        goal=goal,
    )


def rate(job: Job, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the items per second of one call."""
    started = clock()
    job.run()
    return job.items / (clock() - started)


def process_seconds(command: Sequence[str]) -> float:
    """Return the processor seconds of a process, which imports compiled modules as after an installation.

    Other processes on the machine disturb them less than the time until the process ends.
    """
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def native(on: bool) -> Iterator[None]:
    """Use the native recurrence or torch's modules within a context."""
    before = os.environ.get("SEQHUB_KERNELS")
    os.environ["SEQHUB_KERNELS"] = str(int(on))
    try:
        yield
    finally:
        if before is None:
            del os.environ["SEQHUB_KERNELS"]
        else:
            os.environ["SEQHUB_KERNELS"] = before


def processor() -> str:
    """Return the name of the processor, or its architecture if the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def number(value: float | None) -> str:
    """Return a number with three significant digits and thousands separators.

    >>> number(1234567.0), number(0.01234), number(56.7), number(None)
    ('1,230,000', '0.0123', '56.7', '')
    """
    if value is None:
        return ""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"

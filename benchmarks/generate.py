"""Generating examples: the course's generator of QRSU, and one loop for every other task, against `Split.batches`.

The course's generator makes 31 batches of 32, one of its epochs; seqhub makes 262,144 rows as characters, lengths and
labels. In a second case both make inputs of a network: one-hot batches, and batches of 32 rows of ids as tensors. For
other tasks the baseline makes one example after another (`benchmarks/reference_generators.py`), as texts or arrays.
Rates are those of processor time.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from benchmarks.baselines import CourseGenerator
from benchmarks.reference_generators import GENERATORS, generate
from benchmarks.sequence_generators import NAMES
from benchmarks.timing import Goal, Job, Row, compare
from seqhub.data.loader import StreamLoader
from seqhub.tasks.qrsu import TASK, tutorial_stream
from seqhub.tasks.registry import get_task, resolve
from seqhub.tasks.splits import Split

_CLOCK = time.process_time  # of one thread; other processes disturb it less
_THEIRS = 31  # batches
_OURS = 1 << 18  # rows
_GOAL: Goal = ("ratio", ">=", 300.0)
_GENERATORS_SECONDS = 0.3  # approximate work on each side in each round
_CHOSEN = {"long_lag": ("2a-p100", "2b-p100", "2c-q50-p50")}  # three configs of one task
_GOALS = {"adding": 40.0, "multiplication": 40.0, "embedded_reber": 40.0}  # 100 for the others


def run(rounds: int) -> list[Row]:
    rows = []
    for config in TASK.configs[:5]:  # the levels of the course
        theirs = Job(partial(_course, CourseGenerator(config.name)), 32 * _THEIRS)
        ours = Job(partial(_split, Split(f"qrsu/{config.name}")), _OURS)
        goal = _GOAL if config.name == "hard" else None
        rows.append(compare(config.name, theirs, ours, rounds, unit="sequences/s", goal=goal, clock=_CLOCK))
    hard = Job(partial(_course, CourseGenerator("hard")), 32 * _THEIRS)
    shorter = Job(partial(_exhaust, tutorial_stream("hard"), _THEIRS), 32 * _THEIRS)
    ours = Job(partial(_split, Split("qrsu/hard")), _OURS)
    tensors = Job(partial(_exhaust, iter(StreamLoader("qrsu/hard", batch_size=32)), _OURS // 32), _OURS)
    rows.append(compare("hard, against tutorial_stream", shorter, ours, rounds, unit="sequences/s", clock=_CLOCK))
    rows.append(compare("hard, to batches of 32 tensors", hard, tensors, rounds, unit="sequences/s", clock=_CLOCK))
    return rows + [against_reference(task_id, rounds) for task_id in _others()]


def _others() -> list[str]:
    """Return one config of every other generated task; the first, since the cost is proportional to the steps."""
    drawn = {
        name: [each.name for each in get_task(name).configs if Split(f"{name}/{each.name}").size is None]
        for name in GENERATORS
        if name not in NAMES
    }
    return [f"{name}/{config}" for name, configs in drawn.items() for config in _CHOSEN.get(name, configs[:1])]


def against_reference(task_id: str, rounds: int) -> Row:
    """Return the comparison of a loop over examples with `Split.batches`."""
    task, config = resolve(task_id)
    split = Split(task_id)
    theirs, ours = (
        _job(partial(generate, task.name, config), 64),
        _job(lambda count: _exhaust(split.batches(0, count), count), 8_192),
    )
    goal: Goal = ("ratio", ">=", _GOALS.get(task.name, 100.0))
    return compare(task_id, theirs, ours, rounds, unit="sequences/s", goal=goal, clock=_CLOCK)


def _job(generate_some: Callable[[int], object], count: int) -> Job:
    """Return a job with enough examples to be timed."""
    generate_some(count)
    started = _CLOCK()
    generate_some(count)
    times = max(1, round(_GENERATORS_SECONDS / (_CLOCK() - started)))
    return Job(partial(generate_some, times * count), times * count)


def _course(course: CourseGenerator) -> None:
    for _ in range(_THEIRS):
        course.batch()


def _split(split: Split) -> None:
    for _ in split.batches(0, _OURS):
        pass


def _exhaust(batches: Iterator[Any], count: int) -> None:
    for _ in islice(batches, count):
        pass

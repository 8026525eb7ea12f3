"""Drawing QRSU: the generator of the course against `Split.batches`.

The course's side draws 31 batches of 32, one of its epochs; ours draws 262,144 rows as characters, lengths and labels.
Below that, both make what a network eats: one-hot batches there, batches of 32 rows of ids as tensors here.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from benchmarks.baselines import CourseGenerator
from benchmarks.timing import Goal, Job, Row, compare
from seqhub.data.feed import StreamFeed
from seqhub.tasks.qrsu import TASK, tutorial_stream
from seqhub.tasks.splits import Split

_THEIRS = 31  # batches
_OURS = 1 << 18  # rows
_GOAL: Goal = ("ratio", ">=", 300.0)


def run(rounds: int) -> list[Row]:
    rows = []
    for config in TASK.configs:
        theirs = Job(partial(_course, CourseGenerator(config.name)), 32 * _THEIRS)
        ours = Job(partial(_split, Split(f"qrsu/{config.name}")), _OURS)
        goal = _GOAL if config.name == "hard" else None
        rows.append(compare(config.name, theirs, ours, rounds, unit="sequences/s", goal=goal))
    hard = Job(partial(_course, CourseGenerator("hard")), 32 * _THEIRS)
    shorter = Job(partial(_exhaust, tutorial_stream("hard"), _THEIRS), 32 * _THEIRS)
    ours = Job(partial(_split, Split("qrsu/hard")), _OURS)
    tensors = Job(partial(_exhaust, iter(StreamFeed("qrsu/hard", batch_size=32)), _OURS // 32), _OURS)
    rows.append(compare("hard, against tutorial_stream", shorter, ours, rounds, unit="sequences/s"))
    rows.append(compare("hard, to batches of 32 tensors", hard, tensors, rounds, unit="sequences/s"))
    return rows


def _course(course: CourseGenerator) -> None:
    for _ in range(_THEIRS):
        course.batch()


def _split(split: Split) -> None:
    for _ in split.batches(0, _OURS):
        pass


def _exhaust(batches: Iterator[Any], count: int) -> None:
    for _ in islice(batches, count):
        pass

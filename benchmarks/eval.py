"""Evaluation on qrsu/hard: sequences per second of `seqhub evaluate` and of the course's test loop, including data.

The course's loop generates batches of 32 as in training, makes them one-hot, reads the logits of every step and sums
losses and right answers. seqhub generates the same number of sequences of the test split and computes every metric of a
card. One thread; once with the native recurrence, once with torch's modules (SEQHUB_KERNELS=0).
"""

import torch

from benchmarks.baselines import CourseGenerator
from benchmarks.course import CourseModel, course_test
from benchmarks.timing import Goal, Job, Row, compare, native
from seqhub.evaluation.evaluate import accumulate_metrics
from seqhub.models.registry import build_config, build_model
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import Split

_THEIRS, _OURS = 6_400, 100_000  # sequences of one call
_GOALS: dict[
    tuple[str, int], tuple[float | None, float | None]
] = {  # goals with the native recurrence and with torch's modules
    ("rnn_tanh", 4): (None, None),
    ("lstm", 4): (50, 5),
    ("lstm", 16): (15, 5),
    ("lstm", 64): (None, None),
}


def run(rounds: int) -> list[Row]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return [row for (cell, hidden), goals in _GOALS.items() for row in _rows(cell, hidden, *goals, rounds)]


def _rows(cell: str, hidden: int, with_native: float | None, plain: float | None, rounds: int) -> list[Row]:
    task, _ = resolve("qrsu/hard")
    labels = {"id2label": dict(enumerate(task.labels)), "label2id": {name: i for i, name in enumerate(task.labels)}}
    config = build_config(cell, hidden_size=hidden, vocab_size=1 + len(task.symbols), **labels)
    model = build_model(config, "sequence").eval()
    split = Split("qrsu/hard", "test")
    course = CourseModel(cell, hidden)
    theirs = Job(lambda: course_test(course, CourseGenerator("hard"), _THEIRS), _THEIRS)
    rows = []
    for name, natively, least_ratio in (("native", True, with_native), ("torch's modules", False, plain)):
        goal: Goal | None = None if least_ratio is None else ("ratio", ">=", least_ratio)
        with native(natively):
            ours = Job(lambda: accumulate_metrics(model, split, _OURS), _OURS)
            rows.append(compare(f"{cell} {hidden}, {name}", theirs, ours, rounds, unit="sequences/s", goal=goal))
    return rows

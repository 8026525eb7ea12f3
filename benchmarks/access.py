"""Random access to one example by its number, anywhere in an endless split."""

import time
from statistics import median

import numpy as np

from benchmarks.timing import Row
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.tasks.splits import Split

_EXAMPLES = 100


def run(rounds: int) -> list[Row]:
    task_ids = [f"{task}/{config.name}" for task in list_tasks() for config in get_task(task).configs]
    every = {task_id: Split(task_id) for task_id in task_ids}
    splits = {task_id: split for task_id, split in every.items() if split.size is None}
    numbers = np.random.default_rng(0).integers(0, 10**12, (rounds, _EXAMPLES)).tolist()
    microseconds: dict[str, list[float]] = {task_id: [] for task_id in splits}
    for split in splits.values():
        split[0]  # the finite domain of a small config is listed once
    for row in numbers:
        for task_id, split in splits.items():
            started = time.perf_counter()
            for number in row:
                split[number]
            microseconds[task_id].append((time.perf_counter() - started) / _EXAMPLES * 1e6)
    return [
        Row(case=task_id, unit="µs/example", theirs=None, ours=median(values), goal=("ours", "<=", 1000.0))
        for task_id, values in microseconds.items()
    ]

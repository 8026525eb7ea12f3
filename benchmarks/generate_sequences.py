"""Generating examples of state tracking, copying and recall: a loop over examples, against `Split.batches`.

The baseline makes one example after another as in the code of the tasks' sources
(`benchmarks/sequence_generators.py`). seqhub makes characters or ids, lengths and labels. The first config of each task
is measured, and the training mix of `mqar`.
"""

from benchmarks.generate import against_reference
from benchmarks.sequence_generators import NAMES
from benchmarks.timing import Row
from seqhub.tasks.registry import get_task


def run(rounds: int) -> list[Row]:
    task_ids = [f"{name}/{get_task(name).configs[0].name}" for name in NAMES]
    return [against_reference(task_id, rounds) for task_id in (*task_ids, "mqar/zoology")]

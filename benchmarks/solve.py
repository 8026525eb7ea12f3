"""Solving QRSU: training sequences to the stopping criterion, by the course's recipe and by seqhub's.

The criterion is an accuracy of 99.9 % on newly generated data at a validation every 320 sequences (992, the course's
epoch, for its recipe); further rows have the stopping rule of Hochreiter & Schmidhuber (1997), `st3`, which counts
every sequence. Both recipes run through the same `sweep`; a run ends unsolved after 100,000 sequences. Seeds decide
weights and data, and the JSON file has every seed. `theirs` is empty where no seed of the course's recipe met the
criterion; few of its seeds are run where they cannot. For `st3` on hard it is the paper's number, of another network
that learned online.
"""

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.timing import Goal, Row
from seqhub.sweeps.sweep import sweep
from seqhub.tasks.registry import resolve
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe

# task id: seeds of seqhub, seeds of the baseline, least solved seeds of seqhub, largest median of them
_CASES: dict[str, tuple[int, int, int, int | None]] = {
    "qrsu/easy": (10, 10, 10, 2_000),
    "qrsu/normal": (10, 0, 10, None),
    "qrsu/moderate": (10, 0, 10, None),
    "qrsu/hard": (50, 3, 49, 5_000),
    "qrsu/nightmare": (10, 0, 10, 6_000),
}


def run(rounds: int) -> list[Row]:
    """Return one row for the solved seeds and one for the median of their sequences; `rounds` has no effect."""
    del rounds
    rows = []
    for task_id, (seeds, their_seeds, at_least, at_most) in _CASES.items():
        ours, by_rule = _sequences(task_id, "solve", seeds, stop_at="both")
        theirs = _sequences(task_id, "tutorial", their_seeds)[0] if their_seeds else []
        solved, they_solved = _of(ours), _of(theirs)
        median_goal: Goal | None = None if at_most is None else ("ours", "<=", at_most)
        rows.append(
            Row(
                case=f"{task_id}: solved of {seeds}" + (f" (theirs of {their_seeds})" if their_seeds else ""),
                unit="seeds",
                theirs=len(they_solved) if their_seeds else None,
                ours=len(solved),
                goal=("ours", ">=", at_least),
            )
        )
        rows.append(
            Row(
                case=f"{task_id}: median",
                unit="sequences",
                theirs=median(they_solved) if they_solved else None,
                ours=median(solved),
                ratio=median(solved) / median(they_solved) if they_solved else None,
                goal=median_goal,
                each=ours,
                each_of_theirs=theirs,
            )
        )
        task, config = resolve(task_id)
        paper = task.paper_sequences.get(config.name)
        rows.append(
            Row(
                case=f"{task_id}: median by st3",
                unit="sequences",
                theirs=paper,
                ours=median(_of(by_rule)),
                ratio=median(_of(by_rule)) / paper if paper else None,
                each=by_rule,
            )
        )
    return rows


def _of(counts: list[int | None]) -> list[int]:
    return [count for count in counts if count is not None]


def _sequences(
    task_id: str, name: str, seeds: int, stop_at: str = "accuracy"
) -> tuple[list[int | None], list[int | None]]:
    """Return training sequences of each seed to the accuracy and to `st3`, None where it was not met."""
    settings = recipe(task_id, "lstm", name) | {
        "stop_at": stop_at,
        "max_sequences": 100_000,
        "evaluate_size": 10_240,
    }
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(task=task_id, output_dir=Path(folder) / "sweep", **settings)
        runs = sweep(config, range(seeds), test_rows=0).runs
    assert len(runs) == seeds, "a seed failed"
    accuracy, st3, *_ = zip(*(run["criteria"].values() for run in runs), strict=True)
    return list(accuracy), list(st3)

"""Solving QRSU: training sequences to success, by the course's recipe and by ours.

Success is 99.9 % on fresh data, looked at every 320 sequences (992, the course's epoch, for its recipe), and below
that the stopping rule of Hochreiter & Schmidhuber (1997), `st3`, which counts every sequence. Both recipes run through
the same loop; a run ends unsolved after 100,000 sequences. Seeds decide weights and data, and every seed is reported
in the JSON file. `theirs` is empty where no seed of the course's recipe got there; its seeds are few where they
cannot. For `st3` on hard it is the paper's number, of another network that learned online.
"""

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.timing import Goal, Row
from seqhub.tasks.registry import resolve
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

# address: seeds of ours, seeds of theirs, at least so many of ours solved, their median at most
_CASES: dict[str, tuple[int, int, int, int | None]] = {
    "qrsu/easy": (10, 10, 10, 2_000),
    "qrsu/normal": (10, 0, 10, None),
    "qrsu/moderate": (10, 0, 10, None),
    "qrsu/hard": (50, 3, 49, 5_000),
    "qrsu/nightmare": (10, 0, 10, 6_000),
}


def run(rounds: int) -> list[Row]:
    """One row for the seeds that got there, one for the median of what they needed; `rounds` changes nothing."""
    del rounds
    rows = []
    for address, (seeds, their_seeds, at_least, at_most) in _CASES.items():
        both = [_sequences(address, "solve", seed, stop_at="both") for seed in range(seeds)]
        ours, by_rule = [accuracy for accuracy, _ in both], [st3 for _, st3 in both]
        theirs = [_sequences(address, "tutorial", seed)[0] for seed in range(their_seeds)]
        solved, they_solved = _of(ours), _of(theirs)
        median_goal: Goal | None = None if at_most is None else ("ours", "<=", at_most)
        rows.append(
            Row(
                case=f"{address}: solved of {seeds}" + (f" (theirs of {their_seeds})" if their_seeds else ""),
                unit="seeds",
                theirs=len(they_solved) if their_seeds else None,
                ours=len(solved),
                goal=("ours", ">=", at_least),
            )
        )
        rows.append(
            Row(
                case=f"{address}: median",
                unit="sequences",
                theirs=median(they_solved) if they_solved else None,
                ours=median(solved),
                ratio=median(solved) / median(they_solved) if they_solved else None,
                goal=median_goal,
                each=ours,
                each_of_theirs=theirs,
            )
        )
        task, config = resolve(address)
        paper = task.paper_sequences.get(config.name)
        rows.append(
            Row(
                case=f"{address}: median by st3",
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


def _sequences(address: str, name: str, seed: int, stop_at: str = "accuracy") -> tuple[int | None, int | None]:
    """Training sequences until the accuracy was reached and until `st3` was met, None where they were not."""
    with tempfile.TemporaryDirectory() as folder:
        settings = recipe(address, "lstm", name) | {
            "stop_at": stop_at,
            "max_sequences": 100_000,
            "evaluate_size": 10_240,
            "checkpoint_every": 10**9,
        }
        record = train(TrainConfig(address=address, output_dir=Path(folder) / "run", seed=seed, **settings))
    assert record is not None
    accuracy, st3, *_ = record.criteria.values()
    return accuracy, st3

"""What the runs of a sweep came to: how many seeds are solved, after how many sequences, and how well they test.

Made from the records of the runs alone.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, cast

from seqhub.records import RunRecord, SweepRecord, command_line, environment
from seqhub.records.sweep import Spread
from seqhub.training.config import TrainConfig

_OF_THE_ROWS = ("examples", "steps", "seed", "mean_length")  # numbers of an evaluation that say nothing of the model


def solved_by(config: TrainConfig) -> list[str]:
    """The criteria, by the names that records have for them, that a run of these settings has to meet to be solved."""
    accuracy = f"accuracy>={config.accuracy:g}"
    return {"st3": ["st3"], "paper": ["paper"], "both": [accuracy, "st3"]}.get(config.stop_at, [accuracy])


def is_solved(config: TrainConfig, record: RunRecord) -> bool:
    """Whether a run of these settings has met what it has to."""
    return all(record.criteria[name] is not None for name in solved_by(config))


def summed_up(
    config: TrainConfig, records: Sequence[RunRecord], failed: Mapping[int, str], *, threads: int, native: bool
) -> SweepRecord:
    """The record of a sweep.

    Args:
        config: Of all its runs.
        records: Of the seeds that have one, at least one, in the order of the sweep.
        failed: The other seeds, each with the reason.
        threads: Runs at a time.
        native: Whether they were whole runs in native calls.
    """
    first = records[0]
    tests = [_numbers(record.evaluation.get("test", {})) for record in records]
    return SweepRecord(
        task=first.task,
        model=first.model,
        model_config=first.model_config,
        num_parameters=first.num_parameters,
        training={name: value for name, value in config.as_json().items() if name != "seed"},
        native=native,
        threads=threads,
        solved_by=solved_by(config),
        runs=[
            {
                "seed": cast(int, record.seed),  # a run of `train` has both
                "criteria": record.criteria,
                "sequences_seen": cast(int, record.sequences_seen),
                "seconds": round(_seconds(record), 3),
                "test": test,
            }
            for record, test in zip(records, tests, strict=True)
        ],
        failed={str(seed): reason for seed, reason in failed.items()},
        summary={
            "seeds": len(records) + len(failed),
            "solved": sum(is_solved(config, record) for record in records),
            "criteria": {name: distribution([record.criteria[name] for record in records]) for name in first.criteria},
            "test": {name: distribution([test.get(name) for test in tests]) for name in tests[0]},
        },
        timings={"runs": round(sum(map(_seconds, records)), 3)},
        environment=environment(),
        command=command_line(),
    )


def distribution(values: Sequence[float | None]) -> Spread:
    """How many values there are, and their median, mean and range; of those that are there.

    >>> distribution([3, None, 1, 5])
    {'count': 3, 'median': 3, 'mean': 3, 'least': 1, 'most': 5}
    """
    there = [value for value in values if value is not None]
    if not there:
        return {"count": 0, "median": None, "mean": None, "least": None, "most": None}
    return {
        "count": len(there),
        "median": statistics.median(there),
        "mean": statistics.mean(there),
        "least": min(there),
        "most": max(there),
    }


def _seconds(record: RunRecord) -> float:
    """Of training and test."""
    return sum(record.timings.get(name, 0.0) for name in ("train", "evaluate"))


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Those of the metrics of a split that are one number each and say something of the model."""
    found = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
    found |= {f"paper_{name}": value for name, value in metrics.get("paper", {}).items() if name != "tolerance"}
    return {name: value for name, value in found.items() if name not in _OF_THE_ROWS}

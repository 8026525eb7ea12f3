"""Summary of a sweep: solved seeds, training sequences until solved, and test metrics.

It is computed from the records of the runs only.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, cast

from seqhub.records import RunRecord, SweepRecord, command_line, environment
from seqhub.records.sweep import Spread
from seqhub.training.config import TrainConfig

_DATA_KEYS = ("examples", "steps", "seed", "mean_length")  # keys of an evaluation that describe its rows


def solved_by(config: TrainConfig) -> list[str]:
    """Return the criteria that a solved run with these settings meets, by their names in records."""
    accuracy = f"accuracy>={config.accuracy:g}"
    return {"st3": ["st3"], "paper": ["paper"], "both": [accuracy, "st3"]}.get(config.stop_at, [accuracy])


def is_solved(config: TrainConfig, record: RunRecord) -> bool:
    """Return True if a run with these settings meets all its criteria, see `solved_by`."""
    return all(record.criteria[name] is not None for name in solved_by(config))


def summarize(
    config: TrainConfig, records: Sequence[RunRecord], failed: Mapping[int, str], *, threads: int, native: bool
) -> SweepRecord:
    """Return the record of a sweep.

    Args:
        config: Settings of all runs.
        records: Records of the finished seeds, at least one, in the order of the sweep.
        failed: Failed seeds, with their error messages.
        threads: Number of simultaneous runs.
        native: True if native code trained the runs.
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
                "seed": cast(int, record.seed),  # like `sequences_seen` not None for a run by `train`
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
    """Return count, median, mean and range of the values that are not None.

    >>> distribution([3, None, 1, 5])
    {'count': 3, 'median': 3, 'mean': 3, 'least': 1, 'most': 5}
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"count": 0, "median": None, "mean": None, "least": None, "most": None}
    return {
        "count": len(known),
        "median": statistics.median(known),
        "mean": statistics.mean(known),
        "least": min(known),
        "most": max(known),
    }


def _seconds(record: RunRecord) -> float:
    """Return the seconds of training and test."""
    return sum(record.timings.get(name, 0.0) for name in ("train", "evaluate"))


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the scalar metrics of a split that describe the model."""
    found = {name: value for name, value in metrics.items() if isinstance(value, (int, float))}
    found |= {f"paper_{name}": value for name, value in metrics.get("paper", {}).items() if name != "tolerance"}
    return {name: value for name, value in found.items() if name not in _DATA_KEYS}

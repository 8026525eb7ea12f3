"""Record of a sweep over seeds: `sweep.json`."""

from dataclasses import dataclass
from typing import Any, TypedDict

from seqhub.records.base import Record
from seqhub.records.environment import Environment
from seqhub.tasks.ref import TaskField


class Spread(TypedDict):
    """Distribution of a number over the runs that have it."""

    count: int
    median: float | None
    mean: float | None
    least: float | None
    most: float | None


class SeedRun(TypedDict):
    """One finished run of a sweep."""

    seed: int
    criteria: dict[str, int | None]
    sequences_seen: int
    seconds: float
    test: dict[str, Any]  # metrics of the test split that are single numbers


class Summary(TypedDict):
    """Summary of all runs of a sweep."""

    seeds: int
    solved: int
    criteria: dict[str, Spread]  # training sequences until each was met
    test: dict[str, Spread]


@dataclass(kw_only=True)
class SweepRecord(Record):
    """Record of runs with the same settings and many seeds, beside a folder with the record of each seed."""

    FILE_NAME = "sweep.json"
    KEYS = {"task": "address"}  # noqa: RUF012  a ClassVar, as in the base class

    task: TaskField = TaskField()
    model: str
    model_config: dict[str, Any]
    num_parameters: int
    training: dict[str, Any]  # every setting but the folder and the seed
    native: bool  # whether native code trained the runs
    threads: int  # runs at a time
    solved_by: list[str]  # criteria that a run must meet to count as solved
    runs: list[SeedRun]
    failed: dict[str, str]  # seed -> reason for its missing record
    summary: Summary
    timings: dict[str, float]  # seconds: "runs" of all together; "wall" of the command, where one command did it all
    environment: Environment
    command: str

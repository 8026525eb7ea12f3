"""Record of a sweep over seeds: `sweep.json`."""

from dataclasses import dataclass
from typing import Any, TypedDict

from seqhub.records.base import Record
from seqhub.records.environment import Environment
from seqhub.tasks.ref import TaskField


class Spread(TypedDict):
    """Summary statistics of a number over the runs that have it."""

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
    test: dict[str, Any]  # scalar metrics of the test split


class Summary(TypedDict):
    """Summary of all runs of a sweep."""

    seeds: int
    solved: int
    criteria: dict[str, Spread]  # training sequences until the criterion was met
    test: dict[str, Spread]


@dataclass(kw_only=True)
class SweepRecord(Record):
    """Record of runs with the same settings and many seeds; each run has its own folder and record."""

    FILE_NAME = "sweep.json"
    KEYS = {"task": "address"}  # noqa: RUF012  a ClassVar, as in the base class

    task: TaskField = TaskField()
    model: str
    model_config: dict[str, Any]
    num_parameters: int
    training: dict[str, Any]  # all settings except the folder and the seed
    native: bool  # True if native code trained the runs
    threads: int  # number of simultaneous runs
    solved_by: list[str]  # criteria that a solved run meets
    runs: list[SeedRun]
    failed: dict[str, str]  # seed -> error message
    summary: Summary
    timings: dict[str, float]  # seconds: "runs", summed over runs; "wall", of the command if it made all runs
    environment: Environment
    command: str

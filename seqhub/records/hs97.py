"""Record of the tables of Hochreiter & Schmidhuber (1997): `hs97.json`."""

from dataclasses import dataclass
from typing import Any, TypedDict

from seqhub.records.base import Record
from seqhub.records.environment import Environment


class SeedRuns(TypedDict):
    """Runs of one row of a table with one model and many seeds; lists are in the order of `seeds`."""

    seeds: list[int]  # without failed seeds
    sequences: list[int | None]  # training sequences until the stopping rule was met
    seen: list[int]  # training sequences presented
    test_wrong: list[int]
    test_rows: int
    seconds: list[float]  # training and test
    failed: dict[str, str]  # seed -> error message
    parameters: int
    model_config: dict[str, Any]
    training: dict[str, Any]
    native: bool
    threads: int
    environment: Environment
    command: str


class PaperRow(TypedDict):
    """One row of a table: numbers of the paper and of the runs."""

    address: str  # task id
    success: dict[str, Any]  # the stopping rule of the paper
    weights: int | None  # number in the network of the paper
    sequences: int  # training sequences until the stopping rule was met, in the paper
    wrong: float | None  # share of wrong test sequences, in the paper
    changes: str | None  # changes to the network of the paper
    results: dict[str, dict[str, SeedRuns]]  # model -> "paper" or "strict" -> runs


@dataclass(kw_only=True)
class PaperRecord(Record):
    """Record of all rows of the tables, by name."""

    FILE_NAME = "hs97.json"

    rows: dict[str, PaperRow]

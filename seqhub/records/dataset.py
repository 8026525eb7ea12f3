"""Record of a built dataset: `dataset.json`."""

from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict

from seqhub.errors import CorruptFileError
from seqhub.records.base import Record
from seqhub.records.environment import Environment
from seqhub.records.schema import mismatches


class SplitInfo(TypedDict):
    """One split of a config."""

    rows: int
    digest: str
    bytes: int
    labels: dict[
        str, int
    ]  # label -> number of rows, or of steps for a class per step; empty without classes or for many
    mean_length: float
    numbers: NotRequired[list[float]]  # smallest, mean and largest label, for numeric labels
    characters: NotRequired[int]  # size of all texts in bytes, if symbols are words or not ASCII
    target_characters: NotRequired[int]  # size of all targets in bytes, if they are texts


class Guessing(TypedDict):
    """Result of random weight guessing on one config."""

    units: int  # per network
    range: float  # largest absolute weight
    trials: int  # limit per seed
    seeds: list[int]
    guesses: list[int | None]  # for each seed, guesses until the first solution; None without one


class ConfigInfo(TypedDict):
    """One config of a built dataset."""

    splits: dict[str, SplitInfo]
    overlap: dict[str, int]  # "train/test" -> number of distinct sequences in both
    examples: list[list[str]]  # [[inputs, target], ...]
    guessing: NotRequired[Any]  # added for a release, see `DatasetRecord.guessing`


@dataclass(kw_only=True)
class DatasetRecord(Record):
    """Record of a dataset build, in the folder with the Parquet files of all configs."""

    FILE_NAME = "dataset.json"

    task: str
    task_version: int
    seed: int
    configs: dict[str, ConfigInfo]
    seconds: float
    environment: Environment = field(default_factory=Environment)
    command: str = ""

    @property
    def guessing(self) -> dict[str, Guessing]:
        """Results of random weight guessing, by config, for the measured configs.

        Raises:
            CorruptFileError: A value is missing or of another type.
        """
        found: dict[str, Guessing] = {
            name: info["guessing"] for name, info in self.configs.items() if "guessing" in info
        }
        wrong = ", ".join(mismatches(found, dict[str, Guessing], "guessing"))
        if wrong:
            raise CorruptFileError(f"record of {self.task}: missing values or values of a wrong type: {wrong}")
        return found

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
    labels: dict[str, int]  # label -> rows, or steps where each has a class; empty without classes
    mean_length: float
    numbers: NotRequired[list[float]]  # least, mean and largest label, without classes
    characters: NotRequired[int]  # bytes of all texts, where symbols are words


class Guessing(TypedDict):
    """Random weight guessing, measured on one config."""

    units: int  # of each network
    range: float  # largest absolute weight
    trials: int  # at most
    seeds: list[int]
    guesses: list[int | None]  # of each seed until one was right; None where none was


class ConfigFacts(TypedDict):
    """One config of a built dataset."""

    splits: dict[str, SplitInfo]
    overlap: dict[str, int]  # "train/test" -> distinct sequences in both
    examples: list[list[str]]  # [[inputs, target], ...]
    guessing: NotRequired[Any]  # a release adds it, see `DatasetRecord.guessing`


@dataclass(kw_only=True)
class DatasetRecord(Record):
    """Record of one build of a dataset, in the folder of the Parquet files of all its configs."""

    FILE_NAME = "dataset.json"

    task: str
    task_version: int
    seed: int
    configs: dict[str, ConfigFacts]
    seconds: float
    environment: Environment = field(default_factory=Environment)
    command: str = ""

    @property
    def guessing(self) -> dict[str, Guessing]:
        """Random weight guessing by config, for those on which it was measured.

        Raises:
            CorruptFileError: A value is missing or of another type.
        """
        found: dict[str, Guessing] = {
            name: facts["guessing"] for name, facts in self.configs.items() if "guessing" in facts
        }
        wrong = ", ".join(mismatches(found, dict[str, Guessing], "guessing"))
        if wrong:
            raise CorruptFileError(f"record of {self.task}: values missing or of another type: {wrong}")
        return found

"""What a stage leaves for the next, as JSON: one record beside every run and every dataset.

Cards, plots and tables are rendered from records and from nothing else, so a number nobody measured cannot
appear on them.
"""

import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Self

from seqhub.errors import CorruptFileError
from seqhub.io import write_atomically

FORMAT = 1  # raised when a field changes its meaning

CHECKPOINT = "checkpoint.safetensors"  # stands in a run's folder until its record does

_METRICS = {  # of one split, whatever is to be learnt: what cards, plots and `verify` go by
    "examples": int,
    "accuracy": float,
    "loss": float,
    "length": [int],
    "mean_length": float,
    "seed": int,
    "digest": str,
}

_CLASSES = {"per_class": {str: {"correct": int, "total": int}}, "confusion": [[int]]}

_METRICS_OF: dict[str, dict[str, Any]] = {  # target -> what else `metrics.classification` says of it
    "class": {**_CLASSES, "interval": [float], "abs_wrong": int},
    "step_class": {**_CLASSES, "steps": int, "whole": int},
    "next_symbol": {"steps": int, "whole": int},
    "number": {"interval": [float], "mse": float, "mean_absolute_error": float, "tolerance": float},
    "inputs": {"interval": [float], "mse": float, "worst_mse": float, "tolerance": float},
}

_SPLIT = {"rows": int, "digest": str, "bytes": int, "labels": {str: int}, "mean_length": float}

_GUESSING = {"units": int, "range": float, "trials": int, "seeds": [int], "guesses": [int | None]}


@dataclass(kw_only=True)
class Record:
    """Common ways of every record: one JSON file, closed fields."""

    FILE_NAME = "record.json"
    SHAPE: ClassVar[dict[str, Any]] = {}  # field -> what `_misfits` takes

    format: int = FORMAT

    def text(self) -> str:
        """What stands in the file."""
        return json.dumps(vars(self), indent=2, allow_nan=False) + "\n"

    def save(self, folder: Path) -> Path:
        """Write the record into `folder` and return its path."""
        path = folder / self.FILE_NAME
        write_atomically(path, self.text())
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of `folder`.

        Raises:
            FileNotFoundError: There is none.
            CorruptFileError: It is no JSON, of another format, or its fields are not those of this record.
        """
        path = Path(folder) / cls.FILE_NAME
        if not path.is_file():
            raise FileNotFoundError(f"no {cls.FILE_NAME} in {folder}{what_else(folder)}")
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a file of any name; errors as in `load`."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorruptFileError(f"{path} is no JSON: {error}") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            given = values.get("format") if isinstance(values, dict) else type(values).__name__
            raise CorruptFileError(f"{path} has format {given!r}; this seqhub reads format {FORMAT}")
        names = {f.name for f in fields(cls)}
        if set(values) != names:
            wrong = ", ".join(sorted(set(values) ^ names))
            raise CorruptFileError(f"{path} lacks or has too much of: {wrong}")
        wrong = ", ".join(_misfits(values, cls.SHAPE))
        if wrong:
            raise CorruptFileError(f"{path} has no value, or one of another kind, where a record has: {wrong}")
        return cls(**values)


@dataclass(kw_only=True)
class DatasetRecord(Record):
    """`dataset.json`: what one build of a dataset is. Beside the Parquet files of all its configs."""

    FILE_NAME = "dataset.json"
    SHAPE: ClassVar[dict[str, Any]] = {
        "task": str,
        "task_version": int,
        "seed": int,
        "configs": {str: {"splits": {str: _SPLIT}, "overlap": {str: int}, "examples": [[str]]}},
        "environment": {},
        "command": str,
    }

    task: str
    task_version: int
    seed: int
    configs: dict[str, dict[str, Any]]
    """config -> {"splits": {split: {"rows", "digest", "bytes", "labels": {label: rows}, "mean_length"}},
    "overlap": {"train/test": number of distinct sequences in both, ...}, "examples": [[inputs, target], ...]}; "labels"
    counts steps where each has a class; without classes it is empty, and "numbers" has least, mean and largest; where
    symbols are words, "characters" are the bytes of all texts; a release adds "guessing", see there"""
    seconds: float
    environment: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def guessing(self) -> dict[str, dict[str, Any]]:
        """What guessing weights came to, for the configs of which it was measured.

        Of each {"units" of the networks, "range" of their weights to both sides of 0, "trials" at most, "seeds", and
        "guesses" of each seed until one was right, None where none was}.

        Raises:
            CorruptFileError: A value is missing or of another kind.
        """
        found = {name: facts["guessing"] for name, facts in self.configs.items() if "guessing" in facts}
        wrong = ", ".join(_misfits(found, {str: _GUESSING}, "guessing"))
        if wrong:
            raise CorruptFileError(f"the record of {self.task} has no value, or one of another kind, for: {wrong}")
        return found


@dataclass(kw_only=True)
class RunRecord(Record):
    """`run.json`: what one training run was and what it measured. Beside the weights."""

    FILE_NAME = "run.json"
    SHAPE: ClassVar[dict[str, Any]] = {
        "address": str,
        "model": str,
        "model_config": {},
        "num_parameters": int,
        "seed": int,
        "training": {},
        "data": {},
        "sequences_seen": int,
        "optimizer_steps": int,
        "processes": int,
        "criteria": {str: int | None},
        "evaluation": {str: _METRICS},
        "probe": {},
        "files": {str: str},
        "timings": {str: float},
        "environment": {},
        "command": str,
    }

    address: str  # task/config, as in qrsu/hard
    model: str  # preset: lstm, gru, ...
    model_config: dict[str, Any]  # what was asked of the config class, beyond its defaults
    num_parameters: int
    seed: int
    training: dict[str, Any]  # every field of TrainConfig but the folder
    data: dict[str, Any]  # rows trained on: {"task_version", "source", "seed", "rows", "digest"}
    sequences_seen: int  # training sequences presented, all processes together
    optimizer_steps: int
    processes: int
    criteria: dict[str, int | None]
    """criterion -> training sequences presented until it was met first, None where it was not"""
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    """"split" of the address itself, or "config/split" of its siblings -> metrics (see metrics.classification)"""
    probe: dict[str, Any] = field(default_factory=dict)
    """{"texts" or "input_values": sequences, "logits": what the model gave each, alone}, for `verify`"""
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256 of weights, config, code and tokenizer
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage
    environment: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def probes(self) -> list[Any]:
        """The sequences of `probe`: the first ones of the test split, as texts or nested lists of values."""
        return self.probe.get("texts") or self.probe.get("input_values") or []

    def require_metrics(self, target: str) -> None:
        """Raise CorruptFileError unless every evaluation has the metrics of a target (see `tasks.base.TaskSchema`)."""
        wrong = ", ".join(_misfits(self.evaluation, {str: _METRICS_OF[target]}, "evaluation"))
        if wrong:
            raise CorruptFileError(f"the record of {self.name} has no value, or one of another kind, for: {wrong}")

    @property
    def name(self) -> str:
        """Name of the repository this run is published as: qrsu-hard-lstm."""
        return f"{self.address.replace('/', '-')}-{self.model}"


@dataclass(kw_only=True)
class SweepRecord(Record):
    """`sweep.json`: what came of the same settings from many seeds. Beside a folder of each seed with its record."""

    FILE_NAME = "sweep.json"
    SHAPE: ClassVar[dict[str, Any]] = {
        "address": str,
        "model": str,
        "model_config": {},
        "num_parameters": int,
        "training": {},
        "native": bool,
        "threads": int,
        "solved_by": [str],
        "runs": [{"seed": int, "criteria": {str: int | None}, "sequences_seen": int, "seconds": float, "test": {}}],
        "failed": {str: str},
        "summary": {"seeds": int, "solved": int, "criteria": {}, "test": {}},
        "timings": {str: float},
        "environment": {},
        "command": str,
    }

    address: str
    model: str
    model_config: dict[str, Any]
    num_parameters: int
    training: dict[str, Any]  # every field of TrainConfig but the folder and the seed
    native: bool  # whether the runs were whole runs in native calls
    threads: int  # runs at a time
    solved_by: list[str]  # the criteria that a run has to meet to count as solved
    runs: list[dict[str, Any]]
    """of each finished seed, in order: {"seed", "criteria", "sequences_seen", "seconds", "test": metrics}"""
    failed: dict[str, str]  # seed -> why it has no record
    summary: dict[str, Any]
    """{"seeds", "solved": numbers, "criteria": {name: sequences to it}, "test": {metric: value}}; of each criterion and
    metric {"count", "median", "mean", "least", "most"} over the runs that have it"""
    timings: dict[str, float]  # seconds: "runs" of all together; "wall" of the command, where one did it all
    environment: dict[str, Any]
    command: str


@dataclass(kw_only=True)
class PaperRecord(Record):
    """`hs97.json`: rows of the tables of Hochreiter & Schmidhuber (1997), and what runs from many seeds came to."""

    FILE_NAME = "hs97.json"
    SHAPE: ClassVar[dict[str, Any]] = {
        "rows": {
            str: {
                "address": str,
                "success": {},
                "weights": int | None,
                "sequences": int,
                "wrong": float | None,
                "changes": str | None,
                "results": {
                    str: {
                        str: {
                            "seeds": [int],
                            "sequences": [int | None],
                            "seen": [int],
                            "test_wrong": [int],
                            "test_rows": int,
                            "seconds": [float],
                            "failed": {str: str},
                            "parameters": int,
                            "model_config": {},
                            "training": {},
                            "native": bool,
                            "threads": int,
                            "environment": {},
                            "command": str,
                        }
                    }
                },
            }
        },
    }

    rows: dict[str, dict[str, Any]]
    """name -> what the paper says: {"address", "success": the rule by which it counts, "weights" of its network,
    "sequences" to success, share of "wrong" test sequences, the "changes" of that network here, "results": {model:
    {"paper" or "strict": what its runs came to}}}. Of those, in the order of "seeds", without those that "failed" for a
    reason: "sequences" to success or None, sequences "seen", "test_wrong" of "test_rows", "seconds" of training and
    test; what they had in common; and the command and the machine"""


def what_else(folder: Path) -> str:
    """What a folder holds that is not what was looked for, to end a message with; nothing where that is unknown."""
    if not folder.is_dir():
        return ", which is no folder"
    kinds = {
        RunRecord.FILE_NAME: "a finished run",
        DatasetRecord.FILE_NAME: "a dataset",
        SweepRecord.FILE_NAME: "a sweep, which has a run for each seed in a folder of its own",
        CHECKPOINT: "a run that is not finished; `seqhub train` with --resume goes on",
    }
    return next((f", which holds {kind}" for name, kind in kinds.items() if (folder / name).is_file()), "")


def _misfits(value: Any, shape: Any, where: str = "") -> Iterator[str]:
    """Places at which a JSON value is not of a shape.

    A shape is a type, [shape of every item], {str: shape of every value} or {name: shape of its value}; besides such
    names there may be others.

    >>> list(_misfits({"a": [1, "2"], "b": {"x": None}}, {"a": [int], "b": {str: int | None}, "c": float}))
    ['a.1', 'c']
    >>> list(_misfits({"a": True, "b": True}, {"a": bool, "b": int}))
    ['b']
    """
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield where
            return
        for name in value if str in shape else shape:
            place = f"{where}.{name}".lstrip(".")
            if name in value:
                yield from _misfits(value[name], shape.get(str, shape.get(name)), place)
            else:
                yield place
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield where
            return
        for number, item in enumerate(value):
            yield from _misfits(item, shape[0], f"{where}.{number}")
    elif isinstance(value, bool) != (shape is bool) or not isinstance(value, int | float if shape is float else shape):
        yield where


def environment() -> dict[str, Any]:
    """Versions and machine size, for records. Nothing that names the machine or its user."""
    packages = ("seqhub", "torch", "transformers", "datasets", "accelerate", "huggingface_hub", "safetensors", "numpy")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: _version(name) for name in packages},
    }


def command_line() -> str:
    """The command that started this process; of absolute paths only the last part."""
    arguments = [Path(argument).name if Path(argument).is_absolute() else argument for argument in sys.argv]
    return " ".join(arguments)


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

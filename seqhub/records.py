"""What a stage leaves for the next, as JSON: one record beside every run and every dataset.

Cards, plots and tables are rendered from records and from nothing else, so a number nobody measured cannot
appear on them.
"""

import json
import os
import platform
import secrets
import sys
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from seqhub.errors import CorruptFileError, SaveError

FORMAT = 1  # raised when a field changes its meaning


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside, flush to disk, rename: `path` holds the old content or the new, never a part.

    Raises:
        SaveError: The disk is full or cannot be written; `path` is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SaveError(f"cannot write {path}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(kw_only=True)
class Record:
    """Common ways of every record: one JSON file, closed fields."""

    FILE_NAME = "record.json"

    format: int = FORMAT

    def save(self, folder: Path) -> Path:
        """Write the record into `folder` and return its path."""
        path = folder / self.FILE_NAME
        write_atomically(path, json.dumps(asdict(self), indent=2, allow_nan=False) + "\n")
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
            raise FileNotFoundError(f"no {cls.FILE_NAME} in {folder}")
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
        return cls(**values)


@dataclass(kw_only=True)
class DatasetRecord(Record):
    """`dataset.json`: what one build of a dataset is. Beside the Parquet files of all its configs."""

    FILE_NAME = "dataset.json"

    task: str
    task_version: int
    seed: int
    configs: dict[str, dict[str, Any]]
    """config -> {"splits": {split: {"rows", "digest", "bytes", "labels": {label: rows}, "mean_length"}},
    "overlap": {"train/test": number of distinct texts in both, ...}, "examples": [[text, label], ...]}"""
    seconds: float
    environment: dict[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(kw_only=True)
class RunRecord(Record):
    """`run.json`: what one training run was and what it measured. Beside the weights."""

    FILE_NAME = "run.json"

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
    """"split" of the address itself, or "config/split" of its siblings -> metrics (see evaluation.metrics)"""
    probe: dict[str, Any] = field(default_factory=dict)  # {"texts": [...], "logits": [[...]]} for `verify`
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256 of weights, config, code and tokenizer
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage
    environment: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def name(self) -> str:
        """Name of the repository this run is published as: qrsu-hard-lstm."""
        return f"{self.address.replace('/', '-')}-{self.model}"


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


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

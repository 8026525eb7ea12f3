"""Cells of a benchmark: settings, the hash that names their folder, and their records.

A cell is one measurement that runs as a whole, in one of four stages:

    probe     sizes and speed of a model on a task
    tune      a run from a tuning seed with one of the learning rates, and its accuracy on validation rows
    seeds     a run from a new seed with the chosen learning rate, and its accuracy on test rows
    lengths   the accuracy of the model of such a run on one test distribution

The folder `cells/SHA-256` is named by the settings, so a finished cell is never run again, and folders of several
machines are merged by copying.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from seqhub.errors import CorruptFileError
from seqhub.records.bench import CellRecord, CellSettings

Stage = Literal["probe", "tune", "seeds", "lengths"]
STAGES: tuple[Stage, ...] = get_args(Stage)

VERSION = 1  # raised when cells with equal settings would have other results
CELLS = "cells"  # folder within that of the benchmark
RUN = "run"  # folder of the training run within that of a cell


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Settings of one cell; the fields that a stage does not use are None.

    Args:
        stage: Stage of the benchmark.
        task: Task id.
        data: Content identity of the training rows, which covers the version of the task.
        model: Model id as in the grid.
        code: SHA-256 of the code of a model that is given by its path.
        params: Requested number of parameters without embedding and head; None for the size of the model id.
        recipe: Training settings, see `grid.RECIPE`.
        sized_model: Model id with the size that the probe found.
        budget: Number of training tokens: steps of the sequences without padding, whether they have a target or not.
        learning_rate: Highest learning rate.
        seed: Seed of weights and training rows.
        rows: Number of validation rows (tune) or test rows.
        distribution: Name of the test distribution.
        version: `VERSION`.
    """

    stage: Stage
    task: str
    data: str
    model: str
    code: str | None
    params: int | None
    recipe: Mapping[str, Any]
    sized_model: str | None = None
    budget: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    rows: int | None = None
    distribution: str | None = None
    version: int = VERSION

    def settings(self) -> CellSettings:
        """Return the settings as JSON values."""
        return cast("CellSettings", {each.name: getattr(self, each.name) for each in fields(self)})

    @property
    def key(self) -> str:
        """SHA-256 of the settings as JSON with sorted keys: 64 hexadecimal digits."""
        return key_of(self.settings())

    @property
    def parent(self) -> "Cell":
        """The cell that trained the model of a `lengths` cell."""
        return replace(self, stage="seeds", distribution=None)

    def folder(self, bench: Path) -> Path:
        """Return the folder of the cell in that of a benchmark."""
        return bench / CELLS / self.key

    def __str__(self) -> str:
        seed = "" if self.seed is None else f" seed {self.seed}"
        rate = "" if self.learning_rate is None else f" learning rate {self.learning_rate:g}"
        return (
            f"{self.stage} {self.task}{'@' + self.distribution if self.distribution else ''} {self.model}{rate}{seed}"
        )


def key_of(settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of settings, independent of the order of their keys.

    >>> key_of({"seed": 1, "task": "a/b"}) == key_of({"task": "a/b", "seed": 1})
    True
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_cell(bench: Path, cell: Cell) -> CellRecord | None:
    """Return the record of a cell; None if it has not been run, or if its record is incomplete."""
    folder = cell.folder(bench)
    if not (folder / CellRecord.FILE_NAME).is_file():
        return None
    try:
        record = CellRecord.load(folder)
    except CorruptFileError:  # copied only in part
        return None
    return record if key_of(record.settings) == cell.key else None


def read_cells(bench: Path, name: str = "") -> dict[str, CellRecord]:
    """Return the records of all cells of a folder, by key.

    Args:
        bench: The folder.
        name: Name of the folder in messages; default: its path.

    Raises:
        CorruptFileError: A record is not valid, is of another version, or is not in the folder of its settings.
    """
    found = {}
    for path in sorted((bench / CELLS).glob(f"*/{CellRecord.FILE_NAME}")):
        shown = f"{name or bench}/{path.relative_to(bench).as_posix()}"
        try:
            record = CellRecord.read(path)
        except CorruptFileError as error:
            raise CorruptFileError(f"{shown}: {str(error).removeprefix(f'{path}').lstrip(' :')}") from None
        version = record.settings["version"]
        if version != VERSION:
            raise CorruptFileError(
                f"{shown} is a cell of version {version}; this seqhub has version {VERSION}, whose results cannot be "
                "compared"
            )
        if key_of(record.settings) != path.parent.name:
            raise CorruptFileError(f"{shown}: its settings do not have the SHA-256 that names its folder")
        found[path.parent.name] = record
    return found

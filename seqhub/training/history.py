"""History of a run: one JSON line for each validation, written with or without other trackers."""

import json
from pathlib import Path
from typing import Any

from seqhub.errors import CorruptFileError

FILE_NAME = "history.jsonl"


class History:
    """Writer of history.jsonl, which has one line for each validation.

    Args:
        folder: Folder of the run.
        sequences: Lines after this number of training sequences are removed, because a resumed run writes them again.
        active: True on the main process only.
    """

    def __init__(self, folder: Path, sequences: int, active: bool) -> None:
        path = folder / FILE_NAME
        self._path = path if active else None
        if active:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["sequences"] <= sequences]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8", newline="\n")

    def append(self, row: dict[str, Any]) -> None:
        """Append one line to the file."""
        if self._path is not None:
            append_history(self._path.parent, row)


def append_history(folder: Path, row: dict[str, Any]) -> None:
    """Append one line to the history of a run."""
    with (folder / FILE_NAME).open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(row) + "\n")


def write_history(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write the complete history of a run."""
    (folder / FILE_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="\n")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the history of a run, in order; an empty list without a file.

    Raises:
        CorruptFileError: A line is not a valid row of a history.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all("sequences" in row for row in rows):
            raise ValueError("a line without the key sequences")
    except (ValueError, TypeError) as error:
        raise CorruptFileError(f"{path} is not a history of a run ({error})") from None
    return rows

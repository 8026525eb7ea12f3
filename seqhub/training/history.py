"""The course of a run, line by line: always written, whatever tracker is used beside it."""

import json
from pathlib import Path
from typing import Any

from seqhub.errors import CorruptFileError

FILE_NAME = "history.jsonl"


class History:
    """history.jsonl: one line a check, in the file as soon as it is known.

    Args:
        folder: The run's folder.
        sequences: Lines beyond this many training sequences are dropped: a resumed run writes them again.
        active: False on every process but the main one.
    """

    def __init__(self, folder: Path, sequences: int, active: bool) -> None:
        path = folder / FILE_NAME
        self._path = path if active else None
        if active:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["sequences"] <= sequences]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def append(self, row: dict[str, Any]) -> None:
        """Add one line."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")


def write_history(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write the history of a run that has ended."""
    (folder / FILE_NAME).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Rows of the history of a run, in order; none where there is no file.

    Raises:
        CorruptFileError: A line is no row of a history.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all("sequences" in row for row in rows):
            raise ValueError("a line without sequences")
    except (ValueError, TypeError) as error:
        raise CorruptFileError(f"{path} is no history of a run ({error})") from None
    return rows

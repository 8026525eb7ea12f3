"""Base class of all records: one JSON file with closed fields, whose schema is the annotations of the dataclass."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from seqhub.errors import CorruptFileError
from seqhub.io import write_atomically
from seqhub.records.schema import mismatches
from seqhub.tasks.ref import TaskField, TaskRef

FORMAT = 1  # raised when a field changes its meaning


@dataclass(kw_only=True)
class Record:
    """A JSON file of a stage.

    Nested values are the JSON values themselves; TypedDicts describe them, so that an editor knows their keys and a
    record that was read is written again byte for byte.
    """

    FILE_NAME: ClassVar[str] = "record.json"
    KEYS: ClassVar[dict[str, str]] = {}  # field -> its name in the file, where they differ

    format: int = FORMAT

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, under their names in the file."""
        return {self.KEYS.get(each.name, each.name): _plain(getattr(self, each.name)) for each in fields(self)}

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n"

    def save(self, folder: Path) -> Path:
        """Write the record into `folder` and return its path."""
        path = folder / self.FILE_NAME
        write_atomically(path, self.text())
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of `folder`.

        Raises:
            FileNotFoundError: The folder has none.
            CorruptFileError: The file is not valid JSON, of another format, or has other fields than this record.
        """
        path = Path(folder) / cls.FILE_NAME
        if not path.is_file():
            from seqhub.records.folders import other_content

            raise FileNotFoundError(f"no {cls.FILE_NAME} in {folder}{other_content(Path(folder))}")
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a file of any name; errors as in `load`."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorruptFileError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            given = values.get("format") if isinstance(values, dict) else type(values).__name__
            raise CorruptFileError(f"{path} has format {given!r}; this seqhub reads format {FORMAT}")
        names = {cls.KEYS.get(each.name, each.name): each.name for each in fields(cls)}
        if values.keys() != names.keys():
            wrong = ", ".join(sorted(values.keys() ^ names.keys()))
            raise CorruptFileError(f"{path}: fields missing or not known: {wrong}")
        hints = get_type_hints(cls)
        wrong = ", ".join(
            place
            for key, name in names.items()
            for place in mismatches(values[key], str if hints[name] is TaskField else hints[name], key)
        )
        if wrong:
            raise CorruptFileError(f"{path}: values missing or of another type: {wrong}")
        return cls(**{names[key]: value for key, value in values.items()})


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, TaskRef) else value

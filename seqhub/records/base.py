"""Base class of all records: one JSON file with a fixed set of fields, checked against the dataclass annotations."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from seqhub.errors import CorruptFileError
from seqhub.io import write_atomically
from seqhub.models.ids import ModelId
from seqhub.records.schema import mismatches
from seqhub.tasks.ref import TaskField, TaskRef

FORMAT = 1  # raised when a field changes its meaning


@dataclass(kw_only=True)
class Record:
    """JSON file that a stage writes.

    Nested values are plain JSON values, described by TypedDicts, so that editors can complete their keys and saving a
    loaded record reproduces the file byte for byte.
    """

    FILE_NAME: ClassVar[str] = "record.json"
    KEYS: ClassVar[dict[str, str]] = {}  # field -> key in the file, if different
    OPTIONAL: ClassVar[tuple[str, ...]] = ()  # fields that earlier versions did not write; None is not written

    format: int = FORMAT

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, by their keys in the file."""
        return {
            self.KEYS.get(each.name, each.name): _plain(value)
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None or each.name not in self.OPTIONAL
        }

    def text(self) -> str:
        """Return the record as JSON text, the content of the file."""
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
            FileNotFoundError: The folder does not have one.
            CorruptFileError: The file is not valid JSON, has another format, or has other fields than this record.
        """
        path = Path(folder) / cls.FILE_NAME
        if not path.is_file():
            from seqhub.records.folders import other_content

            raise FileNotFoundError(f"no {cls.FILE_NAME} in {folder}{other_content(Path(folder))}")
        return cls.read(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record from a file of any name; errors as in `load`.

        A task or model may be a local file or folder with code. A folder that was downloaded could name code that came
        with it, which would run without the user's consent, so such a record is an error. A model in a file is not: it
        is imported only if its content is that of the saved copy, or with consent (`evaluation.load`).
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CorruptFileError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            given = values.get("format") if isinstance(values, dict) else type(values).__name__
            raise CorruptFileError(f"{path} has format {given!r}; this seqhub reads format {FORMAT}")
        names = {cls.KEYS.get(each.name, each.name): each.name for each in fields(cls)}
        if wrong := ", ".join(sorted((values.keys() ^ names.keys()) - (set(cls.OPTIONAL) - values.keys()))):
            raise CorruptFileError(f"{path}: missing or unknown fields: {wrong}")
        hints = get_type_hints(cls)
        wrong = ", ".join(
            place
            for key, name in names.items()
            if key in values
            for place in mismatches(values[key], str if hints[name] is TaskField else hints[name], key)
        )
        if wrong:
            raise CorruptFileError(f"{path}: missing values or values of a wrong type: {wrong}")
        for key in ("address", "task", "model"):
            if isinstance(values.get(key), str) and _names_code_within(values[key], path.parent):
                raise CorruptFileError(
                    f"{path}: {key} {values[key]!r} is code in the folder of the record; it is not run"
                )
        return cls(**{names[key]: value for key, value in values.items()})


def _names_code_within(name: str, folder: Path) -> bool:
    """Return whether a task id or a model preset is a path of code in a folder."""
    file, is_file, _ = name.partition(".py/")
    model = ModelId(name)
    code = (
        f"{file}.py" if is_file else name if name.endswith(".py") else model.place if model.scheme == "family" else ""
    )
    return bool(code) and Path(code).resolve().is_relative_to(folder.resolve())


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, TaskRef) else value

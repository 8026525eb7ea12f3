"""Where the rows of a run come from: a task, a built folder, or a file that the user supplies.

A file that the user supplies stands in place of a task's rows, for the config `own`:

    lines   a text in UTF-8: each line is a row, cut every `window` characters; what is left of a line at its end is a
            row too, if it has two characters or more. The alphabet is every character of the file, by code point.
    csv     a text and a label in each row, in the columns that `text` and `label` name, in any format of `tabular`.
            Words are what white space separates. With `unknown`, words that are once in the training rows, or never,
            share one id that is there for every word to come; without it every word of the file has its own and others
            are refused.
    vectors sequences of real vectors with a label each, see `vectors`.

Rows go to a split by their content, see `assignment`: the text of a line or window, the words of a text with one space
between, the values of a sequence.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.arrow import batch_table, rows_table
from seqhub.data.assignment import RULE, assign
from seqhub.data.digest import digest
from seqhub.data.split_sizes import published_sizes
from seqhub.data.tabular import text_of, text_rows
from seqhub.data.vectors import read_vectors
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.records import DatasetRecord, RunRecord
from seqhub.tasks.registry import resolve
from seqhub.tasks.schema import OWN, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows, Split
from seqhub.tasks.vocabulary import MOST_SYMBOLS, Vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

STREAM, PUBLISHED = "stream", "splits"  # sources of training rows that are neither a folder nor a file

OTHER = "[other]"  # stands in a row for a word without an id of its own

_MOST_VALUES = 1 << 28  # symbols of all rows, each as long as the longest


class Source:
    """Where the rows of an address come from: the task itself, a folder that was built from it, or a file.

    Every stage of a run takes its rows from one source, which reads a file or folder once.

    Args:
        address: Task and config, as in `qrsu/hard`; or, with a file, `char_completion/own`.
        file: The file with the rows, for the config `own`.
        options: How to read it, see the top of this module: `window`; or `text`, `label`, `unknown`.
        data: Where the training rows of other configs come from: `stream` (drawn without end), `splits` (those
            published) or a folder of `data.parquet`.

    Attributes:
        address: As given.
        kind: `stream`, `splits`, `folder` or `file`.
        name: What a record calls it: `stream`, `splits`, or the name of the folder or file without its path.
        layout: What the rows hold.

    Raises:
        UnknownNameError: No such task, config or option.
        InvalidConfigError: An option of another kind or outside its range.
        InvalidInputError: The file cannot be read as what it should be, or there is one and the address needs none,
            or the other way round. The message names file and position.
    """

    def __init__(
        self,
        address: str,
        file: Path | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        data: str = STREAM,
    ) -> None:
        task, config = resolve(address)
        self.address = address
        self._file = None if file is None or config is not OWN else _READERS[task.own](file, address, options or {})
        if file is not None and config is not OWN:
            raise InvalidInputError(f"file {file} for {address}, which has rows of its own")
        if options and config is not OWN:
            raise UnknownNameError.of(f"data option of {address}", next(iter(options)), ["none"])
        self.layout = self.split().layout
        self.kind: Literal["stream", "splits", "folder", "file"]
        if file is not None:
            self.kind, self.name = "file", file.name
        elif data in (STREAM, PUBLISHED):
            self.kind, self.name = ("stream" if data == STREAM else "splits"), data
        else:
            self.kind, self.name = "folder", Path(data).name
        self._folder = Path(data)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each split: of a file all that it has, of a task those that are published."""
        if self._file is None:
            return published_sizes(self.address)
        return {name: len(batch) for name, batch in self._file.splits.items()}

    @classmethod
    def of_run(cls, record: RunRecord, file: Path | None = None) -> "Source":
        """The source of the rows of a finished run.

        Raises:
            InvalidInputError: The run was trained on a file, and it is not given, or has other rows by now; or the run
                is of another version of the task, or of the rule by which the rows of a file go to splits.
        """
        task, config = resolve(record.address)
        version = record.data.get("task_version", task.version)
        if version != task.version:
            raise InvalidInputError(
                f"run on version {version} of {task.name}, whose rows are others than those of version {task.version} "
                "that this seqhub has; train it again"
            )
        if config is OWN and file is not None and record.data and record.data.get("split_rule", 1) != RULE:
            raise InvalidInputError(
                f"run on {record.data.get('source')} by an earlier seqhub, which shared out the rows of a file by rule "
                f"{record.data.get('split_rule', 1)}; this one has rule {RULE}, with other splits, so train it again"
            )
        source = cls(record.address, file, record.training.get("data_options"))
        if source.kind == "file" and source.identity != record.data.get("identity"):
            raise InvalidInputError(f"{file} has other rows than the {record.data['source']} of this run had")
        return source

    @cached_property
    def identity(self) -> str:
        """SHA-256 that names the content: 64 hexadecimal digits, equal for equal rows wherever they are kept.

        It covers what the rows hold (symbols, classes, sizes), the task with its version and parameters, and the rows:
        of a file those of all splits; of a folder and of published splits those for training, as they were loaded; of a
        stream the first block, whatever its seed.
        """
        task, config = resolve(self.address)
        layout = self.layout
        alphabet = layout.alphabet
        symbols = None if alphabet is None else [list(alphabet.symbols), alphabet.separator, alphabet.unknown]
        facts: dict[str, Any] = {
            "kind": self.kind,
            "task": task.name,
            "version": task.version,
            "config": None if config is OWN else config.parameters(),
            "layout": [symbols, layout.step_shape, layout.target, layout.labels, layout.tolerance],
        }
        if self.kind == "file":
            facts["rows"] = {name: digest(self.table(name)) for name in SPLITS}
        elif self.kind == "stream":
            facts["rows"] = digest(batch_table(self.first_block, layout))
        else:
            facts["rows"] = self.training_digest
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    @cached_property
    def first_block(self) -> Batch:
        """The first rows for training at seed 0, 1,024 at most; for what wants to see some before a run."""
        return self.split().blocks(0, 1)

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the rows, computed once by `describe`."""
        from seqhub.data.describe import describe  # it looks at sources

        return describe(self)

    @cached_property
    def training_digest(self) -> str:
        """The digest of all training rows of a source that is not a stream."""
        return digest(self.training_rows)

    @cached_property
    def training_rows(self) -> "Dataset | pa.Table":
        """All training rows of a source that is not a stream, read once.

        Raises:
            FileNotFoundError, UnknownNameError, InvalidInputError, CorruptFileError: See `export.load_folder`.
        """
        if self.kind == "splits":
            from seqhub.data.builder import load_dataset  # not above: it imports `datasets`, which takes a second

            return load_dataset(self.address, split="train")
        if self.kind == "folder":
            from seqhub.data.parquet import load_folder

            rows = load_folder(self._folder, self.address, "train")
            assert self.seed is not None  # read now: the folder may be built anew while a run goes on
            return rows
        return self.table()

    @cached_property
    def seed(self) -> int:
        """The seed of the training rows of a built folder; 0 of a file and of what is published."""
        return DatasetRecord.load(self._folder).seed if self.kind == "folder" else 0

    def table(self, name: str = "train") -> pa.Table:
        """All rows of a split, those published where they are drawn."""
        return rows_table(self.split(name), 0, self.sizes[name])

    def split(self, name: str = "train", seed: int = 0) -> Split:
        """A split, to take rows from."""
        return Split(self.address, name, seed, self._file)


@dataclass(frozen=True)
class LinesOptions:
    """How to read a text."""

    window: int = 128  # most characters of a row


@dataclass(frozen=True)
class CsvOptions:
    """Options for reading a table of texts."""

    text: str = "text"  # name of a column
    label: str = "label"  # name of a column
    unknown: bool = True  # one id for all words that training does not teach


def _read_lines(file: Path, address: str, options: Mapping[str, Any]) -> FileRows:
    window = _options(LinesOptions, options, address).window
    if not 2 <= window <= OWN.length[1]:
        raise InvalidConfigError(f"data option window {window} of {address}; need 2 to {OWN.length[1]:,} characters")
    lines = text_of(file).splitlines()
    rows = [line[start : start + window] for line in lines for start in range(0, len(line), window)]
    rows = [row for row in rows if len(row) >= 2]  # one character has no next one
    named = [None] * len(rows)
    places = assign([row.encode() for row in rows], named, "lines of two characters or more", file)
    symbols = sorted(set("".join(rows)))
    layout = TaskSchema(alphabet=_alphabet(symbols, "", file), target="next_symbol")
    return _file_rows(layout, rows, np.empty((len(rows), 0), np.int64), places, file)


def _read_csv(file: Path, address: str, options: Mapping[str, Any]) -> FileRows:
    chosen = _options(CsvOptions, options, address)
    found = list(text_rows(file, chosen.text, chosen.label))
    rows = [row.text for row in found]
    classes, names = labels.class_names(row.label for row in found)
    if not 2 <= len(names) <= labels.MOST:
        raise InvalidInputError(
            f"{len(names):,} different labels in column {chosen.label!r} of {file}; need 2 to {labels.MOST}"
        )
    places = assign([row.encode() for row in rows], [row.split for row in found], "texts", file)
    training = [row for row, place in zip(found, places, strict=True) if place == 0]
    taught = {classes[row.label] for row in training}
    missing = next((name for name in names if name not in taught), None)
    if missing is not None:
        raise InvalidInputError(f"label {missing!r} of {file} has no row among those for training; it needs more rows")
    if chosen.unknown:
        counts = Counter(word for row in training for word in row.text.split(" "))
        words = sorted(word for word, count in counts.items() if count > 1 and word != OTHER)
        alphabet = _alphabet(words, " ", file, OTHER)
    else:
        alphabet = _alphabet(sorted({word for row in rows for word in row.split(" ")}), " ", file)
    numbers = {text: names.index(name) for text, name in classes.items()}
    layout = TaskSchema(alphabet=alphabet, labels=names)
    return _file_rows(layout, rows, np.array([numbers[row.label] for row in found]), places, file)


def _read_vectors(file: Path, address: str, options: Mapping[str, Any]) -> FileRows:
    if options:
        raise UnknownNameError.of(f"data option of {address}", next(iter(options)), ["none"])
    return read_vectors(file)


_READERS = {"lines": _read_lines, "csv": _read_csv, "vectors": _read_vectors}


def _options(kind: type[Any], given: Mapping[str, Any], address: str) -> Any:
    """Options as an object of `kind`."""
    types = get_type_hints(kind)
    for name, value in given.items():
        if name not in types:
            raise UnknownNameError.of(f"data option of {address}", name, [each.name for each in fields(kind)])
        if type(value) is not types[name]:
            raise InvalidConfigError(f"data option {name} {value!r} of {address}; need a value like {kind()!r}")
    return kind(**given)


def _alphabet(symbols: Sequence[str], separator: str, file: Path, unknown: str = "") -> Vocabulary:
    if not 1 <= len(symbols) <= MOST_SYMBOLS - 1:
        kind = "words" if separator else "characters"
        often = " that stand more than once among the training rows" if unknown else ""
        raise InvalidInputError(f"{len(symbols):,} different {kind}{often} in {file}; need 1 to {MOST_SYMBOLS - 1:,}")
    return Vocabulary(tuple(symbols), separator, file.name, unknown)


def _file_rows(
    layout: TaskSchema, rows: Sequence[str], numbers: NDArray[np.int64], places: NDArray[np.int64], file: Path
) -> FileRows:
    alphabet = layout.alphabet
    assert alphabet is not None
    lengths = np.array([1 + row.count(" ") if alphabet.separator else len(row) for row in rows])
    longest = int(lengths.max())
    if longest > OWN.length[1] or longest * len(rows) > _MOST_VALUES:
        raise InvalidInputError(
            f"{len(rows):,} rows of up to {longest:,} symbols in {file}; need {OWN.length[1]:,} symbols or fewer, and "
            f"{_MOST_VALUES:,} in all rows were each as long as the longest"
        )
    inputs = np.zeros((len(rows), longest), np.uint8 if alphabet.bytewise else np.uint16)
    for number, row in enumerate(rows):
        inputs[number, : lengths[number]] = list(row.encode()) if alphabet.bytewise else alphabet.encode(row)
    whole = Batch(inputs, lengths, numbers)
    return FileRows(layout, {name: whole[np.flatnonzero(places == place)] for place, name in enumerate(SPLITS)})

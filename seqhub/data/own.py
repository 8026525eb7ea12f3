"""A file of the user's in place of a task's rows: its splits, alphabet and labels.

    lines   a text in UTF-8: each line is a row, cut every `window` characters; what is left of a line at its end is a
            row too, if it has two characters or more. The alphabet is every character of the file, by code point.
    csv     a header, and in each line a text and a label, in the columns that `text` and `label` name. Words are what
            white space separates. With `unknown`, words that stand once in the training rows, or never, share one id
            that is there for every word to come; without it every word of the file has its own and others are refused.
    vectors sequences of real vectors with a label each, see `vectors`.

Rows go to a split by their content: the different texts, ranked by SHA-256, eight tenths for training, then one each
for validation and test. So equal texts share a split, and the same file gives the same splits everywhere.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.data.digest import digest
from seqhub.data.sizes import published_sizes
from seqhub.data.table import rows_table
from seqhub.data.vectors import read_vectors
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.records import RunRecord
from seqhub.tasks.alphabet import MOST_SYMBOLS, Alphabet
from seqhub.tasks.base import OWN, Batch, Layout
from seqhub.tasks.registry import resolve
from seqhub.tasks.splits import SPLITS, FileRows, Split

OTHER = "[other]"  # stands in a row for a word without an id of its own

_MOST_BYTES = 1 << 26
_MOST_VALUES = 1 << 28  # symbols of all rows, each as long as the longest
_MOST_LABELS = 100
_FEWEST_TEXTS = sum(SPLITS.values())  # so that each split gets one
_BOM = b"\xef\xbb\xbf"


class Source:
    """Where the rows of an address come from: from the task itself, or from a file.

    Whoever needs the rows of a run asks its source, so that all of them see the same ones.

    Args:
        address: Task and config, as in `qrsu/hard`; or, with a file, `char_completion/own`.
        file: Whose rows they are, for the config `own`.
        options: How to read it, see the top of this module: `window`; or `text`, `label`, `unknown`.

    Raises:
        UnknownNameError: No such task, config or option.
        InvalidConfigError: An option of another kind or outside its range.
        InvalidInputError: The file cannot be read as what it should be, or there is one and the address needs none,
            or the other way round. The message names file and position.
    """

    def __init__(self, address: str, file: Path | None = None, options: Mapping[str, Any] | None = None) -> None:
        task, config = resolve(address)
        self.address = address
        self._file = None if file is None or config is not OWN else _READERS[task.own](file, address, options or {})
        if file is not None and config is not OWN:
            raise InvalidInputError(f"file {file} for {address}, which has rows of its own")
        if options and config is not OWN:
            raise UnknownNameError.of(f"data option of {address}", next(iter(options)), ["none"])
        self.layout = self.split().layout

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
            InvalidInputError: The run was trained on a file, and it is not given, or has other rows by now.
        """
        source = cls(record.address, file, record.training.get("data_options"))
        if source.identity not in ({}, {"rows": record.data["digest"]}):
            raise InvalidInputError(f"{file} has other rows than the {record.data['source']} of this run had")
        return source

    @property
    def identity(self) -> dict[str, str]:
        """What says of a file that it is the same one, by its training rows; of a task nothing."""
        return {} if self._file is None else {"rows": digest(self.table())}

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
    """How to read a CSV."""

    text: str = "text"  # name of a column
    label: str = "label"  # name of a column
    unknown: bool = True  # one id for all words that training does not teach


def _read_lines(file: Path, address: str, options: Mapping[str, Any]) -> FileRows:
    window = _options(LinesOptions, options, address).window
    if not 2 <= window <= OWN.length[1]:
        raise InvalidConfigError(f"data option window {window} of {address}; need 2 to {OWN.length[1]:,} characters")
    lines = _text_of(file).splitlines()
    rows = [line[start : start + window] for line in lines for start in range(0, len(line), window)]
    rows = [row for row in rows if len(row) >= 2]  # one character has no next one
    owners = _owners(rows, file, "lines of two characters or more")
    symbols = sorted(set("".join(rows)))
    layout = Layout(alphabet=_alphabet(symbols, "", file), target="next_symbol")
    return _file_rows(layout, rows, np.empty((len(rows), 0), np.int64), owners, file)


def _read_csv(file: Path, address: str, options: Mapping[str, Any]) -> FileRows:
    chosen = _options(CsvOptions, options, address)
    pairs = list(csv_pairs(file, chosen))
    rows, labels = [text for text, _ in pairs], [label for _, label in pairs]
    owners = _owners(rows, file, "texts")
    names = sorted(set(labels))
    if not 2 <= len(names) <= _MOST_LABELS:
        raise InvalidInputError(
            f"{len(names):,} different labels in column {chosen.label!r} of {file}; need 2 to {_MOST_LABELS}"
        )
    training = [row for row, owner in zip(rows, owners, strict=True) if owner == 0]
    taught = {label for label, owner in zip(labels, owners, strict=True) if owner == 0}
    missing = next((name for name in names if name not in taught), None)
    if missing is not None:
        raise InvalidInputError(f"label {missing!r} of {file} has no row among those for training; it needs more rows")
    if chosen.unknown:
        counts = Counter(word for row in training for word in row.split(" "))
        words = sorted(word for word, count in counts.items() if count > 1 and word != OTHER)
        alphabet = _alphabet(words, " ", file, OTHER)
    else:
        alphabet = _alphabet(sorted({word for row in rows for word in row.split(" ")}), " ", file)
    numbers = {name: number for number, name in enumerate(names)}
    layout = Layout(alphabet=alphabet, labels=tuple(names))
    return _file_rows(layout, rows, np.array([numbers[label] for label in labels]), owners, file)


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


def _text_of(file: Path) -> str:
    """The text of a file in UTF-8; a message names file and byte, counted from 0."""
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise InvalidInputError(f"{file} has {size:,} bytes; need {_MOST_BYTES:,} or fewer")
        content = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror or error}") from error
    skipped = len(_BOM) if content.startswith(_BOM) else 0
    wrong = content.find(b"\0")  # UTF-16, most likely
    try:
        text = content[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        first = error.start + skipped
        wrong = first if wrong < 0 else min(wrong, first)
    if wrong >= 0:
        raise InvalidInputError(f"byte 0x{content[wrong]:02x} at position {wrong} of {file}; need a text in UTF-8")
    if not text.strip():
        raise InvalidInputError(f"{file} is empty; need {_FEWEST_TEXTS} rows or more")
    return text


def csv_pairs(file: Path, chosen: CsvOptions) -> Iterator[tuple[str, str]]:
    """Text, its words with one space between, and label of each line."""
    reader = csv.reader(io.StringIO(_text_of(file), newline=""))
    try:
        header = [name.strip() for name in next(reader)]
        missing = [name for name in (chosen.text, chosen.label) if header.count(name) != 1]
        if missing:
            shown = ", ".join(map(repr, header[:10]))
            raise InvalidInputError(f"columns {shown} of {file}; need {missing[0]!r} once, or name another one")
        places = header.index(chosen.text), header.index(chosen.label)
        for values in reader:
            if not values:  # an empty line
                continue
            if len(values) != len(header):
                raise InvalidInputError(
                    f"{len(values)} values in line {reader.line_num} of {file}; the header has {len(header)} columns"
                )
            text, label = " ".join(values[places[0]].split()), values[places[1]].strip()
            if not text or not label:
                raise InvalidInputError(f"no {'label' if text else 'text'} in line {reader.line_num} of {file}")
            yield text, label
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num} of {file} is no CSV: {error}") from None


def _owners(rows: Sequence[str], file: Path, what: str) -> list[int]:
    """Which split each row goes to, as an index into SPLITS."""
    ranked = sorted(set(rows), key=lambda row: hashlib.sha256(row.encode()).digest())
    if len(ranked) < _FEWEST_TEXTS:
        raise InvalidInputError(f"{len(ranked)} different {what} in {file}; need {_FEWEST_TEXTS} or more")
    shares = np.cumsum(list(SPLITS.values())) / sum(SPLITS.values())
    places = np.searchsorted(shares, (np.arange(len(ranked)) + 0.5) / len(ranked))
    owner = dict(zip(ranked, places.tolist(), strict=True))
    return [owner[row] for row in rows]


def _alphabet(symbols: Sequence[str], separator: str, file: Path, unknown: str = "") -> Alphabet:
    if not 1 <= len(symbols) <= MOST_SYMBOLS - 1:
        kind = "words" if separator else "characters"
        often = " that stand more than once among the training rows" if unknown else ""
        raise InvalidInputError(f"{len(symbols):,} different {kind}{often} in {file}; need 1 to {MOST_SYMBOLS - 1:,}")
    return Alphabet(tuple(symbols), separator, file.name, unknown)


def _file_rows(
    layout: Layout, rows: Sequence[str], labels: NDArray[np.int64], owners: Sequence[int], file: Path
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
    whole = Batch(inputs, lengths, labels)
    numbers = np.array(owners)
    return FileRows(layout, {name: whole[np.flatnonzero(numbers == place)] for place, name in enumerate(SPLITS)})

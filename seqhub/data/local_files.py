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

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.assignment import assign
from seqhub.data.tabular import read_text, text_rows
from seqhub.data.vectors import read_vectors
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import CUSTOM, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows
from seqhub.tasks.vocabulary import MAX_SYMBOLS, Vocabulary

if TYPE_CHECKING:
    pass

OTHER = "[other]"  # stands in a row for a word without an id of its own

_MOST_VALUES = 1 << 28  # symbols of all rows, each as long as the longest


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


def _read_lines(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    window = _options(LinesOptions, options, task).window
    if not 2 <= window <= CUSTOM.length[1]:
        raise InvalidConfigError(f"data option window {window} of {task}; need 2 to {CUSTOM.length[1]:,} characters")
    lines = read_text(file).splitlines()
    rows = [line[start : start + window] for line in lines for start in range(0, len(line), window)]
    rows = [row for row in rows if len(row) >= 2]  # one character has no next one
    named = [None] * len(rows)
    places = assign([row.encode() for row in rows], named, "lines of two characters or more", file)
    symbols = sorted(set("".join(rows)))
    schema = TaskSchema(vocabulary=_alphabet(symbols, "", file), target="next_symbol")
    return _file_rows(schema, rows, np.empty((len(rows), 0), np.int64), places, file)


def _read_csv(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    chosen = _options(CsvOptions, options, task)
    found = list(text_rows(file, chosen.text, chosen.label))
    rows = [row.text for row in found]
    classes, names = labels.class_names(row.label for row in found)
    if not 2 <= len(names) <= labels.MAX_CLASSES:
        raise InvalidInputError(
            f"{len(names):,} different labels in column {chosen.label!r} of {file}; need 2 to {labels.MAX_CLASSES}"
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
        vocabulary = _alphabet(words, " ", file, OTHER)
    else:
        vocabulary = _alphabet(sorted({word for row in rows for word in row.split(" ")}), " ", file)
    numbers = {text: names.index(name) for text, name in classes.items()}
    schema = TaskSchema(vocabulary=vocabulary, labels=names)
    return _file_rows(schema, rows, np.array([numbers[row.label] for row in found]), places, file)


def _read_vectors(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    if options:
        raise UnknownNameError.of(f"data option of {task}", next(iter(options)), ["none"])
    return read_vectors(file)


READERS = {"lines": _read_lines, "csv": _read_csv, "vectors": _read_vectors}


def _options(kind: type[Any], given: Mapping[str, Any], task: TaskRef) -> Any:
    """Options as an object of `kind`."""
    types = get_type_hints(kind)
    for name, value in given.items():
        if name not in types:
            raise UnknownNameError.of(f"data option of {task}", name, [each.name for each in fields(kind)])
        if type(value) is not types[name]:
            raise InvalidConfigError(f"data option {name} {value!r} of {task}; need a value like {kind()!r}")
    return kind(**given)


def _alphabet(symbols: Sequence[str], separator: str, file: Path, unknown: str = "") -> Vocabulary:
    if not 1 <= len(symbols) <= MAX_SYMBOLS - 1:
        kind = "words" if separator else "characters"
        often = " that stand more than once among the training rows" if unknown else ""
        raise InvalidInputError(f"{len(symbols):,} different {kind}{often} in {file}; need 1 to {MAX_SYMBOLS - 1:,}")
    return Vocabulary(tuple(symbols), separator, file.name, unknown)


def _file_rows(
    schema: TaskSchema, rows: Sequence[str], numbers: NDArray[np.int64], places: NDArray[np.int64], file: Path
) -> FileRows:
    vocabulary = schema.vocabulary
    assert vocabulary is not None
    lengths = np.array([1 + row.count(" ") if vocabulary.separator else len(row) for row in rows])
    longest = int(lengths.max())
    if longest > CUSTOM.length[1] or longest * len(rows) > _MOST_VALUES:
        raise InvalidInputError(
            f"{len(rows):,} rows of up to {longest:,} symbols in {file}; allowed: {CUSTOM.length[1]:,} symbols, and "
            f"{_MOST_VALUES:,} in all rows were each as long as the longest"
        )
    inputs = np.zeros((len(rows), longest), np.uint8 if vocabulary.bytewise else np.uint16)
    for number, row in enumerate(rows):
        inputs[number, : lengths[number]] = list(row.encode()) if vocabulary.bytewise else vocabulary.encode(row)
    whole = Batch(inputs, lengths, numbers)
    return FileRows(schema, {name: whole[np.flatnonzero(places == place)] for place, name in enumerate(SPLITS)})

"""Readers of files that the user supplies, for the config `custom` of a task.

The format of the file is `Task.custom_format`:

    lines   a text in UTF-8. Each line is divided into rows of `window` characters; the rest of a line is also a row if
            it has two characters or more. The vocabulary has all characters of the file, in the order of code points.
    csv     a text and a label in each row, in the columns `text` and `label`, in any format of `table_reader`. Words
    are
            separated by white space. With `unknown`, words that occur less than twice in the training rows have the id
            of the unknown word, and so do new words later; without it every word of the file has an id, and other words
            raise an error.
    vectors sequences of real vectors with labels, see `vectors`.
    table   rows of any kind, for the task `file`, see `file_rows`.

Rows are assigned to splits by their content, see `assignment`: the text of a line or window, the words of a text
separated by single spaces, or the values of a sequence.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.assignment import assign
from seqhub.data.file_rows import read_rows
from seqhub.data.image_columns import table_of
from seqhub.data.labelled_texts import text_rows
from seqhub.data.table_reader import forget_table, text_lines
from seqhub.data.vectors import read_vectors
from seqhub.errors import InvalidConfigError, InvalidInputError, UnknownNameError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import CUSTOM, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows
from seqhub.tasks.vocabulary import MAX_SYMBOLS, Vocabulary

OTHER = "[other]"  # the unknown word in decoded rows

_MAX_VALUES = 1 << 28  # symbols of all rows, padded to the longest


@dataclass(frozen=True)
class LinesOptions:
    """Options for reading a text."""

    window: int = 128  # largest number of characters of a row


@dataclass(frozen=True)
class CsvOptions:
    """Options for reading a table of texts."""

    text: str = "text"  # name of a column
    label: str = "label"  # name of a column
    unknown: bool = True  # use one id for all words that are rare in the training rows


def _read_lines(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    window = _options(LinesOptions, options, task).window
    if not 2 <= window <= CUSTOM.length[1]:
        raise InvalidConfigError(
            f"window={window}: must be 2 to {CUSTOM.length[1]:,} characters (data option of {task})"
        )
    lines = [line for text in text_lines(file) for line in text.splitlines()]
    if not any(line.strip() for line in lines):
        raise InvalidInputError(f"{file} is empty; need 10 rows or more")
    rows = [line[start : start + window] for line in lines for start in range(0, len(line), window)]
    rows = [row for row in rows if len(row) >= 2]  # a single character has no next one
    named = [None] * len(rows)
    places = assign([row.encode() for row in rows], named, "lines of two characters or more", file)
    symbols = sorted(set("".join(rows)))
    schema = TaskSchema(vocabulary=_vocabulary(symbols, "", file), target="next_symbol")
    return _file_rows(schema, rows, np.empty((len(rows), 0), np.int64), places, file)


def _read_csv(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    chosen = _options(CsvOptions, options, task)
    found = list(text_rows(file, chosen.text, chosen.label))
    rows = [row.text for row in found]
    classes, names = labels.class_names(row.label for row in found)
    if not 2 <= len(names) <= labels.MAX_CLASSES:
        raise InvalidInputError(
            f"{len(names):,} different labels in column {chosen.label!r} of {file}; need 2 to {labels.MAX_CLASSES:,}"
        )
    places = assign([row.encode() for row in rows], [row.split for row in found], "texts", file)
    training = [row for row, place in zip(found, places, strict=True) if place == 0]
    seen = {classes[row.label] for row in training}
    missing = next((name for name in names if name not in seen), None)
    if missing is not None:
        raise InvalidInputError(f"label {missing!r} of {file} has no training row; add rows with this label")
    if chosen.unknown:
        counts = Counter(word for row in training for word in row.text.split(" "))
        words = sorted(word for word, count in counts.items() if count > 1 and word != OTHER)
        vocabulary = _vocabulary(words, " ", file, OTHER)
    else:
        vocabulary = _vocabulary(sorted({word for row in rows for word in row.split(" ")}), " ", file)
    numbers = {text: names.index(name) for text, name in classes.items()}
    schema = TaskSchema(vocabulary=vocabulary, labels=names)
    return _file_rows(schema, rows, np.array([numbers[row.label] for row in found]), places, file)


def _read_vectors(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    if options:
        raise UnknownNameError.of(f"data option of {task}", next(iter(options)), ["none"])
    return read_vectors(file)


def _read_table(file: Path, task: TaskRef, options: Mapping[str, Any]) -> FileRows:
    try:
        status = table_of(file).stat()
        size, changed = status.st_size, status.st_mtime_ns
    except (OSError, InvalidInputError):  # `read_rows` raises the error
        size, changed = 0, 0
    return _rows_once(file, task, json.dumps(dict(options), sort_keys=True), size, changed)


@lru_cache(maxsize=1)
def _rows_once(file: Path, task: TaskRef, options: str, size: int, changed: int) -> FileRows:
    """Read the rows of a file; cached by its size and modification time, for the stages of one command."""
    try:
        return read_rows(file, task, json.loads(options))
    finally:
        forget_table()


READERS = {"lines": _read_lines, "csv": _read_csv, "vectors": _read_vectors, "table": _read_table}


def _options(kind: type[Any], given: Mapping[str, Any], task: TaskRef) -> Any:
    """Return options as an object of type `kind`."""
    types = get_type_hints(kind)
    for name, value in given.items():
        if name not in types:
            raise UnknownNameError.of(f"data option of {task}", name, [each.name for each in fields(kind)])
        if type(value) is not types[name]:
            raise InvalidConfigError(
                f"{name}={value!r}: must be of type {types[name].__name__}, as in {kind()!r} (data option of {task})"
            )
    return kind(**given)


def _vocabulary(symbols: Sequence[str], separator: str, file: Path, unknown: str = "") -> Vocabulary:
    if not 1 <= len(symbols) <= MAX_SYMBOLS - 1:
        kind = "words" if separator else "characters"
        often = " that occur more than once in the training rows" if unknown else ""
        raise InvalidInputError(f"{len(symbols):,} different {kind}{often} in {file}; need 1 to {MAX_SYMBOLS - 1:,}")
    return Vocabulary(tuple(symbols), separator, file.name, unknown)


def _file_rows(
    schema: TaskSchema, rows: Sequence[str], numbers: NDArray[np.int64], places: NDArray[np.int64], file: Path
) -> FileRows:
    vocabulary = schema.vocabulary
    assert vocabulary is not None
    lengths = np.array([1 + row.count(" ") if vocabulary.separator else len(row) for row in rows])
    longest = int(lengths.max())
    if longest > CUSTOM.length[1] or longest * len(rows) > _MAX_VALUES:
        raise InvalidInputError(
            f"{len(rows):,} rows of up to {longest:,} symbols in {file}; allowed: {CUSTOM.length[1]:,} symbols in a "
            f"row, and {_MAX_VALUES:,} in all rows, padded to the longest"
        )
    inputs = np.zeros((len(rows), longest), np.uint8 if vocabulary.bytewise else np.uint16)
    for number, row in enumerate(rows):
        inputs[number, : lengths[number]] = list(row.encode()) if vocabulary.bytewise else vocabulary.encode(row)
    whole = Batch(inputs, lengths, numbers)
    return FileRows(schema, {name: whole[np.flatnonzero(places == place)] for place, name in enumerate(SPLITS)})

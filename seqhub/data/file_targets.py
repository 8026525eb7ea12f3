"""Targets of a file of rows: classes, labels, numbers, and classes of steps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.file_inputs import flat_lists
from seqhub.data.file_kinds import FileOptions
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError
from seqhub.tasks._file import FileConfig
from seqhub.tasks.schema import NO_LABEL, Target

MAX_LABELS = 1_000  # of rows with any number of labels
_MAX_NUMBERS = 1_000  # of a row


class Targets(NamedTuple):
    """Targets of all sequences.

    Attributes:
        values: Class numbers or numbers (N,), labels (N, C) with 1 for those of a row, numbers (N, K), class numbers of
            the concatenated steps (M,), or (N, 0).
        names: Names of the classes, labels or several numbers.
        target: Kind of the target.
    """

    values: NDArray[Any]
    names: tuple[str, ...]
    target: Target

    @property
    def by_step(self) -> bool:
        """True if the values are those of steps."""
        return self.target == "step_class"

    def holders(self, number: int) -> NDArray[np.bool_]:
        """Return which values have a class or label, (N,) or (M,); for targets with names of classes."""
        return np.asarray(self.values[:, number] > 0 if self.target == "multi_label" else self.values == number)


class Standardised(NamedTuple):
    """Numbers in standard deviations of the training rows from their mean."""

    values: NDArray[np.float32]
    mean: float | list[float]
    deviation: float | list[float]


def read_targets(
    table: UserTable, options: FileOptions, config: FileConfig, lengths: NDArray[np.int64], rows: NDArray[np.int64]
) -> Targets:
    """Return the targets of the rows of a table.

    Args:
        table: Columns of the file.
        options: Options with the columns of the target.
        config: Kind of the rows.
        lengths: (N,), number of steps of each sequence.
        rows: (N,), row of the table of each sequence.

    Raises:
        InvalidInputError: A missing target, or one that does not fit the kind; the message has the position.
    """
    if config.target == "next_symbol":
        return Targets(np.empty((len(rows), 0), np.int64), (), "next_symbol")
    if not options.target:
        raise InvalidInputError(f"no target for {table.file}; give --target COLUMN")
    if config.target == "multi_label":
        return _label_sets(table, options.target)
    if config.target == "numbers":
        return _several_numbers(table, options.target)
    if len(options.target) > 1:
        shown = ", ".join(options.target)
        raise InvalidInputError(f"targets {shown} of {table.file}: must be one column for the kind {config.name}")
    (name,) = options.target
    if config.target == "sequence":  # see `target_texts`
        return Targets(np.empty((len(rows), 0), np.int64), (), "sequence")
    if config.target == "number":
        return Targets(_numbers(table, name), (), "number")
    return _step_classes(table, options, lengths) if config.target == "step_class" else _classes(table, name)


def _numbers(table: UserTable, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    if table.kind(name) != "number":
        raise InvalidInputError(f"column {name!r} of {table.file} has values that are not numbers; need numbers")
    numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    if not np.isfinite(numbers).all():
        row = int((~np.isfinite(numbers)).argmax())
        raise InvalidInputError(f"no finite number in column {name!r} in {table.where(row)}; need one in every row")
    return numbers


def _several_numbers(table: UserTable, names: Sequence[str]) -> Targets:
    if len(names) > 1:
        values, found = np.stack([_numbers(table, name) for name in names], axis=1), tuple(names)
    else:
        (name,) = names
        if table.kind(name) != "numbers":
            raise InvalidInputError(f"column {name!r} of {table.file}; need a list of numbers, or several --target")
        flat, counts = flat_lists(table.column(name), table, name)
        width = int(counts[0])
        if (counts != width).any():
            row = int((counts != width).argmax())
            raise InvalidInputError(
                f"{counts[row]} numbers in column {name!r} in {table.where(row)}; need {width}, as in the first row"
            )
        values = np.array(flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)).reshape(-1, max(1, width))
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            where = table.where(int(finite.argmin()))
            raise InvalidInputError(f"no finite number in column {name!r} in {where}; need finite numbers")
        found = tuple(f"{name}[{number}]" for number in range(width))
    if not 2 <= len(found) <= _MAX_NUMBERS:
        raise InvalidInputError(f"{len(found):,} numbers in each row of {table.file}; need 2 to {_MAX_NUMBERS:,}")
    return Targets(values, found, "numbers")


def _label_sets(table: UserTable, names: Sequence[str]) -> Targets:
    if len(names) > 1:
        columns = [_flags(table, name) for name in names]
        return Targets(np.stack(columns, axis=1), tuple(names), "multi_label")
    (name,) = names
    if table.kind(name) not in ("words", "numbers"):
        raise InvalidInputError(
            f"column {name!r} of {table.file}; need lists of labels, or several columns of 0 and 1 with --target"
        )
    flat, counts = flat_lists(_plain_lists(table, name), table, name)
    rows = np.repeat(np.arange(len(counts)), counts)
    if not len(flat):
        raise InvalidInputError(f"no labels in column {name!r} of {table.file}")
    values = flat.dictionary_encode()
    texts = [_label(value, name, table) for value in values.dictionary.to_pylist()]
    places = np.array(pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False), np.int64)
    lacking = np.isin(places, [-1, *(number for number, text in enumerate(texts) if text is None)])
    if lacking.any():
        raise InvalidInputError(f"no label in column {name!r} in {table.where(int(rows[lacking.argmax()]))}")
    classes, found = labels.class_names(text for text in texts if text is not None)
    if not 2 <= len(found) <= MAX_LABELS:
        shown = f", {found[0]!r}" if len(found) == 1 else ""
        raise InvalidInputError(
            f"{len(found):,} different labels{shown} in column {name!r} of {table.file}; need 2 to {MAX_LABELS:,}"
        )
    index = {label: number for number, label in enumerate(found)}
    numbers = np.array([index[classes[text]] if text is not None else 0 for text in texts])
    held = np.zeros((len(counts), len(found)), np.float32)
    held[rows, numbers[places]] = 1
    return Targets(held, found, "multi_label")


def _plain_lists(table: UserTable, name: str) -> pa.ChunkedArray:
    """Return a column of lists of labels; whole numbers are integers again, which have shorter names."""
    column = table.column(name)
    inner = column.type.value_type
    if not pa.types.is_floating(inner):
        return column
    whole = pc.all(pc.equal(pc.list_flatten(column), pc.round(pc.list_flatten(column))), skip_nulls=True).as_py()
    return column.cast(pa.large_list(pa.int64())) if whole else column


def _flags(table: UserTable, name: str) -> NDArray[np.float32]:
    numbers = _numbers(table, name)
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidInputError(f"{numbers[row]:g} in column {name!r} in {table.where(row)}; need 0 or 1")
    return numbers.astype(np.float32)


def _classes(table: UserTable, name: str) -> Targets:
    column = table.texts(name)
    if pa.types.is_nested(column.type):
        raise InvalidInputError(f"column {name!r} of {table.file} has lists; need one label in every row")
    values = column.combine_chunks().dictionary_encode()
    texts = [_label(value, name, table) for value in values.dictionary.to_pylist()]
    empty = [number for number, text in enumerate(texts) if text is None]
    places = np.array(pc.fill_null(values.indices, -1).to_numpy())
    lacking = np.isin(places, [-1, *empty])
    if lacking.any():
        raise InvalidInputError(f"no label in column {name!r} in {table.where(int(lacking.argmax()))}")
    classes, names = labels.class_names(text for text in texts if text is not None)
    _require_classes(names, name, table)
    numbers = np.array([names.index(classes[text]) if text is not None else NO_LABEL for text in texts])
    return Targets(numbers[places], names, "class")


def _label(value: Any, name: str, table: UserTable) -> str | None:
    try:
        return labels.label_text(value)
    except TypeError:
        raise InvalidInputError(f"label {value!r} in column {name!r} of {table.file}; need texts or numbers") from None


def _require_classes(names: Sequence[str], name: str, table: UserTable) -> None:
    if not 2 <= len(names) <= labels.MAX_CLASSES:
        shown = f", {names[0]!r}" if len(names) == 1 else ""
        where = f"column {name!r} of {table.file}"
        raise InvalidInputError(f"{len(names):,} different labels{shown} in {where}; need 2 to {labels.MAX_CLASSES:,}")


def _step_classes(table: UserTable, options: FileOptions, lengths: NDArray[np.int64]) -> Targets:
    """Return the class numbers of all steps; texts have one label for each character or word."""
    (name,) = options.target
    column = table.column(name)
    if table.kind(name) == "text":
        texts = [text or "" for text in column.to_pylist()]
        column = pa.chunked_array(
            [pa.array([text.split() if options.tokens != "characters" or " " in text else list(text) for text in texts],
                      pa.large_list(pa.large_string()))]
        )  # fmt: skip
    elif table.kind(name) not in ("words", "numbers"):
        raise InvalidInputError(f"column {name!r} of {table.file}; need a list with one label for each step")
    flat, counts = flat_lists(column, table, name)
    if options.max_length is not None:
        step = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
        flat = flat.filter(pa.array(step < options.max_length))
        counts = np.minimum(counts, options.max_length)
    if (counts != lengths).any():
        row = int((counts != lengths).argmax())
        raise InvalidInputError(
            f"{counts[row]} labels in column {name!r} for {lengths[row]} steps in {table.where(row)}; need equal "
            "numbers"
        )
    values = flat.dictionary_encode()
    texts = [_label(value, name, table) for value in values.dictionary.to_pylist()]
    classes, names = labels.class_names(text for text in texts if text is not None)
    _require_classes(names, name, table)
    numbers = np.array([NO_LABEL if text is None else names.index(classes[text]) for text in texts] + [NO_LABEL])
    places = pc.fill_null(values.indices, len(texts)).to_numpy()
    return Targets(numbers[places], names, "step_class")


def standardised(targets: Targets, training: NDArray[np.bool_]) -> Standardised:
    """Return numbers, one or several of each row, in standard deviations of the training rows from their mean."""
    values = targets.values[training]
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(mean)), deviation, 1.0)
    scaled = ((targets.values - mean) / deviation).astype(np.float32)
    return Standardised(scaled, mean.tolist(), deviation.tolist())

"""Rows of a file of any kind, for the task `file`: texts or series, with a class, a number or classes per step.

The columns are chosen by `file_kinds`. Rows are assigned to splits by their content (see `assignment`), by the content
of the column `group`, by the order of the column `time`, or by a column `split`. Vocabularies, scales and fillings are
learnt on the training rows only. Numbers to be predicted are in standard deviations of the training rows from their
mean.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from seqhub.data import labels
from seqhub.data.assignment import assign
from seqhub.data.file_kinds import FileOptions, choose_columns, column_kind
from seqhub.data.table_reader import UserTable, read_table
from seqhub.data.tabular import SPLIT_COLUMN, parse_split
from seqhub.data.target_texts import read_symbols, read_target_symbols, target_labels
from seqhub.errors import InvalidInputError
from seqhub.models.feature_extraction_series import SeriesFeatureExtractor
from seqhub.tasks._file import NUMBER_TOLERANCE, FileConfig
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import CUSTOM, NO_LABEL, Batch, TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows
from seqhub.tasks.vocabulary import Vocabulary

OTHER = "\ufffd"  # the unknown symbol in decoded rows; one character and one word, so that it is encoded as one

_MAX_VALUES = 1 << 28  # of all rows, padded to the longest
_EXAMPLES, _EXAMPLE_LENGTH = 3, 60  # training rows and characters of each value, for the card
_MOST_COLUMNS = 8  # inputs that are shown
_PIECE = 128  # steps of the pieces of texts that are to be continued
_TENTHS = np.cumsum(list(SPLITS.values())) / sum(SPLITS.values())


class Texts(NamedTuple):
    """Sequences of symbols."""

    symbols: list[list[str]]
    rows: NDArray[np.int64]  # (N,), row of the table of each sequence
    truncated: int  # number of sequences that were cut off


class Series(NamedTuple):
    """Sequences of real values, not yet filled and scaled."""

    values: NDArray[np.float64]  # (M, C), concatenated steps; NaN for missing values
    lengths: NDArray[np.int64]  # (N,)
    truncated: int


def read_rows(file: Path, task: TaskRef, given: Mapping[str, Any]) -> FileRows:
    """Return the rows of a file by split.

    Args:
        file: The file, in a format of `table_reader`.
        task: Task and kind of rows, as in `file/text-class`.
        given: Options, see `file_kinds.FileOptions`.

    Raises:
        UnknownNameError, InvalidConfigError: See `FileOptions.of`.
        InvalidInputError: The file cannot be read, its columns do not fit the kind, or a value is missing or not
            allowed. The message has file and position.
    """
    config = task.config
    assert isinstance(config, FileConfig)
    options = FileOptions.of(given, task)
    table = read_table(file, options.separator)
    _, options = choose_columns(table, options, config.name)
    if config.texts:
        texts = read_texts(table, options, divide=config.target == "next_symbol")
        contents = ["\0".join(symbols).encode(errors="surrogatepass") for symbols in texts.symbols]
        rows = texts.rows
    else:
        series = read_series(table, options)
        contents = _series_contents(series)
        rows = np.arange(table.columns.num_rows)
    lengths = np.array([len(each) for each in texts.symbols]) if config.texts else series.lengths
    places, movable = _places(table, options, contents, rows)
    targets = _targets(table, options, config, lengths, rows)
    if config.target == "class":
        places = _with_every_class(places, targets, contents, movable, table)
    elif config.target == "step_class":
        _require_every_class(places, targets, table)
    training = places == 0
    written: list[list[str]] = []  # symbols of the target texts
    if config.target == "sequence":
        assert options.target is not None
        written = read_target_symbols(table, options.target, options.tokens)
    reading: dict[str, Any] = {
        "inputs": list(options.inputs),
        **({"target": options.target} if options.target else {}),
        **({"max_length": options.max_length} if options.max_length else {}),
    }
    if written:
        reading["max_target"] = max(map(len, written))
    number = _standardised(targets, training) if config.target == "number" else None
    if number is not None:
        reading["target_mean"], reading["target_deviation"] = number.mean, number.deviation
    found: dict[str, Any] = {"repeated": _repeated(contents, places)}
    found["examples"] = _examples(table, options, rows[training][:_EXAMPLES])
    truncated = texts.truncated if config.texts else series.truncated
    if truncated:
        found["truncated"] = truncated
    if config.texts:
        spaces = column_kind(table.column(options.inputs[0])) == "words"
        used = [*zip(texts.symbols, training, strict=True), *zip(written, training, strict=False)]
        vocabulary = _vocabulary(used, options, spaces, table)
        if not vocabulary.unknown:
            _require_known(texts, vocabulary, table)
        reading["tokens"] = "listed words" if spaces else options.tokens
        inputs: NDArray[Any] = _ids(texts, lengths, vocabulary, table)
        step_shape: tuple[int, ...] = ()
    else:
        vocabulary = None
        if written:
            reading["tokens"] = options.tokens
        extractor = fit_extractor(series, training, options)
        if options.features is not None:
            extractor = _extractor_of(options.features, series, table)
        missing = np.isnan(series.values)
        if missing.any():
            found["missing"] = int(missing.sum())
        reading["features"] = {
            name: getattr(extractor, name) for name in ("missing", "scale", "mean", "center", "spread")
        }
        step_shape = (extractor.num_features,)
        inputs = _padded(prepare_series(extractor, series, table, options), lengths, table)
    target_vocabulary = vocabulary if written else None
    if written and vocabulary is None:
        spaces = column_kind(table.column(options.target or "")) == "words"
        target_vocabulary = _vocabulary(list(zip(written, training, strict=True)), options, spaces, table)
    schema = TaskSchema(
        vocabulary=vocabulary,
        step_shape=step_shape,
        target=config.target,
        labels=targets.names,
        tolerance=NUMBER_TOLERANCE if config.target == "number" else 0.0,
        target_vocabulary=target_vocabulary,
        max_target=reading.get("max_target", 0),
    )
    numbers = targets.values if number is None else number.values
    if config.target == "step_class":
        padded = np.full((len(lengths), int(lengths.max())), NO_LABEL, np.int64)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = numbers
        numbers = padded
    elif target_vocabulary is not None:
        numbers = target_labels(written, target_vocabulary)
    whole = Batch(inputs, lengths, numbers)
    splits = {name: whole[np.flatnonzero(places == place)] for place, name in enumerate(SPLITS)}
    return FileRows(schema, splits, reading, found)


def read_texts(table: UserTable, options: FileOptions, *, divide: bool = False) -> Texts:
    """Return the symbols of the texts of a table.

    Args:
        table: Columns of the file.
        options: Options with the column of the texts and its tokens.
        divide: Divide texts into pieces of `max_length` steps, instead of cutting them off; texts of one symbol are
            omitted.

    Raises:
        InvalidInputError: An empty text, or one that is too long; the message has the position.
    """
    (name,) = options.inputs
    if column_kind(table.column(name)) not in ("text", "words", "number"):
        raise InvalidInputError(f"column {name!r} of {table.file} has series; need texts")
    found = read_symbols(table, name, options.tokens)
    longest = options.max_length or (_PIECE if divide else None)
    symbols: list[list[str]] = []
    rows: list[int] = []
    truncated = 0
    for row, each in enumerate(found):
        if not each:
            raise InvalidInputError(f"no text in column {name!r} in {table.where(row)}")
        if longest is None and len(each) > CUSTOM.length[1]:
            raise InvalidInputError(
                f"{len(each):,} {options.tokens} in {table.where(row)}; need {CUSTOM.length[1]:,} or fewer; cut texts "
                "off with --max-length"
            )
        if divide:
            assert longest is not None
            pieces = [each[start : start + longest] for start in range(0, len(each), longest)]
            pieces = [piece for piece in pieces if len(piece) > 1]  # a single symbol has no next one
            symbols += pieces
            rows += [row] * len(pieces)
        else:
            truncated += longest is not None and len(each) > longest
            symbols.append(each[:longest])
            rows.append(row)
    if not symbols:
        raise InvalidInputError(f"no text of two symbols or more in {table.file}")
    return Texts(symbols, np.array(rows), truncated)


def read_series(table: UserTable, options: FileOptions) -> Series:
    """Return the series of a table: lists of steps or numbers, one list for each channel, or one column for each step.

    Raises:
        InvalidInputError: Columns of another type, an empty series, channels of different lengths, or steps with
            different numbers of values; the message has the position.
    """
    kinds = {name: column_kind(table.column(name)) for name in options.inputs}
    different = sorted(set(kinds.values()))
    if len(different) > 1 or different[0] not in ("number", "numbers", "steps"):
        shown = ", ".join(f"{name!r} ({kind})" for name, kind in kinds.items())
        raise InvalidInputError(f"columns {shown[:200]} of {table.file}; need lists of numbers, or one number a step")
    columns = [table.column(name) for name in options.inputs]
    if different == ["number"]:
        matrix = np.stack([column.to_numpy() for column in columns], axis=1)
        values = matrix.reshape(-1, 1).astype(np.float64)
        lengths = np.full(len(matrix), matrix.shape[1])
    elif different == ["steps"]:
        if len(columns) > 1:
            raise InvalidInputError(f"inputs {', '.join(options.inputs)} of {table.file}: must be one column of steps")
        values, lengths = _steps(columns[0], table, options.inputs[0])
    else:
        counted = [_numbers(column, table, name) for name, column in zip(options.inputs, columns, strict=True)]
        lengths = counted[0][1]
        for name, (_, other) in zip(options.inputs, counted, strict=True):
            if (other != lengths).any():
                row = int((other != lengths).argmax())
                raise InvalidInputError(
                    f"{other[row]} values in column {name!r} and {lengths[row]} in {options.inputs[0]!r} in "
                    f"{table.where(row)}; need equal numbers"
                )
        values = np.stack([numbers for numbers, _ in counted], axis=1)
    if not lengths.all():
        raise InvalidInputError(f"no steps in {table.where(int(lengths.argmin()))}; need at least one")
    longest = options.max_length
    if longest is None and lengths.max() > CUSTOM.length[1]:
        row = int(lengths.argmax())
        raise InvalidInputError(
            f"{lengths[row]:,} steps in {table.where(row)}; need {CUSTOM.length[1]:,} or fewer; cut series off with "
            "--max-length"
        )
    if longest is None or (lengths <= longest).all():
        return Series(values, lengths, 0)
    step = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Series(values[step < longest], np.minimum(lengths, longest), int((lengths > longest).sum()))


def _examples(table: UserTable, options: FileOptions, rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return values of some rows as short texts, by column: inputs, target, and the columns that determine splits.

    Of the columns of single steps, the first and the last are shown.
    """
    inputs = options.inputs if len(options.inputs) <= _MOST_COLUMNS else (options.inputs[0], options.inputs[-1])
    others = [name for name in (options.target, options.group, options.time) if name is not None]
    if SPLIT_COLUMN in table.columns.column_names:
        others.append(SPLIT_COLUMN)
    found = {}
    for name in dict.fromkeys((*inputs, *others)):
        values = table.columns.column(name).take(pa.array(rows)).to_pylist()
        found[name] = [_shown(value) for value in values]
    return found


def _shown(value: Any) -> str:
    """Return a value as one line of text, cut off with a mark."""
    text = " ".join(str(value[:_EXAMPLE_LENGTH] if isinstance(value, (list, str)) else value).split())
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[: _EXAMPLE_LENGTH - 1]}…"


def _flat(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the concatenated elements of a column of lists, and their number in each row."""
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no value in column {name!r} in {table.where(row)}; need one in every row")
    return pc.list_flatten(column).combine_chunks(), pc.list_value_length(column).to_numpy().astype(np.int64)


def _numbers(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    flat, lengths = _flat(column, table, name)
    return flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), lengths


def _steps(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    steps, lengths = _flat(column, table, name)
    widths = pc.fill_null(pc.list_value_length(steps), 0).to_numpy(zero_copy_only=False)
    if len(widths) and ((widths != widths[0]).any() or not widths[0]):
        wrong = int((widths != max(1, widths[0])).argmax())
        row = int(np.searchsorted(np.cumsum(lengths), wrong, side="right"))
        step = wrong - int(lengths[:row].sum())
        raise InvalidInputError(
            f"{widths[wrong]} values at step {step} in {table.where(row)}; need {max(1, widths[0])}, as at the first "
            "step of the file"
        )
    flat = pc.list_flatten(steps).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(flat).reshape(len(widths), -1), lengths


def fit_extractor(series: Series, training: NDArray[np.bool_], options: FileOptions) -> SeriesFeatureExtractor:
    """Return the feature extractor with the statistics of the training rows."""
    values = series.values[np.repeat(training, series.lengths)]
    observed = [column[np.isfinite(column)] for column in values.T]
    mean = [float(each.mean()) if len(each) else 0.0 for each in observed]
    center, spread = [0.0] * len(mean), [1.0] * len(mean)
    if options.scale == "standard":
        center, spread = mean, [float(each.std()) if len(each) else 0.0 for each in observed]
    elif options.scale == "robust":
        quartiles = [np.quantile(each, (0.25, 0.5, 0.75)) if len(each) else np.zeros(3) for each in observed]
        center, spread = [float(each[1]) for each in quartiles], [float(each[2] - each[0]) for each in quartiles]
    tiny = [1e-12 * max(1.0, abs(each)) for each in center]
    spread = [each if each > least else 1.0 for each, least in zip(spread, tiny, strict=True)]  # constant channels
    return SeriesFeatureExtractor(options.missing, options.scale, mean, center, spread)


def prepare_series(
    extractor: SeriesFeatureExtractor, series: Series, table: UserTable, options: FileOptions
) -> NDArray[np.float32]:
    """Return the concatenated steps for the model; errors have row, step and column."""
    infinite = np.isinf(series.values)
    lacking = np.isnan(series.values) if extractor.missing == "refuse" else np.zeros_like(infinite)
    if infinite.any() or lacking.any():
        step, channel = (int(each) for each in np.argwhere(infinite | lacking)[0])
        row = int(np.searchsorted(np.cumsum(series.lengths), step, side="right"))
        step -= int(series.lengths[:row].sum())
        wide = column_kind(table.column(options.inputs[0])) == "number"
        name = options.inputs[step if wide else min(channel, len(options.inputs) - 1)]
        where = f"at step {step} of column {name!r}" + ("" if len(options.inputs) > 1 else f", channel {channel},")
        if infinite.any():
            raise InvalidInputError(f"an infinite value {where} in {table.where(row)}; need finite numbers")
        total = int(lacking.sum())
        raise InvalidInputError(
            f"no value {where} in {table.where(row)} ({total:,} missing in total); fill missing values with --missing "
            "mask, last, mean or zero"
        )
    prepared: NDArray[np.float32] = extractor.transform(
        torch.from_numpy(series.values), torch.from_numpy(series.lengths)
    ).numpy()
    if not np.isfinite(prepared).all():
        raise InvalidInputError(f"values of {table.file} are too large for single precision; scale them")
    return prepared


def _series_contents(series: Series) -> list[bytes]:
    """Return the content of each series, equal for equal values in any format."""
    values = series.values.astype("<f4") + np.float32(0)  # adding 0 changes -0.0 to 0.0
    values[np.isnan(values)] = np.nan  # one bit pattern
    ends = np.cumsum(series.lengths)
    return [part.tobytes() for part in np.split(values, ends[:-1])]


def _places(
    table: UserTable, options: FileOptions, contents: Sequence[bytes], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the split of each sequence as an index into SPLITS, and whether it was chosen by a hash of its content."""
    if options.time is not None:
        return _by_time(table, options.time)[rows], np.zeros(len(rows), np.bool_)
    named: list[str | None] = [None] * len(rows)
    if SPLIT_COLUMN in table.columns.column_names and SPLIT_COLUMN not in (*options.inputs, options.target):
        given = [parse_split(_stripped(value), table.where(row)) for row, value in
                 enumerate(table.texts(SPLIT_COLUMN).to_pylist())]  # fmt: skip
        named = [given[row] for row in rows]
    what = "rows"
    if options.group is not None:
        groups = table.texts(options.group).to_pylist()
        if None in groups:
            raise InvalidInputError(f"no value in column {options.group!r} in {table.where(groups.index(None))}")
        contents, what = [str(groups[row]).encode() for row in rows], f"values of {options.group!r}"
    elif len(rows) > table.columns.num_rows:
        what = "pieces"
    places = assign(contents, named, what, table.file)
    movable = np.array([split is None and options.group is None for split in named])
    return places, movable


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _by_time(table: UserTable, name: str) -> NDArray[np.int64]:
    """Return the split of each row: the earliest eight tenths are for training, and equal times stay together."""
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no value in column {name!r} in {table.where(row)}")
    times = np.array(column.to_pylist())
    order = np.argsort(times, kind="stable")
    ranks = np.empty(len(times), np.int64)
    ranks[order] = np.searchsorted(times[order], times[order], side="left")
    places = np.searchsorted(_TENTHS, (ranks + 0.5) / len(times))
    lacking = next((split for place, split in enumerate(SPLITS) if place not in places), None)
    if lacking is not None:
        raise InvalidInputError(
            f"no row for {lacking} by the order of column {name!r} of {table.file}; need 10 different times or more"
        )
    return places


class Targets(NamedTuple):
    """Targets of all rows: class numbers or numbers (N,), class numbers of concatenated steps (M,), or (N, 0)."""

    values: NDArray[Any]
    names: tuple[str, ...] = ()
    rows: NDArray[np.int64] | None = None  # (M,), sequence of each step


class _Standardised(NamedTuple):
    values: NDArray[np.float32]
    mean: float
    deviation: float


def _targets(
    table: UserTable, options: FileOptions, config: FileConfig, lengths: NDArray[np.int64], rows: NDArray[np.int64]
) -> Targets:
    if config.target == "next_symbol":
        return Targets(np.empty((len(rows), 0), np.int64))
    if options.target is None:
        raise InvalidInputError(f"no target for {table.file}; give --target COLUMN")
    if config.target == "sequence":  # see `target_texts`
        return Targets(np.empty((len(rows), 0), np.int64))
    if config.target == "number":
        return Targets(_target_numbers(table, options.target))
    if config.target == "step_class":
        return _step_targets(table, options, lengths)
    return _classes(table, options.target)


def _target_numbers(table: UserTable, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    if column_kind(column) != "number":
        raise InvalidInputError(f"column {name!r} of {table.file} has values that are not numbers; need numbers")
    numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    if not np.isfinite(numbers).all():
        row = int((~np.isfinite(numbers)).argmax())
        raise InvalidInputError(f"no finite number in column {name!r} in {table.where(row)}; need one in every row")
    return numbers


def _classes(table: UserTable, name: str) -> Targets:
    column = table.texts(name)
    if pa.types.is_nested(column.type):
        raise InvalidInputError(f"column {name!r} of {table.file} has lists; need one label in every row")
    values = column.combine_chunks().dictionary_encode()
    texts = [_label(value, name, table) for value in values.dictionary.to_pylist()]
    indices = values.indices
    empty = [number for number, text in enumerate(texts) if text is None]
    places = np.array(pc.fill_null(indices, -1).to_numpy())
    lacking = np.isin(places, [-1, *empty])
    if lacking.any():
        raise InvalidInputError(f"no label in column {name!r} in {table.where(int(lacking.argmax()))}")
    classes, names = labels.class_names(text for text in texts if text is not None)
    _require_classes(names, name, table)
    numbers = np.array([names.index(classes[text]) if text is not None else NO_LABEL for text in texts])
    return Targets(numbers[places], names)


def _label(value: Any, name: str, table: UserTable) -> str | None:
    try:
        return labels.label_text(value)
    except TypeError:
        raise InvalidInputError(f"label {value!r} in column {name!r} of {table.file}; need texts or numbers") from None


def _require_classes(names: Sequence[str], name: str, table: UserTable) -> None:
    if not 2 <= len(names) <= labels.MAX_CLASSES:
        shown = f", {names[0]!r}" if len(names) == 1 else ""
        raise InvalidInputError(
            f"{len(names):,} different labels{shown} in column {name!r} of {table.file}; need 2 to {labels.MAX_CLASSES}"
        )


def _step_targets(table: UserTable, options: FileOptions, lengths: NDArray[np.int64]) -> Targets:
    """Return the class numbers of all steps; texts have one label for each character or word."""
    name = options.target
    assert name is not None
    column = table.column(name)
    if column_kind(column) == "text":
        texts = [text or "" for text in column.to_pylist()]
        column = pa.chunked_array(
            [pa.array([text.split() if options.tokens != "characters" or " " in text else list(text) for text in texts],
                      pa.large_list(pa.large_string()))]
        )  # fmt: skip
    if column_kind(column) not in ("words", "numbers"):
        raise InvalidInputError(f"column {name!r} of {table.file}; need a list with one label for each step")
    flat, counts = _flat(column, table, name)
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
    return Targets(numbers[places], names, np.repeat(np.arange(len(lengths)), lengths))


def _with_every_class(
    places: NDArray[np.int64],
    targets: Targets,
    contents: Sequence[bytes],
    movable: NDArray[np.bool_],
    table: UserTable,
) -> NDArray[np.int64]:
    """Return the splits with a training row for each class: of a class without one, that with the smallest hash."""
    places = places.copy()
    for number, name in enumerate(targets.names):
        members = np.flatnonzero(targets.values == number)
        if (places[members] == 0).any():
            continue
        free = members[movable[members]]
        if not len(free):
            raise InvalidInputError(f"label {name!r} of {table.file} has no training row; add rows with this label")
        first = min(free, key=lambda row: hashlib.sha256(contents[row]).digest())
        places[[row for row in range(len(places)) if movable[row] and contents[row] == contents[first]]] = 0
    lacking = next((split for place, split in enumerate(SPLITS) if place not in places), None)
    if lacking is not None:
        raise InvalidInputError(f"no row for {lacking} in {table.file}; add rows, or a column `split`")
    return places


def _require_every_class(places: NDArray[np.int64], targets: Targets, table: UserTable) -> None:
    assert targets.rows is not None
    seen = set(targets.values[places[targets.rows] == 0].tolist())
    lacking = next((name for number, name in enumerate(targets.names) if number not in seen), None)
    if lacking is not None:
        raise InvalidInputError(f"label {lacking!r} of {table.file} has no training step; add rows with this label")


def _standardised(targets: Targets, training: NDArray[np.bool_]) -> _Standardised:
    mean, deviation = float(targets.values[training].mean()), float(targets.values[training].std())
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        deviation = 1.0
    return _Standardised(((targets.values - mean) / deviation).astype(np.float32), mean, deviation)


def _repeated(contents: Sequence[bytes], places: NDArray[np.int64]) -> dict[str, int]:
    """Return how many sequences of validation and test also occur in the training rows."""
    training = {content for content, place in zip(contents, places, strict=True) if place == 0}
    return {
        split: sum(content in training for content, found in zip(contents, places, strict=True) if found == place)
        for place, split in enumerate(SPLITS)
        if place
    }


def _vocabulary(
    texts: Iterable[tuple[Sequence[str], Any]], options: FileOptions, spaces: bool, table: UserTable
) -> Vocabulary:
    """Return the vocabulary of texts, each with whether it is of a training row."""
    words = options.tokens == "words"
    boundaries: Any = "spaces" if spaces or not words else "unicode"
    if options.vocabulary is not None:
        known = OTHER if options.other_symbols else ""
        return Vocabulary(options.vocabulary, " " if words else "", "the base model", known, boundaries)
    counts = Counter(symbol for symbols, used in texts if used for symbol in symbols)
    counts.pop(OTHER, None)
    least = options.min_count or (2 if words else 1)
    kept = [symbol for symbol, count in sorted(counts.items(), key=lambda each: (-each[1], each[0])) if count >= least]
    if not kept:
        raise InvalidInputError(
            f"none of the {len(counts):,} different {options.tokens} of the training rows of {table.file} occurs "
            f"{least} times or more; give a lower --min-count, or --tokens characters"
        )
    kept = sorted(kept[: options.max_vocab])
    return Vocabulary(tuple(kept), " " if words else "", table.file.name, OTHER, boundaries)


def _require_known(texts: Texts, vocabulary: Vocabulary, table: UserTable) -> None:
    """Raise InvalidInputError with the first symbol that is not in a vocabulary without an unknown symbol."""
    for row, symbols in zip(texts.rows, texts.symbols, strict=True):
        wrong = next((symbol for symbol in symbols if symbol not in vocabulary.ids), None)
        if wrong is not None:
            shown = vocabulary.separator.join(vocabulary.symbols[:30])
            raise InvalidInputError(f"symbol {wrong!r} in {table.where(int(row))}; the base model has only {shown!r}")


def _extractor_of(features: Mapping[str, Any], series: Series, table: UserTable) -> SeriesFeatureExtractor:
    """Return the feature extractor of a base model, for series with as many channels."""
    extractor = SeriesFeatureExtractor(**features)
    channels = series.values.shape[1]
    if channels != extractor.num_channels:
        raise InvalidInputError(
            f"{channels} values a step in {table.file}; the base model has {extractor.num_channels}"
        )
    return extractor


def _require_size(rows: int, longest: int, features: int, table: UserTable) -> None:
    if rows * longest * features > _MAX_VALUES:
        raise InvalidInputError(
            f"{rows:,} rows of up to {longest:,} steps in {table.file}; allowed: {_MAX_VALUES:,} values in all rows, "
            "padded to the longest; cut rows off with --max-length"
        )


def _ids(texts: Texts, lengths: NDArray[np.int64], vocabulary: Vocabulary, table: UserTable) -> NDArray[np.uint16]:
    longest = int(lengths.max())
    _require_size(len(lengths), longest, 1, table)
    ids, other = vocabulary.ids, len(vocabulary)
    found = np.zeros((len(lengths), longest), np.uint16)
    for number, symbols in enumerate(texts.symbols):
        found[number, : len(symbols)] = [ids.get(symbol, other) for symbol in symbols]
    return found


def _padded(steps: NDArray[np.float32], lengths: NDArray[np.int64], table: UserTable) -> NDArray[np.float32]:
    longest = int(lengths.max())
    _require_size(len(lengths), longest, steps.shape[1], table)
    padded = np.zeros((len(lengths), longest, steps.shape[1]), np.float32)
    padded[np.arange(longest) < lengths[:, None]] = steps
    return padded

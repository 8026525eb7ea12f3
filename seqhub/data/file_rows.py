"""Rows of a file of any kind, for the task `file`: texts or series, with classes, labels, numbers or classes per step.

The columns are chosen by `file_kinds`, and the splits by `file_splits`. Vocabularies, scales and fillings are learnt on
the training rows only. Numbers to be predicted are in standard deviations of the training rows from their mean. Rows
are stored without padding, and in temporary files if they are large (see `scratch`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.data.file_inputs import Texts, fit_extractor, prepare_series, read_series, read_texts, series_contents
from seqhub.data.file_kinds import FileOptions, choose_columns
from seqhub.data.file_splits import assign_splits, contradictory, repeated
from seqhub.data.file_targets import read_targets, standardised
from seqhub.data.long_form import read_grouped
from seqhub.data.scratch import GrowingArray
from seqhub.data.tokenizers import tokenizer_vocabulary
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError
from seqhub.models.user_tokenizers import load_tokenizer
from seqhub.tasks._file import NUMBER_TOLERANCE, FileConfig
from seqhub.tasks.ragged import RaggedRows
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows
from seqhub.tasks.vocabulary import Vocabulary

OTHER_WORD, OTHER_CHARACTER = "[other]", "\ufffd"  # the unknown symbol in decoded rows

_STEPS_AT_ONCE, _ROWS_AT_ONCE = 1 << 22, 1 << 14


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
    table = read_grouped(file, options)
    _, options = choose_columns(table, options, config.name)
    found: dict[str, Any] = dict(table.found)
    texts, vocabulary = None, None
    if config.texts:
        tokenizer = load_tokenizer(options.tokens) if options.has_tokenizer else None
        texts = read_texts(table, options, divide=config.target == "next_symbol", tokenizer=tokenizer)
        contents, rows, lengths, truncated = texts.contents, texts.rows, texts.lengths, texts.truncated
    else:
        series = read_series(table, options)
        contents, rows = series_contents(series), np.arange(table.columns.num_rows)
        lengths, truncated = series.lengths, series.truncated
    targets = read_targets(table, options, config, lengths, rows)
    places = assign_splits(table, options, contents, rows, targets, lengths)
    training = places == 0
    reading = _reading(options)
    values = targets.values
    if config.target in ("number", "numbers"):
        scaled = standardised(targets, training)
        values, reading["target_mean"], reading["target_deviation"] = scaled
        if config.target == "numbers":
            reading["numbers"] = list(targets.names)
    found["repeated"] = repeated(contents, places)
    if (number := contradictory(contents, targets)) > 0:
        found["contradictory"] = number
    if truncated:
        found["truncated"] = truncated
    if texts is not None:
        spaces = table.kind(options.inputs[0]) == "words"
        if tokenizer is not None:
            vocabulary = tokenizer_vocabulary(tokenizer, table.file.name)
            steps: NDArray[Any] = texts.numbers
            reading |= {"tokens": "tokens", "tokenizer": options.tokens_name, "unknown_token": tokenizer.unk_token}
        else:
            vocabulary, steps = _encode(texts, training, options, spaces, table)
            reading["tokens"] = "listed words" if spaces else options.tokens
        step_shape: tuple[int, ...] = ()
    else:
        extractor = fit_extractor(series, training, options)
        if missing := int(np.isnan(series.values).sum()):
            found["missing"] = missing
        reading["features"] = {
            name: getattr(extractor, name) for name in ("missing", "scale", "mean", "center", "spread")
        }
        step_shape = (extractor.num_features,)
        steps = prepare_series(extractor, series, table, options)
    schema = TaskSchema(
        vocabulary=vocabulary,
        step_shape=step_shape,
        target=config.target,
        labels=() if config.target == "numbers" else targets.names,
        tolerance=NUMBER_TOLERANCE if config.target in ("number", "numbers") else 0.0,
        numbers=targets.names if config.target == "numbers" else (),
    )
    whole = RaggedRows(steps, np.cumsum(lengths) - lengths, lengths, values, targets.by_step)
    splits = {name: whole.select(np.flatnonzero(places == place)) for place, name in enumerate(SPLITS)}
    return FileRows(schema, splits, reading, found)


def _reading(options: FileOptions) -> dict[str, Any]:
    """Return how inputs and target are read, for records and predictions."""
    target = options.target[0] if len(options.target) == 1 else list(options.target)
    return {
        "inputs": list(options.inputs),
        **({"target": target} if target else {}),
        **({"max_length": options.max_length} if options.max_length else {}),
        **{name: value for name in ("id", "order") if (value := getattr(options, name)) is not None},
    }


def _encode(
    texts: Texts, training: NDArray[np.bool_], options: FileOptions, spaces: bool, table: UserTable
) -> tuple[Vocabulary, NDArray[np.uint16]]:
    """Return the vocabulary of the training rows, and the ids of all steps (M,)."""
    words = options.tokens == "words" or bool(texts.symbols)
    unknown = OTHER_WORD if words else OTHER_CHARACTER
    size = 1 + max(int(texts.numbers[start : start + _STEPS_AT_ONCE].max()) for start in _starts(texts.numbers))
    counts = np.zeros(size, np.int64)
    ends = np.cumsum(texts.lengths)
    for first in range(0, len(ends), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        part = texts.numbers[ends[first] - texts.lengths[first] : ends[rows][-1]]
        counts += np.bincount(part[np.repeat(training[rows], texts.lengths[rows])], minlength=size)
    symbols = {
        (texts.symbols[number] if texts.symbols else chr(number)): int(number) for number in np.flatnonzero(counts)
    }
    symbols.pop(unknown, None)
    least = options.min_count or (2 if words else 1)
    ordered = sorted(symbols.items(), key=lambda each: (-counts[each[1]], each[0]))
    kept = sorted((symbol, number) for symbol, number in ordered[: options.max_vocab] if counts[number] >= least)
    if not kept:
        raise InvalidInputError(
            f"none of the {len(symbols):,} different {options.tokens} of the training rows of {table.file} occurs "
            f"{least} times or more; give a lower --min-count, or --tokens characters"
        )
    boundaries: Any = "spaces" if spaces or not words else "unicode"
    vocabulary = Vocabulary(
        tuple(symbol for symbol, _ in kept), " " if words else "", table.file.name, unknown, boundaries
    )
    id_of = np.full(size, len(vocabulary), np.uint16)
    id_of[[number for _, number in kept]] = np.arange(1, len(kept) + 1)
    ids = GrowingArray(np.uint16)
    for start in _starts(texts.numbers):
        ids.append(id_of[texts.numbers[start : start + _STEPS_AT_ONCE]])
    return vocabulary, ids.finish()


def _starts(numbers: NDArray[Any]) -> range:
    return range(0, len(numbers), _STEPS_AT_ONCE)

"""Rows of a file of any kind, for the task `file`: texts or series, with any target but the inputs themselves.

The columns are chosen by `file_kinds`, and the splits by `file_splits`. Vocabularies, scales and fillings are learnt on
the training rows only, or those of a base model. Numbers to be predicted are in standard deviations of the training
rows from their mean. Rows are stored without padding, and in temporary files if they are large (see `scratch`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqhub.data.file_inputs import fit_extractor, prepare_series, read_series, read_texts, series_contents
from seqhub.data.file_kinds import FileOptions, choose_columns
from seqhub.data.file_splits import assign_splits, contradictory, repeated
from seqhub.data.file_targets import read_targets, standardised
from seqhub.data.file_vocabulary import EncodedText, encode_texts
from seqhub.data.long_form import read_grouped
from seqhub.data.target_texts import TargetTexts, read_target_texts, target_labels
from seqhub.data.tokenizers import tokenizer_vocabulary
from seqhub.data.user_table import SPLIT_COLUMN, UserTable
from seqhub.errors import InvalidInputError
from seqhub.models.feature_extraction_series import SeriesFeatureExtractor
from seqhub.models.user_tokenizers import load_tokenizer
from seqhub.tasks._file import NUMBER_TOLERANCE, FileConfig
from seqhub.tasks.ragged import RaggedRows
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.splits import SPLITS, FileRows

_EXAMPLES, _EXAMPLE_LENGTH = 3, 60  # training rows and characters of each value, for the card
_MOST_COLUMNS = 8  # inputs that are shown


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
    texts, vocabulary, target_vocabulary = None, None, None
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
    written: TargetTexts | None = None
    if config.target == "sequence":
        written = read_target_texts(table, options.target[0], options.tokens, [] if texts is None else texts.symbols)
        reading["max_target"] = int(written.lengths.max())
    found["repeated"] = repeated(contents, places)
    found["examples"] = _examples(table, options, rows[training][:_EXAMPLES])
    if (number := contradictory(contents, targets)) > 0:
        found["contradictory"] = number
    if truncated:
        found["truncated"] = truncated
    if texts is not None:
        if tokenizer is not None:
            vocabulary = tokenizer_vocabulary(tokenizer, table.file.name)
            steps: NDArray[Any] = texts.numbers
            reading |= {"tokens": "tokens", "tokenizer": options.tokens_name, "unknown_token": tokenizer.unk_token}
        else:
            spaces = table.kind(options.inputs[0]) == "words"
            parts = [EncodedText(texts.numbers, texts.lengths, texts.rows)]
            parts += [] if written is None else [EncodedText(written.numbers, written.lengths, rows)]
            symbols = texts.symbols if written is None else written.symbols
            vocabulary, ids = encode_texts(parts, training, symbols, options, spaces, table)
            steps = ids[0]
            if written is not None:
                target_vocabulary, values = vocabulary, target_labels(ids[1], written.lengths)
            reading["tokens"] = "listed words" if spaces else options.tokens
        step_shape: tuple[int, ...] = ()
    else:
        if options.features is not None:
            extractor = _extractor_of(options.features, series.values.shape[1], table)
        else:
            extractor = fit_extractor(series, training, options)
        if written is not None:
            spaces = table.kind(options.target[0]) == "words"
            parts = [EncodedText(written.numbers, written.lengths, rows)]
            target_vocabulary, ids = encode_texts(parts, training, written.symbols, options, spaces, table)
            values = target_labels(ids[0], written.lengths)
            reading["tokens"] = options.tokens
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
        target_vocabulary=target_vocabulary,
        max_target=reading.get("max_target", 0),
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


def _examples(table: UserTable, options: FileOptions, rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """Return values of some rows as short texts, by column: inputs, targets, and the columns that determine splits.

    Of many columns of inputs or targets, the first and the last are shown.
    """
    others = [name for name in (options.group, options.time) if name is not None]
    if SPLIT_COLUMN in table.columns.column_names:
        others.append(SPLIT_COLUMN)
    found = {}
    for name in dict.fromkeys((*_ends(options.inputs), *_ends(options.target), *others)):
        values = table.columns.column(name).take(pa.array(rows)).to_pylist()
        images = name in table.images
        found[name] = [f"{len(value)} columns of pixels" if images else _shown(value) for value in values]
    return found


def _ends(names: tuple[str, ...]) -> tuple[str, ...]:
    return names if len(names) <= _MOST_COLUMNS else (names[0], names[-1])


def _shown(value: Any) -> str:
    """Return a value as one line of text, cut off with a mark."""
    text = " ".join(str(value[:_EXAMPLE_LENGTH] if isinstance(value, (list, str)) else value).split())
    return text if len(text) <= _EXAMPLE_LENGTH else f"{text[: _EXAMPLE_LENGTH - 1]}…"


def _extractor_of(features: Mapping[str, Any], channels: int, table: UserTable) -> SeriesFeatureExtractor:
    """Return the feature extractor of a base model, for series with as many channels."""
    extractor = SeriesFeatureExtractor(**features)
    if channels != extractor.num_channels:
        raise InvalidInputError(
            f"{channels} values a step in {table.file}; the base model has {extractor.num_channels}"
        )
    return extractor

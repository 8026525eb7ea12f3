"""Inputs of a file of rows: texts divided into symbols, and series of real values."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from seqhub.data.file_kinds import FileOptions
from seqhub.data.scratch import GrowingArray
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError
from seqhub.models.feature_extraction_series import SeriesFeatureExtractor
from seqhub.models.tokenizer import split_words
from seqhub.tasks.schema import CUSTOM

_PIECE = 128  # steps of the pieces of texts that are to be continued
_ROWS_AT_ONCE = 4_096

Symbols = str | list[str]  # of one text: its characters, or its words


class Texts(NamedTuple):
    """Sequences of symbols, with numbers of the symbols that are not yet ids of a vocabulary.

    Attributes:
        numbers: (M,), numbers of the concatenated symbols: code points of characters, places in `symbols` of words, or
            ids of a tokenizer.
        symbols: The different words; empty for characters and for the tokens of a tokenizer.
        lengths: (N,)
        rows: (N,), row of the table of each sequence.
        contents: (N, 2), digest of each sequence, see `digest_of`.
        truncated: Number of sequences that were cut off.
    """

    numbers: NDArray[np.int32]
    symbols: list[str]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]
    contents: NDArray[np.uint64]
    truncated: int


class Series(NamedTuple):
    """Sequences of real values, not yet filled and scaled."""

    values: NDArray[np.float64]  # (M, C), concatenated steps; NaN for missing values
    lengths: NDArray[np.int64]  # (N,)
    truncated: int


def digest_of(content: bytes) -> bytes:
    """Return the first 16 bytes of SHA-256, which stand for a content in `file_splits`."""
    return hashlib.sha256(content).digest()[:16]


def digests(found: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return digests of 16 bytes as numbers (N, 2), in the same order."""
    return np.frombuffer(b"".join(found), ">u8").astype(np.uint64).reshape(-1, 2)


def symbols_of(
    table: UserTable, name: str, tokens: str | None, missing: str = "no text"
) -> Iterator[tuple[int, list[Symbols]]]:
    """Yield the symbols of the texts of a column in parts, each with the number of its first row.

    Args:
        table: Columns of the file.
        name: Column of texts or of lists of words.
        tokens: `words`; otherwise a text is yielded whole.
        missing: Start of the message for a missing or empty text.

    Raises:
        InvalidInputError: A missing or empty text, or one that is not valid; the message has the position.
    """
    kind = table.kind(name)
    if kind not in ("text", "words", "number"):
        raise InvalidInputError(f"column {name!r} of {table.file} has series; need texts")
    column = table.column(name) if kind == "words" else table.texts(name)
    for start in range(0, len(column), _ROWS_AT_ONCE):
        part = column.slice(start, _ROWS_AT_ONCE).to_pylist()
        found: list[Symbols]
        if kind == "words":
            found = [_words(words or [], table, start + row) for row, words in enumerate(part)]
        else:
            texts = ["" if text is None else str(text).strip() for text in part]
            for row, text in enumerate(texts):
                _require_utf8(text, table, start + row)
            found = list(split_words(texts)) if tokens == "words" else [*texts]
        empty = next((row for row, each in enumerate(found) if not each), None)
        if empty is not None:
            raise InvalidInputError(
                f"{missing} in column {name!r} in {table.where(start + empty)}; need a text in every row"
            )
        yield start, found


def _words(words: list[Any], table: UserTable, row: int) -> list[str]:
    wrong = next((word for word in words if word is None or word.split() != [word]), "")
    if wrong != "":
        raise InvalidInputError(f"word {wrong!r} in {table.where(row)}; need words without white space")
    return words


def _require_utf8(text: str, table: UserTable, row: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        wrong = text[error.start]
        raise InvalidInputError(f"character {wrong!r} in {table.where(row)}; need a text in UTF-8") from None


def read_texts(table: UserTable, options: FileOptions, *, divide: bool = False, tokenizer: Any = None) -> Texts:
    """Return the symbols of the texts of a table.

    Args:
        table: Columns of the file.
        options: Options with the column of the texts and its tokens.
        divide: Divide texts into pieces of `max_length` steps, instead of cutting them off; texts of one symbol are
            omitted.
        tokenizer: Tokenizer of transformers, for its ids; None for characters or words.

    Raises:
        InvalidInputError: An empty text, or one that is too long; the message has the position.
    """
    longest = options.max_length or (_PIECE if divide else None)
    places: dict[str, int] = {}
    numbers, lengths = GrowingArray(np.int32), GrowingArray(np.int64)
    rows, contents = GrowingArray(np.int64), GrowingArray(np.uint64, 2)
    truncated = 0
    (name,) = options.inputs
    for start, found in symbols_of(table, name, options.tokens):
        pieces: list[Any] = []
        sources: list[int] = []
        if tokenizer is not None:
            found, cut = _tokenized(tokenizer, found, None if divide else longest)
            truncated += cut
        for row, each in enumerate(found, start):
            if longest is None and len(each) > CUSTOM.length[1]:
                what = "tokens" if tokenizer is not None else options.tokens
                raise InvalidInputError(
                    f"{len(each):,} {what} in {table.where(row)}; need {CUSTOM.length[1]:,} or fewer; cut texts off "
                    "with --max-length"
                )
            if divide:
                assert longest is not None
                parts = [each[first : first + longest] for first in range(0, len(each), longest)]
                parts = [piece for piece in parts if len(piece) > 1]  # a single symbol has no next one
                pieces += parts
                sources += [row] * len(parts)
            else:
                truncated += longest is not None and len(each) > longest
                pieces.append(each[:longest])
                sources.append(row)
        if not pieces:
            continue
        numbers.append(symbol_numbers(pieces, places))
        lengths.append(np.array([len(piece) for piece in pieces]))
        rows.append(np.array(sources))
        contents.append(digests([digest_of(_content(piece)) for piece in pieces]))
    found_lengths = lengths.finish()
    if not len(found_lengths):
        raise InvalidInputError(f"no text of two symbols or more in {table.file}")
    return Texts(numbers.finish(), list(places), found_lengths, rows.finish(), contents.finish(), truncated)


def _tokenized(tokenizer: Any, texts: Sequence[Any], longest: int | None) -> tuple[list[Any], int]:
    """Return the ids of each text, with special tokens, and the number of texts that were cut off."""
    if longest is None:
        return tokenizer(texts, verbose=False)["input_ids"], 0
    found = tokenizer(texts, truncation=True, max_length=longest, return_overflowing_tokens=True)
    pieces: dict[int, list[Any]] = {}
    for row, ids in zip(found["overflow_to_sample_mapping"], found["input_ids"], strict=True):
        pieces.setdefault(row, []).append(ids)
    return [pieces[row][0] for row in range(len(texts))], sum(len(each) > 1 for each in pieces.values())


def symbol_numbers(pieces: list[Any], places: dict[str, int]) -> NDArray[np.int32]:
    """Return the numbers of the concatenated symbols of texts, see `Texts`; new words get the next places."""
    if isinstance(pieces[0], str):
        return np.frombuffer("".join(pieces).encode("utf-32-le"), np.int32)
    if isinstance(pieces[0][0], int):
        return np.concatenate([np.array(piece, np.int32) for piece in pieces])
    words = pa.array([word for piece in pieces for word in piece], pa.large_string()).dictionary_encode()
    known = [places.setdefault(word, len(places)) for word in words.dictionary.to_pylist()]
    found: NDArray[np.int32] = np.array(known, np.int32)[words.indices.to_numpy()]
    return found


def _content(piece: Any) -> bytes:
    if isinstance(piece[0], int):
        return np.array(piece, "<i4").tobytes()
    return "\0".join(piece).encode(errors="surrogatepass")


def read_series(table: UserTable, options: FileOptions) -> Series:
    """Return the series of a table: lists of steps or numbers, one list for each channel, or one column for each step.

    Raises:
        InvalidInputError: Columns of another type, an empty series, channels of different lengths, or steps with
            different numbers of values; the message has the position.
    """
    kinds = {name: table.kind(name) for name in options.inputs}
    different = sorted(set(kinds.values()))
    if len(different) > 1 or different[0] not in ("number", "numbers", "steps"):
        shown = ", ".join(f"{name!r} ({kind})" for name, kind in kinds.items())
        raise InvalidInputError(f"columns {shown[:200]} of {table.file}; need lists of numbers, or one number a step")
    if different == ["number"]:
        matrix = np.stack([table.column(name).to_numpy() for name in options.inputs], axis=1)
        values = matrix.reshape(-1, 1).astype(np.float64, copy=False)
        lengths = np.full(len(matrix), matrix.shape[1])
    elif different == ["steps"]:
        if len(options.inputs) > 1:
            raise InvalidInputError(f"inputs {', '.join(options.inputs)} of {table.file}: must be one column of steps")
        values, lengths = _steps(table.column(options.inputs[0]), table, options.inputs[0])
    else:
        counted = [_channel(table.column(name), table, name) for name in options.inputs]
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


def flat_lists(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the concatenated elements of a column of lists, and their number in each row."""
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InvalidInputError(f"no value in column {name!r} in {table.where(row)}; need one in every row")
    return pc.list_flatten(column).combine_chunks(), pc.list_value_length(column).to_numpy().astype(np.int64)


def _channel(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    flat, lengths = flat_lists(column, table, name)
    return flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), lengths


def _steps(column: pa.ChunkedArray, table: UserTable, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    steps, lengths = flat_lists(column, table, name)
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
    used = np.repeat(training, series.lengths)
    observed = [column[used & np.isfinite(column)] for column in series.values.T]
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
    """Return the concatenated steps for the model (M, F); errors have row, step and column."""
    _require_finite(extractor, series, table, options)
    prepared = GrowingArray(np.float32, extractor.num_features)
    ends = np.cumsum(series.lengths)
    starts = ends - series.lengths
    for first in range(0, len(ends), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        steps = series.values[starts[first] : ends[part][-1]]
        found = extractor.transform(
            torch.from_numpy(np.ascontiguousarray(steps)), torch.from_numpy(series.lengths[part])
        )
        if not found.isfinite().all():
            raise InvalidInputError(f"values of {table.file} are too large for single precision; scale them")
        prepared.append(found.numpy())
    return prepared.finish()


def _require_finite(extractor: SeriesFeatureExtractor, series: Series, table: UserTable, options: FileOptions) -> None:
    infinite = np.isinf(series.values)
    lacking = np.isnan(series.values) if extractor.missing == "refuse" else np.zeros_like(infinite)
    if not (infinite.any() or lacking.any()):
        return
    step, channel = (int(each) for each in np.argwhere(infinite | lacking)[0])
    row = int(np.searchsorted(np.cumsum(series.lengths), step, side="right"))
    step -= int(series.lengths[:row].sum())
    wide = table.kind(options.inputs[0]) == "number"
    name = options.inputs[step if wide else min(channel, len(options.inputs) - 1)]
    where = f"at step {step} of column {name!r}" + ("" if len(options.inputs) > 1 else f", channel {channel},")
    if infinite.any():
        raise InvalidInputError(f"an infinite value {where} in {table.where(row)}; need finite numbers")
    total = int(lacking.sum())
    raise InvalidInputError(
        f"no value {where} in {table.where(row)} ({total:,} missing in total); fill missing values with --missing "
        "mask, last, mean or zero"
    )


def series_contents(series: Series) -> NDArray[np.uint64]:
    """Return the digest of each series (N, 2), equal for equal values in any format."""
    found = []
    ends = np.cumsum(series.lengths)
    for start, end in zip(ends - series.lengths, ends, strict=True):
        values = series.values[start:end].astype("<f4") + np.float32(0)  # adding 0 changes -0.0 to 0.0
        values[np.isnan(values)] = np.nan  # one bit pattern
        found.append(digest_of(values.tobytes()))
    return digests(found)

"""Vocabulary of the texts of a file: the symbols of the training rows, or those of a base model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.data.file_kinds import FileOptions
from seqhub.data.scratch import GrowingArray
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError
from seqhub.tasks.vocabulary import Vocabulary

OTHER = "\ufffd"  # the unknown symbol in decoded rows; one character and one word, so that it is encoded as one

_STEPS_AT_ONCE, _ROWS_AT_ONCE = 1 << 22, 1 << 14
_MOST_SHOWN = 30  # symbols in a message


class EncodedText(NamedTuple):
    """Texts of one column that share a vocabulary with others.

    Attributes:
        numbers: (M,), numbers of the concatenated symbols: code points, or places in a list of words.
        lengths: (N,)
        rows: (N,), row of the table of each text.
    """

    numbers: NDArray[np.int32]
    lengths: NDArray[np.int64]
    rows: NDArray[np.int64]


def encode_texts(
    parts: Sequence[EncodedText],
    training: NDArray[np.bool_],
    symbols: Sequence[str],
    options: FileOptions,
    spaces: bool,
    table: UserTable,
) -> tuple[Vocabulary, list[NDArray[np.uint16]]]:
    """Return the vocabulary of one or several columns, and the ids of all steps of each: (M,).

    Args:
        parts: Texts of the columns.
        training: (N,), whether a text is of a training row.
        symbols: The different words, by their numbers; empty for characters.
        options: Options for the vocabulary.
        spaces: Whether the words are given, and not divided by seqhub.
        table: Columns of the file, for error messages.

    Raises:
        InvalidInputError: No symbol is frequent enough; or a symbol is not in the vocabulary of a base model that has
            no unknown symbol. The message has its position.
    """
    words = options.tokens == "words" or bool(symbols)
    size = 1 + max(int(part.numbers[start : start + _STEPS_AT_ONCE].max()) for part in parts for start in _starts(part))
    counts, trained = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for part in parts:
        ends = np.cumsum(part.lengths)
        for first in range(0, len(ends), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            steps = part.numbers[ends[first] - part.lengths[first] : ends[rows][-1]]
            counts += np.bincount(steps, minlength=size)
            trained += np.bincount(steps[np.repeat(training[rows], part.lengths[rows])], minlength=size)
    known = {symbols[number] if symbols else chr(number): number for number in np.flatnonzero(counts).tolist()}
    if options.vocabulary is not None:
        kept, name, other = options.vocabulary, "the base model", OTHER if options.other_symbols else ""
    else:
        kept, name, other = _frequent(known, trained, options, table), table.file.name, OTHER
    boundaries: Any = "spaces" if spaces or not words else "unicode"
    vocabulary = Vocabulary(kept, " " if words else "", name, other, boundaries)
    id_of = np.full(size, len(vocabulary) if other else 0, np.uint16)
    for number, symbol in enumerate(kept, 1):
        if symbol in known:
            id_of[known[symbol]] = number
    ids = []
    for part in parts:
        encoded = GrowingArray(np.uint16)
        for start in _starts(part):
            encoded.append(id_of[part.numbers[start : start + _STEPS_AT_ONCE]])
        ids.append(encoded.finish())
        if not other and not ids[-1].all():
            step = int((ids[-1] == 0).argmax())
            row = int(part.rows[np.searchsorted(np.cumsum(part.lengths), step, side="right")])
            number = int(part.numbers[step])
            wrong = symbols[number] if symbols else chr(number)
            shown = vocabulary.separator.join(kept[:_MOST_SHOWN])
            raise InvalidInputError(f"symbol {wrong!r} in {table.where(row)}; the base model has only {shown!r}")
    return vocabulary, ids


def _frequent(
    known: dict[str, int], counts: NDArray[np.int64], options: FileOptions, table: UserTable
) -> tuple[str, ...]:
    """Return the symbols that are frequent enough in the training rows, in alphabetical order."""
    found = {symbol: int(counts[number]) for symbol, number in known.items() if counts[number] and symbol != OTHER}
    least = options.min_count or (2 if options.tokens == "words" else 1)
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    kept = [symbol for symbol, count in ordered[: options.max_vocab] if count >= least]
    if not kept:
        raise InvalidInputError(
            f"none of the {len(found):,} different {options.tokens} of the training rows of {table.file} occurs "
            f"{least} times or more; give a lower --min-count, or --tokens characters"
        )
    return tuple(sorted(kept))


def _starts(part: EncodedText) -> range:
    return range(0, len(part.numbers), _STEPS_AT_ONCE)

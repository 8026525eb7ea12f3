"""Target texts of a file of rows: the column of texts that a model learns to generate from each row."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqhub.data.file_inputs import symbol_numbers, symbols_of
from seqhub.data.scratch import GrowingArray
from seqhub.data.user_table import UserTable
from seqhub.errors import InvalidInputError
from seqhub.tasks.schema import NO_LABEL

LONGEST_TARGET = 1_024  # symbols


class TargetTexts(NamedTuple):
    """Target of each row, with numbers of the symbols that are not yet ids of a vocabulary.

    Attributes:
        numbers: (M,), numbers of the concatenated symbols, as in `file_inputs.Texts`.
        symbols: The different words, first those of the inputs; empty for characters.
        lengths: (N,)
    """

    numbers: NDArray[np.int32]
    symbols: list[str]
    lengths: NDArray[np.int64]


def read_target_texts(table: UserTable, name: str, tokens: str | None, symbols: list[str]) -> TargetTexts:
    """Return the target of each row.

    Args:
        table: Columns of the file.
        name: Column of the targets: texts or lists of words.
        tokens: `words` or `characters`.
        symbols: Words of the inputs, which have the first numbers.

    Raises:
        InvalidInputError: See `file_inputs.symbols_of`; or a target is longer than `LONGEST_TARGET` symbols.
    """
    places = {symbol: number for number, symbol in enumerate(symbols)}
    numbers, lengths = GrowingArray(np.int32), GrowingArray(np.int64)
    for start, found in symbols_of(table, name, tokens, "no target"):
        for row, each in enumerate(found, start):
            if len(each) > LONGEST_TARGET:
                raise InvalidInputError(
                    f"{len(each):,} {tokens} of the target in {table.where(row)}; need {LONGEST_TARGET:,} or fewer"
                )
        numbers.append(symbol_numbers(list(found), places))
        lengths.append(np.array([len(each) for each in found]))
    return TargetTexts(numbers.finish(), list(places), lengths.finish())


def target_labels(ids: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids of targets, (N, S), with NO_LABEL in the padding on the right.

    Args:
        ids: (M,), ids of the concatenated targets.
        lengths: (N,)

    >>> target_labels(np.array([5, 6, 7]), np.array([1, 2])).tolist()
    [[5, -100], [6, 7]]
    """
    labels = np.full((len(lengths), int(lengths.max())), NO_LABEL, np.int64)
    labels[np.arange(labels.shape[1]) < lengths[:, None]] = ids
    return labels

"""Target texts of a file of rows: the column of texts that a model learns to generate from each row."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqhub.data.table_reader import UserTable
from seqhub.errors import InvalidInputError
from seqhub.models.tokenizer import split_words
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.vocabulary import Vocabulary

LONGEST_TARGET = 1_024  # symbols


def read_symbols(table: UserTable, name: str, tokens: str | None) -> list[list[str]]:
    """Return the symbols of the texts of a column, or its lists of words; empty lists for missing and empty texts.

    Args:
        table: Columns of the file.
        name: Column of texts or of lists of words.
        tokens: `words` or `characters`, for texts.

    Raises:
        InvalidInputError: A word with white space, or a character that UTF-8 cannot encode; the message has the
            position.
    """
    if pa.types.is_large_list(table.column(name).type):
        found = [list(words or ()) for words in table.column(name).to_pylist()]
        for row, words in enumerate(found):
            wrong = next((word for word in words if word is None or word.split() != [word]), "")
            if wrong != "":
                raise InvalidInputError(f"word {wrong!r} in {table.where(row)}; need words without white space")
        return found
    texts = ["" if text is None else str(text).strip() for text in table.texts(name).to_pylist()]
    for row, text in enumerate(texts):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            wrong = text[error.start]
            raise InvalidInputError(f"character {wrong!r} in {table.where(row)}; need a text in UTF-8") from None
    return list(split_words(texts)) if tokens == "words" else [list(text) for text in texts]


def read_target_symbols(table: UserTable, name: str, tokens: str | None) -> list[list[str]]:
    """Return the symbols of the target of each row.

    Raises:
        InvalidInputError: See `read_symbols`; or a target is missing, empty or longer than `LONGEST_TARGET` symbols.
    """
    symbols = read_symbols(table, name, tokens)
    for row, each in enumerate(symbols):
        if not each:
            raise InvalidInputError(f"no target in column {name!r} in {table.where(row)}; need a text in every row")
        if len(each) > LONGEST_TARGET:
            raise InvalidInputError(
                f"{len(each):,} {tokens or 'words'} of the target in {table.where(row)}; need {LONGEST_TARGET:,} or "
                "fewer"
            )
    return symbols


def target_labels(symbols: Sequence[Sequence[str]], vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Return the ids of targets, (N, S), with NO_LABEL in the padding on the right."""
    ids, other = vocabulary.ids, len(vocabulary)
    labels = np.full((len(symbols), max(map(len, symbols))), NO_LABEL, np.int64)
    for label, each in zip(labels, symbols, strict=True):
        label[: len(each)] = [ids.get(symbol, other) for symbol in each]
    return labels


def are_sentences(table: UserTable, names: Sequence[str], least: float, sample: int) -> bool:
    """Return whether the texts of each column have at least `least` words on average, separated by white space."""
    for name in names:
        texts = table.texts(name)[:sample].drop_null()
        if not len(texts) or not pa.types.is_large_string(texts.type):
            return False
        words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts)))
        if pc.mean(words).as_py() < least:
            return False
    return True

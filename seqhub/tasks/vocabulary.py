"""Vocabularies: encoding of texts as ids, and decoding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError

PAD_ID = 0  # id of padding in every encoding; symbol number k has id k + 1
TOKENIZER: Literal["tokenizer"] = "tokenizer"  # boundaries of the tokens of a tokenizer of transformers
MAX_SYMBOLS = 65_534  # ids have 16 bits, and one id is for unknown symbols


@dataclass(frozen=True)
class Vocabulary:
    """Symbols of a task in the order of their ids, with the format of its texts.

    Args:
        symbols: Distinct symbols: single characters, or words if there is a separator.
        separator: Separator of the symbols in a text: nothing or a space.
        name: Name of the vocabulary in error messages.
        unknown: Text of the unknown symbol, with the id after the last one. It replaces everything that is not in
            `symbols`; if empty, encoding such a text raises an error.
        boundaries: Division of raw texts into words by a tokenizer: at white space, or at the word boundaries of
            Unicode, as in `models.tokenizer.split_words`. The texts of rows are already divided by the separator. Or
            `tokenizer`: the symbols are tokens of a tokenizer of transformers, which alone can encode a text; the rows
            have their ids.

    Raises:
        InvalidInputError: No symbols, duplicates, or symbols that do not fit the separator.

    >>> Vocabulary("ab").encode("abba"), Vocabulary(("good", "bad"), " ").encode("bad good")
    ([1, 2, 2, 1], [2, 1])
    >>> Vocabulary(("good", "bad"), " ", unknown="[other]").encode("very bad")
    [3, 2]
    """

    symbols: Sequence[str]
    separator: str = ""
    name: str = "the vocabulary"
    unknown: str = ""
    boundaries: Literal["spaces", "unicode", "tokenizer"] = "spaces"

    def __post_init__(self) -> None:
        if self.separator not in ("", " "):
            raise InvalidInputError(f"separator={self.separator!r}: must be '' or ' ' ({self.name})")
        if self.boundaries == TOKENIZER:
            return
        if not self.symbols or len(self) > MAX_SYMBOLS or len(set(self.entries)) != len(self):
            shown = _shorten(" ".join(self.symbols))
            raise InvalidInputError(f"symbols={shown}: must be 1 to {MAX_SYMBOLS:,} different ones ({self.name})")
        for symbol in self.entries:
            if self.separator and (not symbol or symbol.split() != [symbol]):
                raise InvalidInputError(f"symbol {symbol!r} of {self.name}: must be a word without spaces")
            if not self.separator and len(symbol) != 1:
                raise InvalidInputError(
                    f"symbol {symbol!r} of {self.name}: must be one character; words need separator=' '"
                )

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """Symbols in the order of their ids from 1 on, followed by `unknown` if there is one."""
        return (*self.symbols, self.unknown) if self.unknown else tuple(self.symbols)

    @cached_property
    def bytewise(self) -> bool:
        """True if each symbol is one printable ASCII character, so that a text can be stored as bytes."""
        return (
            not self.separator
            and not self.unknown
            and all(symbol.isascii() and symbol.isprintable() for symbol in self.symbols)
        )

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each symbol, from 1 on."""
        return {symbol: number for number, symbol in enumerate(self.entries, start=1)}

    def split(self, text: str) -> list[str]:
        """Split a text into symbols, known or not.

        >>> Vocabulary(("good", "bad"), " ").split("good bad")
        ['good', 'bad']
        """
        return text.split(self.separator) if self.separator and text else list(text)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, from 1 on; other symbols have the id of `unknown` if there is one.

        Raises:
            InvalidInputError: The text is empty or has a symbol outside the vocabulary; the message has the symbol and
                its position, counted in symbols from 0.
        """
        found = self.split(text)
        if not found:
            raise InvalidInputError(f"empty sequence; {self.name} needs at least one of {self._shown}")
        if self.unknown:
            return [self.ids.get(symbol, len(self)) for symbol in found]
        for position, symbol in enumerate(found):
            if symbol not in self.ids:
                where = f"position {position} of {_shorten(text)}"
                raise InvalidInputError(f"symbol {symbol!r} at {where}; {self.name} has {self._shown}")
        return [self.ids[symbol] for symbol in found]

    def decode(self, ids: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the text of ids, without padding ids.

        Raises:
            InvalidInputError: An id outside the vocabulary, or only padding.
        """
        outside = [(step, i) for step, i in enumerate(ids) if not 0 <= i <= len(self)]
        if outside:
            step, i = outside[0]
            raise InvalidInputError(f"id {i} at position {step}; {self.name} has ids {PAD_ID} to {len(self)}")
        text = self.separator.join(self.entries[i - 1] for i in ids if i != PAD_ID)
        if not text:
            raise InvalidInputError(
                f"only padding in {len(ids)} ids; a sequence of {self.name} needs at least one symbol"
            )
        return text

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the ids (N, T) of N texts, padded on the right with 0; error messages have the row."""
        if not texts:
            raise InvalidInputError(f"no sequences; {self.name} needs at least one")
        rows = []
        for number, text in enumerate(texts):
            try:
                rows.append(self.encode(text))
            except InvalidInputError as error:
                raise InvalidInputError(f"row {number}: {error}") from None
        ids = np.full((len(rows), max(map(len, rows))), PAD_ID, dtype=np.int64)
        for row, encoded in zip(ids, rows, strict=True):
            row[: len(encoded)] = encoded
        return ids

    def decode_batch(self, ids: NDArray[np.integer]) -> list[str]:
        """Return the texts of the rows of ids (N, T)."""
        return [self.decode(row) for row in ids]

    @property
    def _shown(self) -> str:
        return _shorten(self.separator.join(self.symbols))


def _shorten(text: str, width: int = 40) -> str:
    return repr(text if len(text) <= width else text[: width - 3] + "...")

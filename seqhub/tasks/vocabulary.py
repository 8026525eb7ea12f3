"""Symbols and their ids: sequences as a person writes them, to numbers and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError

PAD_ID = 0  # id of padding in every encoding; symbol number k has id k + 1
MAX_SYMBOLS = 65_534  # ids are 16 bits wide, and one stands for what is no symbol


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a task in the order of their ids, and how a text is made of them.

    Args:
        symbols: Distinct: one character each, written one after the other; or, with a separator, words.
        separator: What stands between two symbols of a text: nothing, or a space.
        name: Whose symbols they are, for messages.
        unknown: What stands in a text for everything that is no symbol and has the id after the last one; with
            nothing here, what is no symbol is refused.

    Raises:
        InvalidInputError: No symbol, one twice, or one that a text could not be told apart by.

    >>> Vocabulary("ab").encode("abba"), Vocabulary(("good", "bad"), " ").encode("bad good")
    ([1, 2, 2, 1], [2, 1])
    >>> Vocabulary(("good", "bad"), " ", unknown="[other]").encode("very bad")
    [3, 2]
    """

    symbols: Sequence[str]
    separator: str = ""
    name: str = "the alphabet"
    unknown: str = ""

    def __post_init__(self) -> None:
        if self.separator not in ("", " "):
            raise InvalidInputError(f"separator {self.separator!r} of {self.name}; need nothing or a space")
        if not self.symbols or len(self) > MAX_SYMBOLS or len(set(self.entries)) != len(self):
            shown = _shorten(" ".join(self.symbols))
            raise InvalidInputError(f"symbols {shown} of {self.name}; need 1 to {MAX_SYMBOLS:,} different ones")
        for symbol in self.entries:
            if self.separator and (not symbol or symbol.split() != [symbol]):
                raise InvalidInputError(f"symbol {symbol!r} of {self.name}; a word has no space in it")
            if not self.separator and len(symbol) != 1:
                raise InvalidInputError(
                    f"symbol {symbol!r} of {self.name}; need one character, or words with a space between"
                )

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def entries(self) -> tuple[str, ...]:
        """What has an id, in the order of ids from 1 on: the symbols, and then `unknown`, if any."""
        return (*self.symbols, self.unknown) if self.unknown else tuple(self.symbols)

    @cached_property
    def bytewise(self) -> bool:
        """Whether a symbol is one printable ASCII character, so that a text is its bytes."""
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
        """Cut a text into what would be its symbols.

        >>> Vocabulary(("good", "bad"), " ").split("good bad")
        ['good', 'bad']
        """
        return text.split(self.separator) if self.separator and text else list(text)

    def encode(self, text: str) -> list[int]:
        """Turn a text into ids from 1 on; of what is no symbol, that of `unknown` where there is one.

        Raises:
            InvalidInputError: The text is empty or holds something outside the alphabet; the message names it and
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
        """Turn ids into a text; padding, wherever it stands, is left out.

        Raises:
            InvalidInputError: An id beyond the alphabet, or nothing but padding.
        """
        outside = [(step, i) for step, i in enumerate(ids) if not 0 <= i <= len(self)]
        if outside:
            step, i = outside[0]
            raise InvalidInputError(f"id {i} at position {step}; {self.name} has ids {PAD_ID} to {len(self)}")
        text = self.separator.join(self.entries[i - 1] for i in ids if i != PAD_ID)
        if not text:
            raise InvalidInputError(
                f"nothing but padding in {len(ids)} ids; a {self.name} sequence has a symbol or more"
            )
        return text

    def encode_batch(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Ids (N, T) of N texts, padded on the right with 0 to the longest; errors name the row."""
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
        """Texts of the rows of ids (N, T)."""
        return [self.decode(row) for row in ids]

    @property
    def _shown(self) -> str:
        return _shorten(self.separator.join(self.symbols))


def _shorten(text: str, width: int = 40) -> str:
    return repr(text if len(text) <= width else text[: width - 3] + "...")

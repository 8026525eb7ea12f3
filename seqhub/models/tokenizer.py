"""Tokenizers that are all data: one character or one word, one id.

A saved one is loaded by `AutoTokenizer` without seqhub and without remote code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import BatchEncoding, TokenizersBackend

PAD_TOKEN = "[PAD]"  # of one character each, so that no text holds a special token as a symbol
UNK_TOKEN = "[UNK]"
NO_WORD = "[no word]"  # with white space, so that no text holds it as a word: padding
OTHER_WORD = "[other word]"
_MOST_SHOWN = 60  # characters of a vocabulary in a message


def symbol_tokenizer(symbols: str, *, unknown: bool = False) -> TokenizersBackend:
    """Make a tokenizer that gives the symbols the ids 1, 2, ... in their order, and padding on the right the id 0.

    Without an unknown id there is no input column for it: a character that is not a symbol, `[PAD]` written out
    included, is refused, never dropped or mapped. The tokenizers library words it "Missing [UNK] token from the
    vocabulary" (a plain `Exception`); `encode` says which character it is, and where.

    Args:
        symbols: Distinct characters, at least one.
        unknown: Whether every other character gets the id after the last symbol, so that a model has one id more.

    Raises:
        InvalidInputError: If there is no symbol or one stands twice.

    >>> tokenizer = symbol_tokenizer("XYabcdBE")
    >>> tokenizer("BXaE")["input_ids"]
    [7, 1, 3, 8]
    >>> tokenizer.decode([7, 1, 3, 8, 0], skip_special_tokens=True)
    'BXaE'
    >>> symbol_tokenizer("XYabcdBE", unknown=True)("BX?E")["input_ids"]
    [7, 1, 9, 8]
    """
    from tokenizers import Regex
    from tokenizers.decoders import Fuse
    from tokenizers.pre_tokenizers import Split

    if not symbols or len(set(symbols)) < len(symbols):
        raise InvalidInputError(f"symbols must be distinct characters, at least one, got {symbols!r}")
    split = Split(Regex(r"[\s\S]"), "isolated")  # "." would leave runs of newlines whole
    return _tokenizer(symbols, split, Fuse(), PAD_TOKEN, UNK_TOKEN if unknown else None)


def word_tokenizer(words: Sequence[str], *, unknown: bool = False) -> TokenizersBackend:
    """Make a tokenizer that splits at white space and gives the words the ids 1, 2, ... in their order, padding 0.

    Args:
        words: Distinct words without white space, at least one.
        unknown: Whether every other word gets the id after the last one; else it is refused, as in
            `symbol_tokenizer`.

    Raises:
        InvalidInputError: If there is no word, one stands twice, is empty or holds white space.

    >>> tokenizer = word_tokenizer(["not", "a", "good", "film"], unknown=True)
    >>> tokenizer("a  good new film")["input_ids"]
    [2, 3, 5, 4]
    >>> tokenizer.decode([1, 3, 0], skip_special_tokens=True)
    'not good'
    """
    from tokenizers.pre_tokenizers import WhitespaceSplit

    if isinstance(words, str) or not words or len(set(words)) < len(words):
        raise InvalidInputError(f"words must be a list of distinct words, at least one, got {str(words)[:_MOST_SHOWN]}")
    for word in words:
        if word.split() != [word]:
            raise InvalidInputError(f"{word!r} is no word; one has a character or more and no white space")
    return _tokenizer(words, WhitespaceSplit(), None, NO_WORD, OTHER_WORD if unknown else None)


def encode(tokenizer: Any, texts: Sequence[str], *, first_row: int = 0) -> BatchEncoding:
    """Make one padded batch of texts, or say in one line which of them the tokenizer cannot read.

    Args:
        tokenizer: One of those above, or any other of transformers.
        texts: B texts.
        first_row: Number of the first text in a message.

    Returns:
        `input_ids` and `attention_mask`, tensors (B, T).

    Raises:
        InvalidInputError: If a text is empty or holds a character or word that has no id.
    """
    try:
        encoding: BatchEncoding = tokenizer(list(texts), padding=True, return_tensors="pt")
    except Exception as error:  # the tokenizers library raises nothing narrower
        if "Missing [UNK] token" not in str(error):
            raise
        raise InvalidInputError(_unknown(tokenizer, texts, first_row)) from error
    lengths = encoding["attention_mask"].sum(1).tolist()
    if 0 in lengths:
        raise InvalidInputError(f"empty text in row {first_row + lengths.index(0)}; a sequence has a symbol or more")
    return encoding


def _tokenizer(entries: Sequence[str], split: Any, decoder: Any, pad: str, unknown: str | None) -> TokenizersBackend:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import TokenizersBackend

    vocabulary = {entry: number for number, entry in enumerate([pad, *entries, *([unknown] if unknown else [])])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown) if unknown else WordLevel(vocabulary))
    tokenizer.pre_tokenizer = split
    if decoder is not None:
        tokenizer.decoder = decoder
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        pad_token=pad,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,  # "[PAD]" in a text is five characters, not padding
        **({"unk_token": unknown} if unknown else {}),
    )


def _unknown(tokenizer: Any, texts: Sequence[str], first_row: int) -> str:
    """Say which character or word of which text has no id."""
    vocabulary = sorted(tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens), key=tokenizer.get_vocab().get)
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str
    row, piece, position = next(
        (row, piece, start)
        for row, text in enumerate(texts, first_row)
        for piece, (start, _) in split(text)
        if piece not in vocabulary
    )
    by_symbols = all(len(entry) == 1 for entry in vocabulary)
    known = repr("".join(vocabulary)) if by_symbols else ", ".join(vocabulary)
    if len(known) > _MOST_SHOWN:
        known = f"{known[:_MOST_SHOWN]}... ({len(vocabulary)} in all)"
    kind, whole = ("symbol", "alphabet") if by_symbols else ("word", "vocabulary")
    return f"{kind} {piece!r} at position {position} of row {row}; the {whole} is {known}"

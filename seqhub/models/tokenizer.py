"""Tokenizers with one id for each character or word.

`AutoTokenizer` loads a saved one without seqhub and without remote code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqhub._logging import quiet_transformers
from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import BatchEncoding, TokenizersBackend

PAD_TOKEN = "[PAD]"  # more than one character, so that it is not a symbol
UNK_TOKEN = "[UNK]"
NO_WORD = "[no word]"  # padding; with white space, so that it is not a word
OTHER_WORD = "[other word]"
END_TOKEN, END_OF_WORDS = "[END]", "[end of text]"
_SETTINGS: dict[str, Any] = {
    "padding_side": "right",
    "model_input_names": ["input_ids", "attention_mask"],
    "split_special_tokens": True,  # "[PAD]" in a text is five characters, not padding
}
_MAX_SHOWN = 60  # characters of a vocabulary in a message

# Words by the boundaries of Unicode Standard Annex 29, without a dictionary: letters and digits with apostrophes or
# decimal points inside, single characters of scripts without spaces, and single other characters
_SINGLE = r"\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTERS = rf"[\p{{L}}\p{{M}}\p{{N}}_&&[^{_SINGLE}]]+"
_WORDS = rf"[{_SINGLE}]\p{{M}}*|{_LETTERS}(?:['’]{_LETTERS}|(?<=\p{{N}})[.,](?=\p{{N}}){_LETTERS})*|[^\s\p{{Cc}}]"
_ASCII_WORDS = re.compile(  # the same for lower-case texts in ASCII
    r"[a-z0-9_]+(?:'[a-z0-9_]+|(?<=[0-9])[.,](?=[0-9])[a-z0-9_]+)*|[^\s\x00-\x1f\x7f]"
)


def symbol_tokenizer(symbols: str, *, unknown: bool = False, end: bool = False) -> TokenizersBackend:
    """Return a tokenizer in which symbols have the ids 1, 2, ... in order, and padding on the right the id 0.

    Without an unknown id, any other character is an error, including those of a literal `[PAD]`. The tokenizers library
    raises a plain `Exception`, "Missing [UNK] token from the vocabulary"; the error of `encode` has the character and
    its position.

    Args:
        symbols: Distinct characters, at least one.
        unknown: Whether all other characters have the id after the last symbol; a model then has one more id.
        end: Whether the last id is the end of a text, `eos_token_id`. Texts are encoded without it.

    Raises:
        InvalidInputError: If there are no symbols, or duplicates.

    >>> tokenizer = symbol_tokenizer("XYabcdBE")
    >>> tokenizer("BXaE")["input_ids"]
    [7, 1, 3, 8]
    >>> tokenizer.decode([7, 1, 3, 8, 0], skip_special_tokens=True)
    'BXaE'
    >>> symbol_tokenizer("XYabcdBE", unknown=True)("BX?E")["input_ids"]
    [7, 1, 9, 8]
    """
    return _with_transformers(*_of_symbols(symbols, unknown, end))


def _of_symbols(symbols: str, unknown: bool, end: bool) -> tuple[Tokenizer, dict[str, str]]:
    """Return the backend of `symbol_tokenizer`, and its special tokens."""
    from tokenizers import Regex
    from tokenizers.decoders import Fuse
    from tokenizers.pre_tokenizers import Split

    if not symbols or len(set(symbols)) < len(symbols):
        raise InvalidInputError(f"symbols={symbols!r}: must be distinct characters, at least one")
    split = Split(Regex(r"[\s\S]"), "isolated")  # "." would not split newlines
    return _tokenizer(symbols, split, Fuse(), PAD_TOKEN, UNK_TOKEN if unknown else None, END_TOKEN if end else None)


def tokenizer_files(
    entries: Sequence[str], *, words: bool, unknown: bool, boundaries: Literal["spaces", "unicode"] = "spaces"
) -> dict[str, str]:
    """Return the files that `save_pretrained` of a tokenizer without an end writes, by name, without transformers.

    Args:
        entries: Symbols or words.
        words: Whether they are words, as for `word_tokenizer`.
        unknown: As in `symbol_tokenizer` and `word_tokenizer`.
        boundaries: As in `word_tokenizer`.

    >>> sorted(tokenizer_files("ab", words=False, unknown=False))
    ['tokenizer.json', 'tokenizer_config.json']
    """
    from tokenizers import AddedToken
    from tokenizers.processors import TemplateProcessing

    if words:
        tokenizer, special = _of_words(entries, unknown, False, boundaries)
    else:
        tokenizer, special = _of_symbols("".join(entries), unknown, False)
    tokenizer.add_special_tokens([AddedToken(each, normalized=False, special=True) for each in special.values()])
    tokenizer.post_processor = TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    config = (
        special
        | _SETTINGS
        | {
            "backend": "tokenizers",
            "model_max_length": int(1e30),  # of transformers: no limit
            "tokenizer_class": "TokenizersBackend",
        }
    )
    return {
        "tokenizer.json": tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
    }


def word_tokenizer(
    words: Sequence[str],
    *,
    unknown: bool = False,
    end: bool = False,
    boundaries: Literal["spaces", "unicode"] = "spaces",
) -> TokenizersBackend:
    """Return a tokenizer in which words have the ids 1, 2, ... in order, and padding 0.

    Args:
        words: Distinct words without white space, at least one.
        unknown: Whether all other words have the id after the last word; if not, they are errors as in
            `symbol_tokenizer`.
        end: As in `symbol_tokenizer`.
        boundaries: Division of a text: at white space, or as in `split_words`.

    Raises:
        InvalidInputError: If there are no words, duplicates, or a word that is empty or has white space.

    >>> tokenizer = word_tokenizer(["not", "a", "good", "film"], unknown=True)
    >>> tokenizer("a  good new film")["input_ids"]
    [2, 3, 5, 4]
    >>> tokenizer.decode([1, 3, 0], skip_special_tokens=True)
    'not good'
    """
    return _with_transformers(*_of_words(words, unknown, end, boundaries))


def _of_words(
    words: Sequence[str], unknown: bool, end: bool, boundaries: Literal["spaces", "unicode"]
) -> tuple[Tokenizer, dict[str, str]]:
    """Return the backend of `word_tokenizer`, and its special tokens."""
    if isinstance(words, str) or not words or len(set(words)) < len(words):
        raise InvalidInputError(f"words={str(words)[:_MAX_SHOWN]}: must be a list of distinct words, at least one")
    for word in words:
        if word.split() != [word]:
            raise InvalidInputError(f"word {word!r}: must have at least one character and no white space")
    normalizer, split = _word_splitter(boundaries)
    ends = OTHER_WORD if unknown else None, END_OF_WORDS if end else None
    return _tokenizer(words, split, None, NO_WORD, *ends, normalizer)


def split_words(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the words of each text in lower case, by the word boundaries of Unicode without a dictionary.

    Punctuation marks are words, too, and so is each character of Chinese, Hiragana, Thai, Lao, Khmer and Myanmar.

    >>> list(split_words(["Don't pay 3.50, Zoë!", "很好 OK"]))
    [["don't", 'pay', '3.50', ',', 'zoë', '!'], ['很', '好', 'ok']]
    """
    normalizer, split = _word_splitter("unicode")
    for text in texts:
        if text.isascii():  # the same words, eight times as fast
            yield _ASCII_WORDS.findall(text.lower())
        else:
            yield [word for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text))]


def _word_splitter(boundaries: Literal["spaces", "unicode"]) -> tuple[Any, Any]:
    """Return the normaliser (or None) and the pre-tokenizer of words."""
    from tokenizers import Regex
    from tokenizers.normalizers import NFC, Lowercase
    from tokenizers.normalizers import Sequence as Normalizers
    from tokenizers.pre_tokenizers import Split, WhitespaceSplit

    if boundaries == "spaces":
        return None, WhitespaceSplit()
    return Normalizers([Lowercase(), NFC()]), Split(Regex(_WORDS), "removed", invert=True)


def symbols_of(folder: Path) -> tuple[tuple[str, ...], bool]:
    """Return the symbols of a saved tokenizer of this module, in the order of their ids, and if it has an unknown one.

    Args:
        folder: Folder with `tokenizer.json`.

    Raises:
        InvalidInputError: If there is no tokenizer, or one of another kind, such as of word pieces.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file():
        raise InvalidInputError(f"{folder} has no tokenizer.json, so its vocabulary is unknown")
    with quiet_transformers():
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    special = {tokenizer.pad_token, tokenizer.unk_token, tokenizer.eos_token}
    symbols = tuple(name for name, _ in entries if name not in special)
    if entries[0] != (tokenizer.pad_token, 0) or [id for _, id in entries[1 : len(symbols) + 1]] != list(
        range(1, len(symbols) + 1)
    ):
        raise InvalidInputError(f"the tokenizer in {folder} is not one of characters or words")
    if type(tokenizer.backend_tokenizer.model).__name__ != "WordLevel":
        raise InvalidInputError(f"the tokenizer in {folder} is not one of characters or words")
    return symbols, tokenizer.unk_token is not None


def encode(tokenizer: Any, texts: Sequence[str], *, first_row: int = 0) -> BatchEncoding:
    """Encode texts as one padded batch.

    Args:
        tokenizer: Tokenizer of this module or of transformers.
        texts: B texts.
        first_row: Row number of the first text in error messages.

    Returns:
        `input_ids` and `attention_mask`, tensors (B, T).

    Raises:
        InvalidInputError: If a text is empty or has a character or word without an id; one line with row and position.
    """
    try:
        encoding: BatchEncoding = tokenizer(list(texts), padding=True, return_tensors="pt")
    except Exception as error:  # the tokenizers library raises the base class
        if "Missing [UNK] token" not in str(error):
            raise
        raise InvalidInputError(_unknown(tokenizer, texts, first_row)) from error
    lengths = encoding["attention_mask"].sum(1).tolist()
    if 0 in lengths:
        raise InvalidInputError(f"row {first_row + lengths.index(0)} is an empty text; must have at least one symbol")
    return encoding


def _tokenizer(
    entries: Sequence[str],
    split: Any,
    decoder: Any,
    pad: str,
    unknown: str | None,
    end: str | None,
    normalizer: Any = None,
) -> tuple[Tokenizer, dict[str, str]]:
    """Return a tokenizer, and its special tokens by their names in transformers."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    special = {"unk_token": unknown, "eos_token": end}
    given = {name: token for name, token in special.items() if token is not None}
    vocabulary = {entry: number for number, entry in enumerate([pad, *entries, *given.values()])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown) if unknown else WordLevel(vocabulary))
    tokenizer.pre_tokenizer = split
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if decoder is not None:
        tokenizer.decoder = decoder
    return tokenizer, {"pad_token": pad, **given}


def _with_transformers(tokenizer: Tokenizer, special: dict[str, str]) -> TokenizersBackend:
    from transformers import TokenizersBackend

    return TokenizersBackend(tokenizer_object=tokenizer, **_SETTINGS, **special)


def _unknown(tokenizer: Any, texts: Sequence[str], first_row: int) -> str:
    """Return the error message for the first character or word without an id, with its position."""
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
    if len(known) > _MAX_SHOWN:
        known = f"{known[:_MAX_SHOWN]}... ({len(vocabulary)} in total)"
    kind = "symbol" if by_symbols else "word"
    return f"{kind} {piece!r} at position {position} of row {row}; the vocabulary is {known}"

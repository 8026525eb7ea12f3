"""The tokenizer of symbol strings: one character, one id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqhub.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import TokenizersBackend

PAD_TOKEN = "[PAD]"


def symbol_tokenizer(symbols: str) -> TokenizersBackend:
    """Make a tokenizer that gives the symbols the ids 1, 2, ... in their order, and padding on the right the id 0.

    It is all data: a saved one is loaded by `AutoTokenizer` without seqhub and without remote code.

    There is no unknown token, hence no input column for it. A character that is not a symbol, `[PAD]` written out
    included, is refused, never dropped or mapped; the tokenizers library words it "Missing [UNK] token from the
    vocabulary" (a plain `Exception`).

    Args:
        symbols: Distinct characters, at least one.

    Raises:
        InvalidInputError: If there is no symbol or one stands twice.

    >>> tokenizer = symbol_tokenizer("XYabcdBE")
    >>> tokenizer("BXaE")["input_ids"]
    [7, 1, 3, 8]
    >>> tokenizer.decode([7, 1, 3, 8, 0], skip_special_tokens=True)
    'BXaE'
    """
    from tokenizers import Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import TokenizersBackend

    if not symbols or len(set(symbols)) < len(symbols):
        raise InvalidInputError(f"symbols must be distinct characters, at least one, got {symbols!r}")
    vocabulary = {PAD_TOKEN: 0} | {symbol: number for number, symbol in enumerate(symbols, start=1)}
    tokenizer = Tokenizer(WordLevel(vocabulary))
    tokenizer.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")  # "." would leave runs of newlines whole
    tokenizer.decoder = Fuse()
    return TokenizersBackend(
        tokenizer_object=tokenizer,
        pad_token=PAD_TOKEN,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        split_special_tokens=True,  # "[PAD]" in a text is five characters, not padding
    )

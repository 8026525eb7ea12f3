"""Encoding and decoding with vocabularies of characters and of words."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError
from seqhub.tasks.vocabulary import MAX_SYMBOLS, PAD_ID, Vocabulary

LETTERS = Vocabulary("XYabcdBE", name="letters")
WORDS = Vocabulary(("good", "bad", "not", "ünder"), " ", "words")
each_vocabulary = pytest.mark.parametrize("vocabulary", [LETTERS, WORDS], ids=lambda vocabulary: vocabulary.name)


@each_vocabulary
@given(data=st.data())
def test_decoding_inverts_encoding_and_skips_padding(vocabulary, data):
    symbols = data.draw(st.lists(st.sampled_from(vocabulary.symbols), min_size=1, max_size=30))
    text = vocabulary.separator.join(symbols)
    ids = vocabulary.encode(text)
    assert ids == [vocabulary.symbols.index(symbol) + 1 for symbol in symbols]
    padded = [PAD_ID] * data.draw(st.integers(0, 3)) + ids + [PAD_ID] * data.draw(st.integers(0, 3))
    assert vocabulary.decode(np.array(padded)) == text


@each_vocabulary
def test_errors_for_unknown_symbols_have_their_position(vocabulary):
    good, between = vocabulary.symbols[0], vocabulary.separator
    for bad in ("?", "é", "\0"):
        text = between.join([good, good, bad, good])
        with pytest.raises(InvalidInputError, match=f"position 2 of .*; {vocabulary.name} has") as caught:
            vocabulary.encode(text)
        assert repr(bad) in str(caught.value)
        with pytest.raises(InvalidInputError, match=r"^row 1: symbol .* at position 0"):
            vocabulary.encode_batch([good, bad])
    with pytest.raises(InvalidInputError, match=r"\.\.\."):  # long sequences are shortened
        vocabulary.encode(between.join([good] * 1000 + ["?"]))


@each_vocabulary
def test_empty_sequences_and_batches_are_errors(vocabulary):
    with pytest.raises(InvalidInputError, match="empty sequence"):
        vocabulary.encode("")
    with pytest.raises(InvalidInputError, match="row 1: empty sequence"):
        vocabulary.encode_batch([vocabulary.symbols[0], ""])
    with pytest.raises(InvalidInputError, match="no sequences"):
        vocabulary.encode_batch([])


@each_vocabulary
def test_only_padding_and_unknown_ids_are_errors(vocabulary):
    with pytest.raises(InvalidInputError, match="only padding in 3 ids"):
        vocabulary.decode([0, 0, 0])
    with pytest.raises(InvalidInputError, match="only padding in 0 ids"):
        vocabulary.decode([])
    for bad in (-1, len(vocabulary) + 1):
        with pytest.raises(InvalidInputError, match=f"id {bad} at position 1; {vocabulary.name} has ids 0 to"):
            vocabulary.decode([1, bad])


def test_batches_are_padded_on_the_right():
    assert WORDS.encode_batch(["good", "not bad"]).tolist() == [[1, 0], [3, 2]]
    assert LETTERS.decode_batch(np.array([[1, 0], [0, 2]])) == ["X", "Y"]


@pytest.mark.parametrize(
    ("symbols", "separator", "message"),
    [
        ("", "", "symbols='': must be 1 to 65,534 different ones"),
        ("aa", "", "symbols='a a': must be 1 to 65,534 different ones"),
        (("a", "bc"), "", "symbol 'bc' of it: must be one character"),
        (("a b", "c"), " ", "symbol 'a b' of it: must be a word without spaces"),
        (("",), " ", "symbol '' of it"),
        ("ab", ", ", "separator=', ': must be '' or ' '"),
        ([str(i) for i in range(MAX_SYMBOLS + 1)], " ", "must be 1 to 65,534 different ones"),
    ],
)
def test_invalid_vocabularies_raise_one_line_errors(symbols, separator, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as caught:
        Vocabulary(symbols, separator, "it")
    assert "\n" not in str(caught.value)


def test_only_printable_ascii_vocabularies_are_bytewise():
    assert LETTERS.bytewise
    assert not WORDS.bytewise
    assert not Vocabulary("aé").bytewise
    assert not Vocabulary("a\n").bytewise

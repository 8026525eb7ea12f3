"""Symbols to ids and back, for alphabets of characters and of words."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.errors import InvalidInputError
from seqhub.tasks.vocabulary import MOST_SYMBOLS, PAD_ID, Vocabulary

LETTERS = Vocabulary("XYabcdBE", name="letters")
WORDS = Vocabulary(("good", "bad", "not", "ünder"), " ", "words")
each_alphabet = pytest.mark.parametrize("alphabet", [LETTERS, WORDS], ids=lambda alphabet: alphabet.name)


@each_alphabet
@given(data=st.data())
def test_decoding_undoes_encoding_of_anything_and_skips_padding(alphabet, data):
    symbols = data.draw(st.lists(st.sampled_from(alphabet.symbols), min_size=1, max_size=30))
    text = alphabet.separator.join(symbols)
    ids = alphabet.encode(text)
    assert ids == [alphabet.symbols.index(symbol) + 1 for symbol in symbols]
    padded = [PAD_ID] * data.draw(st.integers(0, 3)) + ids + [PAD_ID] * data.draw(st.integers(0, 3))
    assert alphabet.decode(np.array(padded)) == text


@each_alphabet
def test_symbols_outside_the_alphabet_are_named_with_their_position(alphabet):
    good, between = alphabet.symbols[0], alphabet.separator
    for bad in ("?", "é", "\0"):
        text = between.join([good, good, bad, good])
        with pytest.raises(InvalidInputError, match=f"position 2 of .*; {alphabet.name} has") as caught:
            alphabet.encode(text)
        assert repr(bad) in str(caught.value)
        with pytest.raises(InvalidInputError, match=r"^row 1: symbol .* at position 0"):
            alphabet.encode_batch([good, bad])
    with pytest.raises(InvalidInputError, match=r"\.\.\."):  # a long sequence is not printed whole
        alphabet.encode(between.join([good] * 1000 + ["?"]))


@each_alphabet
def test_empty_sequences_and_batches_are_refused(alphabet):
    with pytest.raises(InvalidInputError, match="empty sequence"):
        alphabet.encode("")
    with pytest.raises(InvalidInputError, match="row 1: empty sequence"):
        alphabet.encode_batch([alphabet.symbols[0], ""])
    with pytest.raises(InvalidInputError, match="no sequences"):
        alphabet.encode_batch([])


@each_alphabet
def test_rows_of_nothing_but_padding_and_unknown_ids_are_refused(alphabet):
    with pytest.raises(InvalidInputError, match="nothing but padding in 3 ids"):
        alphabet.decode([0, 0, 0])
    with pytest.raises(InvalidInputError, match="nothing but padding in 0 ids"):
        alphabet.decode([])
    for bad in (-1, len(alphabet) + 1):
        with pytest.raises(InvalidInputError, match=f"id {bad} at position 1; {alphabet.name} has ids 0 to"):
            alphabet.decode([1, bad])


def test_batches_are_padded_on_the_right():
    assert WORDS.encode_batch(["good", "not bad"]).tolist() == [[1, 0], [3, 2]]
    assert LETTERS.decode_batch(np.array([[1, 0], [0, 2]])) == ["X", "Y"]


@pytest.mark.parametrize(
    ("symbols", "separator", "message"),
    [
        ("", "", "need 1 to 65,534 different ones"),
        ("aa", "", "need 1 to 65,534 different ones"),
        (("a", "bc"), "", "symbol 'bc' of it; need one character"),
        (("a b", "c"), " ", "symbol 'a b' of it; a word has no space in it"),
        (("",), " ", "symbol '' of it"),
        ("ab", ", ", "separator ', ' of it; need nothing or a space"),
        ([str(i) for i in range(MOST_SYMBOLS + 1)], " ", "need 1 to 65,534 different ones"),
    ],
)
def test_what_is_no_alphabet_is_refused_in_one_line(symbols, separator, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as caught:
        Vocabulary(symbols, separator, "it")
    assert "\n" not in str(caught.value)


def test_only_printable_ascii_characters_are_bytes_of_a_text():
    assert LETTERS.bytewise
    assert not WORDS.bytewise
    assert not Vocabulary("aé").bytewise
    assert not Vocabulary("a\n").bytewise

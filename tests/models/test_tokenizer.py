"""Tokenizers with one id for each character or word, and decoding."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from transformers import AutoTokenizer, TokenizersBackend

from seqhub.errors import InvalidInputError
from seqhub.models.tokenizer import encode, symbol_tokenizer, word_tokenizer

SYMBOLS = "XYabcdBE"
AWKWARD = " .,'\n\tn?!äé日\u0301😀[]<>P"


@pytest.fixture(scope="module", params=[SYMBOLS, AWKWARD], ids=["qrsu", "awkward"])
def symbols(request):
    return request.param


@pytest.fixture(scope="module", params=["made", "loaded"])
def tokenizer(request, symbols, tmp_path_factory):
    made = symbol_tokenizer(symbols)
    if request.param == "made":
        return made
    folder = tmp_path_factory.mktemp("tokenizer")
    made.save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    return AutoTokenizer.from_pretrained(folder)


@given(data=st.data())
@settings(max_examples=50)
def test_ids_are_positions_and_decode_is_the_inverse(symbols, tokenizer, data):
    text = data.draw(st.text(symbols, max_size=30))
    encoded = tokenizer(text)
    assert encoded["input_ids"] == [symbols.index(symbol) + 1 for symbol in text]
    assert encoded["attention_mask"] == [1] * len(text)
    assert set(encoded) == {"input_ids", "attention_mask"}
    assert tokenizer.decode([*encoded["input_ids"], 0, 0], skip_special_tokens=True) == text


def test_batches_are_padded_on_the_right(symbols, tokenizer):
    batch = tokenizer([symbols[:3], symbols[0]], padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[1, 2, 3], [1, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_vocabulary(symbols, tokenizer):
    assert type(tokenizer) is TokenizersBackend
    assert len(tokenizer) == len(symbols) + 1
    assert (tokenizer.pad_token, tokenizer.pad_token_id, tokenizer.unk_token) == ("[PAD]", 0, None)


@pytest.mark.parametrize("text", ["BQE", "Q", "B E", "B\nE", "[PAD]", "B[PAD]E", "[UNK]", "é"])
def test_unknown_symbols_are_errors(tmp_path, text):
    tokenizer = symbol_tokenizer(SYMBOLS)
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        with pytest.raises(Exception, match=r"Missing \[UNK\] token from the vocabulary"):
            each(text)


@pytest.mark.parametrize("symbols", ["", "aba"])
def test_symbols_must_be_distinct(symbols):
    with pytest.raises(InvalidInputError, match=f"symbols='{symbols}': must be distinct characters, at least one"):
        symbol_tokenizer(symbols)


WORDS = ["not", "a", "good", "film", "good,", "[PAD]", "[UNK]", "日本"]


@pytest.fixture(scope="module", params=["made", "loaded"])
def word_tokenizers(request, tmp_path_factory):
    """Return a tokenizer without and one with an unknown id."""
    made = [word_tokenizer(WORDS, unknown=unknown) for unknown in (False, True)]
    if request.param == "made":
        return made
    loaded = []
    for tokenizer in made:
        folder = tmp_path_factory.mktemp("tokenizer")
        tokenizer.save_pretrained(folder)
        loaded.append(AutoTokenizer.from_pretrained(folder))
    return loaded


@given(words=st.lists(st.sampled_from(WORDS), max_size=8), space=st.sampled_from([" ", "  ", "\n", "\t "]))
@settings(max_examples=50)
def test_word_ids_are_positions_and_decode_is_the_inverse(word_tokenizers, words, space):
    for tokenizer in word_tokenizers:
        ids = tokenizer(space.join(words))["input_ids"]
        assert ids == [WORDS.index(word) + 1 for word in words]
        assert tokenizer.decode([*ids, 0], skip_special_tokens=True) == " ".join(words)


def test_other_words_are_errors_or_have_one_id(word_tokenizers):
    strict, lenient = word_tokenizers
    for text in ("good bad", "Good", "[no word]", "[other word]", "goodfilm"):
        with pytest.raises(InvalidInputError, match="the vocabulary is not, a, good, film"):
            encode(strict, [text])
        ids = lenient(text)["input_ids"]
        assert set(ids) <= {3, 9}
        assert 9 in ids
    assert (len(strict), len(lenient)) == (9, 10)
    assert (strict.pad_token_id, strict.unk_token, lenient.pad_token_id, lenient.unk_token_id) == (0, None, 0, 9)


@pytest.mark.parametrize("words", [[], ["a", "a"], "abc", ["a b"], [""], ["a", " b"]])
def test_words_must_be_distinct_and_without_white_space(words):
    with pytest.raises(
        InvalidInputError, match=r"^(words=.*: must be a list of distinct words|word '.*': must have )"
    ) as error:
        word_tokenizer(words)
    assert "\n" not in str(error.value)


@given(text=st.text(st.sampled_from(SYMBOLS + "?é[\n"), min_size=1, max_size=9))
@settings(max_examples=50)
def test_unknown_characters_have_one_id(text):
    tokenizer = symbol_tokenizer(SYMBOLS, unknown=True)
    assert tokenizer(text)["input_ids"] == [SYMBOLS.index(c) + 1 if c in SYMBOLS else 9 for c in text]


def test_saved_tokenizer_keeps_its_unknown_id(tmp_path):
    symbol_tokenizer(SYMBOLS, unknown=True).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded("B[UNK]E")["input_ids"] == [7, 9, 9, 9, 9, 9, 8]
    assert loaded.unk_token_id == 9


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["BXE", "BQE"], r"^symbol 'Q' at position 1 of row 11; the vocabulary is 'XYabcdBE'$"),
        (["BE", "BE", "BX\n"], r"^symbol '\\n' at position 2 of row 12; the vocabulary is 'XYabcdBE'$"),
        (["[PAD]"], r"^symbol '\[' at position 0 of row 10; "),
        (["BE", "", "Q"], r"^symbol 'Q' at position 0 of row 12; "),
        (["BE", ""], r"^row 11 is an empty text; must have at least one symbol$"),
        ([""], r"^row 10 is an empty text; "),
    ],
)
def test_errors_have_row_and_position(texts, message):
    with pytest.raises(InvalidInputError, match=message):
        encode(symbol_tokenizer(SYMBOLS), texts, first_row=10)


def test_large_vocabularies_are_truncated_in_messages():
    words = [f"word{number}" for number in range(500)]
    with pytest.raises(
        InvalidInputError, match=r"^word 'x' at position 6 of row 0; .* word0, word1.*\.\.\. \(500 in total\)$"
    ):
        encode(word_tokenizer(words), ["word7 x"])

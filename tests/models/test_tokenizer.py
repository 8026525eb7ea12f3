"""One character, one id, and back; nothing is dropped or mapped."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from transformers import AutoTokenizer, TokenizersBackend

from seqhub.errors import InvalidInputError
from seqhub.models.tokenizer import symbol_tokenizer

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
def test_ids_are_positions_and_decode_gives_the_string_back(symbols, tokenizer, data):
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
def test_what_is_no_symbol_is_refused(tmp_path, text):
    tokenizer = symbol_tokenizer(SYMBOLS)
    tokenizer.save_pretrained(tmp_path)
    for each in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        with pytest.raises(Exception, match=r"Missing \[UNK\] token from the vocabulary"):
            each(text)


@pytest.mark.parametrize("symbols", ["", "aba"])
def test_symbols_must_be_distinct(symbols):
    with pytest.raises(InvalidInputError, match=f"symbols must be distinct characters, at least one, got '{symbols}'"):
        symbol_tokenizer(symbols)

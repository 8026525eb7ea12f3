"""Tokenizers of transformers for own texts: the same tokens with the padding id 0, also when they are saved."""

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from seqhub.data.file_kinds import task_of_file
from seqhub.data.source import DataSource
from seqhub.errors import InvalidInputError
from seqhub.models.user_tokenizers import load_tokenizer
from seqhub.tasks.splits import SPLITS
from tests.helpers.own_files import reviews, write_csv
from tests.helpers.own_tokenizers import KINDS, save_tokenizer

TEXTS = [*(text for text, _ in reviews(30)), "Zo\u00eb's <unk>-word! \u5f88\u597d", "the  film "]


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_unchanged_and_padding_is_zero(kind: str, tmp_path: Path) -> None:
    folder = str(save_tokenizer(kind, tmp_path / "given"))
    given, changed = AutoTokenizer.from_pretrained(folder), load_tokenizer(folder)
    changed.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for text in TEXTS:
        tokens = given.convert_ids_to_tokens(given(text)["input_ids"])
        assert changed.convert_ids_to_tokens(changed(text)["input_ids"]) == tokens
        assert saved(text)["input_ids"] == changed(text)["input_ids"]
        assert changed.decode(changed(text)["input_ids"]) == given.decode(given(text)["input_ids"])
    assert changed.pad_token_id == saved.pad_token_id == 0
    batch = saved(["the film", "the film was good"], padding=True)
    assert batch["input_ids"][0][-1] == 0
    assert batch["attention_mask"][0][-1] == 0
    assert set(batch) == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_have_the_ids_of_the_tokenizer(kind: str, tmp_path: Path) -> None:
    folder = str(save_tokenizer(kind, tmp_path / "tokenizer"))
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), reviews(80))
    ref, chosen = task_of_file(file, {"tokens": folder, "max_length": 8})
    source = DataSource(ref, file, chosen)
    tokenizer = load_tokenizer(folder)
    expected = sorted(tokenizer(text, truncation=True, max_length=8)["input_ids"] for text, _ in reviews(80))
    rows = [
        row[:length].tolist()
        for name in SPLITS
        for batch in source.split(name).batches(0)
        for row, length in zip(batch.inputs, batch.lengths, strict=True)
    ]
    assert sorted(rows) == expected
    assert source.schema.vocabulary is not None
    assert 1 + len(source.schema.vocabulary) == max(tokenizer.get_vocab().values()) + 1
    assert source.file_rows is not None
    longer = sum(len(tokenizer(text)["input_ids"]) > 8 for text, _ in reviews(80))
    assert source.file_rows.found.get("truncated", 0) == longer
    assert folder not in str(source.file_rows.reading)


def test_unknown_tokens_are_counted(tmp_path: Path) -> None:
    folder = str(save_tokenizer("bert", tmp_path / "tokenizer"))
    rows = [(f"the film \u4e66 {text}", label) for text, label in reviews(80)]
    ref, chosen = task_of_file(write_csv(tmp_path / "rows.csv", ("text", "label"), rows), {"tokens": folder})
    assert DataSource(ref, tmp_path / "rows.csv", chosen).statistics["unknown"]["train"] > 0.02


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=r"^--tokens .*empty: cannot be loaded as a tokenizer: ") as caught:
        load_tokenizer(str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)

"""Predictions of models whose target is another sequence, and the errors for rows that they cannot read."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import seqhub
from seqhub.errors import InvalidInputError
from seqhub.models.predict import generate_texts
from tests.helpers.cli_calls import call
from tests.helpers.example_configs import small_run
from tests.helpers.own_files import write_csv, write_json


@pytest.fixture(scope="module")
def dates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dates") / "run"
    small_run("date_translation/years1000-2999", folder)
    return folder


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions") / "run"
    small_run("digit_captions/single", folder)
    return folder


def test_predictions_are_those_of_generate(dates: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(dates)
    model = AutoModelForSeq2SeqLM.from_pretrained(dates)
    rows = ["3. März 1987", "19870303", "Mar 3, 1987"]
    alone = [
        tokenizer.decode(model.generate(**tokenizer([row], return_tensors="pt"))[0], skip_special_tokens=True)
        for row in rows
    ]
    assert generate_texts(model, rows, tokenizer, batch_size=2) == alone
    assert [each.value for each in seqhub.predict(dates, rows)] == alone
    assert model.training is False
    sampled = generate_texts(model, rows, tokenizer, num_beams=3)
    assert len(sampled) == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3. Mérz 1987", "symbol 'é' at position 4 of row 0; the vocabulary is"),
        ("", "no text in column 'text' in line 2 of"),
    ],
)
def test_a_text_that_cannot_be_read_is_an_error_of_one_line(
    row: str, message: str, dates: Path, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "rows.csv", ("text", "number"), [(row, 1)])
    ended = call("predict", dates, file)
    assert ended.code == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1
    with pytest.raises(InvalidInputError, match=message.partition(" of ")[0]):
        list(seqhub.predict(dates, file))


def test_an_image_of_another_size_is_an_error_of_one_line(captions: Path, tmp_path: Path) -> None:
    file = write_json(tmp_path / "rows.jsonl", [{"input_values": [[0.5] * 7] * 8}])
    message = "7 values a step in"
    ended = call("predict", captions, file)
    assert ended.code == 2
    assert message in ended.err
    assert "the model needs 8" in ended.err
    assert ended.err.count("\n") == 1
    with pytest.raises(InvalidInputError, match=message):
        list(seqhub.predict(captions, [[[0.5] * 7] * 8]))
    model = AutoModelForSeq2SeqLM.from_pretrained(captions)
    with pytest.raises(ValueError, match=r"input_values must be .*8.*\(1, 8, 7\)") as error:
        model(input_values=torch.zeros(1, 8, 7))
    assert "\n" not in str(error.value)


def test_beams_are_at_most_the_symbols_that_can_be_generated(captions: Path) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(captions)
    with pytest.raises(ValueError, match=r"^num_beams=12: must be at most 11, the ids of the target$"):
        model.generate(input_values=torch.rand(1, 8, 8), num_beams=12)
    assert model.generate(input_values=torch.rand(1, 8, 8), num_beams=11).shape[0] == 1

"""Predictions for files and lists: equal to the model, in order, for every kind of row, with bounded memory."""

import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import seqhub
from seqhub.errors import InvalidInputError
from seqhub.evaluation.predict import predict
from seqhub.models.feature_extraction_series import SeriesFeatureExtractor
from seqhub.records import RunRecord
from tests.helpers.cli_calls import call
from tests.helpers.example_configs import small_run
from tests.helpers.own_files import reviews, series, write_csv, write_json


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs on texts, on series and on numbers, and their files."""
    folder = tmp_path_factory.mktemp("predict")
    small: dict[str, Any] = {"epochs": 8, "hidden_size": 8, "learning_rate": 0.02}
    write_csv(folder / "reviews.csv", ("text", "label"), reviews())
    seqhub.train(data=str(folder / "reviews.csv"), output_dir=folder / "reviews", **small)
    rows = series()
    rows[0]["values"][2][1] = None
    write_json(folder / "waves.jsonl", rows)
    seqhub.train(
        data=str(folder / "waves.jsonl"), output_dir=folder / "waves",
        data_options={"target": "label", "missing": "mask"}, **small,
    )  # fmt: skip
    priced = [(text, 1000.0 + 500.5 * (label == "pos")) for text, label in reviews()]
    write_csv(folder / "prices.csv", ("text", "price"), priced)
    seqhub.train(data=str(folder / "prices.csv"), output_dir=folder / "prices", kind="text-number", **small)
    tagged = [{"tokens": text.split(), "tags": list("ab" * 99)[: len(text.split())]} for text, _ in reviews()]
    write_json(folder / "tags.jsonl", tagged)
    seqhub.train(data=str(folder / "tags.jsonl"), output_dir=folder / "tags", **small)
    return folder


@pytest.mark.parametrize("name", ["reviews", "tags"])
def test_probabilities_are_those_of_the_recorded_logits(name: str, runs: Path) -> None:
    record = RunRecord.load(runs / name)
    found = list(predict(runs / name, record.probes))
    assert [each.row for each in found] == list(range(len(record.probes)))
    for each, logits in zip(found, record.probe["logits"], strict=True):
        expected = torch.tensor(logits, dtype=torch.float64).softmax(-1).tolist()
        steps, rows = (each.probabilities, expected) if name == "tags" else ([each.probabilities], [expected])
        for step, row in zip(steps, rows, strict=True):
            assert list(step) == list(record.schema.labels)
            assert list(step.values()) == pytest.approx(row, abs=1e-6)
        best = [max(step, key=step.__getitem__) for step in steps]
        assert each.value == (best if name == "tags" else best[0])


def test_raw_series_are_prepared_as_for_the_training(runs: Path) -> None:
    rows = [json.loads(line)["values"] for line in (runs / "waves.jsonl").read_text().splitlines()]
    assert None in rows[0][2]
    model = AutoModelForSequenceClassification.from_pretrained(runs / "waves")
    extractor = SeriesFeatureExtractor.from_pretrained(runs / "waves")
    with torch.no_grad():
        expected = model(**extractor(rows)).logits.double().softmax(-1).tolist()
    for each, row in zip(predict(runs / "waves", runs / "waves.jsonl"), expected, strict=True):
        assert isinstance(each.probabilities, dict)
        assert list(each.probabilities.values()) == pytest.approx(row, abs=1e-5)


def test_numbers_are_in_the_unit_of_the_target(runs: Path) -> None:
    found = [each.value for each in predict(runs / "prices", runs / "prices.csv")]
    good = np.array([label == "pos" for _, label in reviews()])
    assert np.mean(np.array(found)[good]) > 1250 > np.mean(np.array(found)[~good])


def test_lists_and_files_of_every_format_have_equal_predictions(runs: Path, tmp_path: Path) -> None:
    texts = [text for text, _ in reviews()][:40]
    expected = [each.value for each in predict(runs / "reviews", texts)]
    pd.DataFrame({"said": texts}).to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.txt").write_text("\n".join(texts))
    assert [each.value for each in predict(runs / "reviews", tmp_path / "rows.parquet", inputs="said")] == expected
    assert [each.value for each in predict(runs / "reviews", tmp_path / "rows.txt")] == expected
    write_csv(tmp_path / "plain.csv", (texts[0],), [(text,) for text in texts[1:]])
    plain = predict(runs / "reviews", tmp_path / "plain.csv", inputs="column 1", header="none")
    assert [each.value for each in plain] == expected
    values = [row["values"] for row in series()[1:30]]
    from_file = [each.probabilities for each in predict(runs / "waves", runs / "waves.jsonl")][1:30]
    from_list = [each.probabilities for each in predict(runs / "waves", values)]
    arrays = [each.probabilities for each in predict(runs / "waves", [np.array(each) for each in values])]
    for one, other, third in zip(from_file, from_list, arrays, strict=True):
        assert isinstance(one, dict)
        assert one == pytest.approx(other, abs=1e-6)
        assert one == pytest.approx(third, abs=1e-6)


def test_a_file_is_read_in_parts(runs: Path, tmp_path: Path) -> None:
    """An error in a late part is raised after the predictions of the parts before it."""
    texts = [(text,) for text, _ in reviews()] * 100
    file = write_csv(tmp_path / "rows.csv", ("text",), [*texts, ("",), *texts[:5]])
    file.write_text(file.read_text().replace('""', '" "'))
    predictions = predict(runs / "reviews", file)
    assert [each.row for each in islice(predictions, 16_384)] == list(range(16_384))
    with pytest.raises(InvalidInputError, match=r"^no text in column 'text' in line 20002 of "):
        next(predictions)


def test_models_of_tasks_predict_texts(tmp_path: Path) -> None:
    small_run("parity/last", tmp_path / "run")
    record = RunRecord.load(tmp_path / "run")
    found = list(predict(tmp_path / "run", record.probes))
    assert [np.argmax(logits) for logits in record.probe["logits"]] == [
        record.schema.labels.index(each.value) for each in found
    ]
    small_run("char_completion/tutorial", tmp_path / "text")
    with pytest.raises(InvalidInputError, match=r"continues texts; use `generate`, as on its card; need a model of"):
        predict(tmp_path / "text", ["abc"])


def test_the_command_writes_csv_json_and_files(runs: Path, tmp_path: Path) -> None:
    ended = call("predict", runs / "reviews", runs / "reviews.csv")
    assert ended.code == 0, ended.err
    rows = list(csv.DictReader(ended.out.splitlines()))
    assert len(rows) == 200
    assert list(rows[0]) == ["row", "prediction", "probability of neg", "probability of pos"]
    lines = call("predict", runs / "reviews", runs / "reviews.csv", "--json").out.splitlines()
    assert [json.loads(line)["prediction"] for line in lines] == [row["prediction"] for row in rows]
    quiet = call("predict", runs / "reviews", runs / "reviews.csv", "--quiet").out.splitlines()
    assert quiet == [row["prediction"] for row in rows]
    out = tmp_path / "found.csv"
    assert call("predict", runs / "reviews", runs / "reviews.csv", "--out", out).out == f"{out}\n"
    assert out.read_text() == ended.out
    again = call("predict", runs / "reviews", runs / "reviews.csv", "--out", out)
    assert (again.code, again.err) == (2, f"error: {out} exists; overwrite it, or choose another file\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("waves.jsonl",), "error: columns 'values', 'label', 'patient' of waves.jsonl; need 'text', or give --inputs"),
        (("none.csv",), "error: none.csv cannot be read: No such file or directory"),
        (("reviews.csv", "--out", "found.txt"), "error: --out found.txt: must end with .csv or .jsonl"),
        (("reviews.csv", "--batch-size", "0"), "error: --batch-size 0: must be at least 1"),
        (("blank.csv", "--out", "found.csv"), "error: no text in column 'text' in line 3 of blank.csv"),
    ],
)
def test_mistakes_have_one_line_and_write_nothing(
    arguments: tuple[str, ...], message: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    write_csv(runs / "blank.csv", ("text",), [("good film",), (" ",)])
    ended = call("predict", "reviews", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert ended.err.count("\n") == 1
    assert not list(runs.glob("*found*"))


def test_series_with_other_channels_are_rejected(runs: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^1 values a step in the list of rows; the model needs 2$"):
        list(predict(runs / "waves", [[1.0, 2.0]]))
    with pytest.raises(InvalidInputError, match=r"^rows of several types; need texts, or series of numbers$"):
        list(predict(runs / "waves", [[1.0, 2.0], "a"]))

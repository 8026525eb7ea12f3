"""Runs that start from a saved model: weights, outputs, vocabulary, scaling, frozen parameters, records and errors."""

from pathlib import Path
from typing import Any

import pytest
import torch

import seqhub
from seqhub.cards.model_card import render
from seqhub.data.source import DataSource
from seqhub.errors import SeqhubError
from seqhub.evaluation.load import file_digest, load_model
from seqhub.records import RunRecord
from seqhub.training.base_model import base_model
from seqhub.training.configure import configure
from seqhub.training.dataloaders import data_source
from seqhub.training.model_setup import create_model
from seqhub.training.native_loop import reason_not_native, train_native
from seqhub.training.torch_loop import train_in_torch
from seqhub.verification.verify import verify
from tests.helpers.cli_calls import call
from tests.helpers.own_files import reviews, series, write_csv, write_json

SMALL: dict[str, Any] = {"epochs": 2, "hidden_size": 8, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with base models of texts and of series, and files for fine-tuning."""
    folder = tmp_path_factory.mktemp("base")
    write_csv(folder / "reviews.csv", ("text", "label"), reviews())
    seqhub.train(data=str(folder / "reviews.csv"), output_dir=folder / "reviews", **SMALL)
    (folder / "lines.txt").write_text("\n".join(text for text, _ in reviews(60)), encoding="utf-8")
    seqhub.train(data=str(folder / "lines.txt"), output_dir=folder / "lines", **SMALL)
    write_json(folder / "waves.jsonl", series())
    seqhub.train(
        data=str(folder / "waves.jsonl"), output_dir=folder / "waves", data_options={"target": "label"}, **SMALL
    )
    three = [(f"{text} zebra", ("a", "b", "c")[n % 3]) for n, (text, _) in enumerate(reviews(150))]
    write_csv(folder / "three.csv", ("text", "label"), three)
    shifted = [{**row, "values": [[a + 500, b] for a, b in row["values"]]} for row in series(80)]
    write_json(folder / "shifted.jsonl", shifted)
    return folder


def tuned(runs: Path, output: Path, file: str, base: str, **settings: Any) -> RunRecord:
    record = seqhub.train(data=str(runs / file), output_dir=output, base_model=str(runs / base), epochs=1, **settings)
    assert record is not None
    return record


def test_other_labels_have_new_outputs_and_the_old_vocabulary(runs: Path, tmp_path: Path) -> None:
    record = tuned(runs, tmp_path / "run", "three.csv", "reviews", freeze=("model.embed*", "*recurrence.*"))
    assert record.base_model == {
        "name": "reviews",
        "weights": file_digest(runs / "reviews" / "model.safetensors"),
        "new": ["classifier.weight", "classifier.bias"],
        "frozen": record.base_model["frozen"] if record.base_model else [],
    }
    before, after = (load_model(folder).state_dict() for folder in (runs / "reviews", tmp_path / "run"))
    changed = [name for name in after if name not in before or not torch.equal(before[name], after[name])]
    assert set(after) - set(changed) == set(record.base_model["frozen"])
    assert {name.rpartition(".")[0] for name in changed} == {"classifier", "model.layers.0.recurrence_reverse"}
    for name in ("tokenizer.json",):
        assert (runs / "reviews" / name).read_text() == (tmp_path / "run" / name).read_text()
    assert record.data["statistics"]["unknown"]["train"] > 0.05  # zebra
    assert all(finding.agrees for finding in verify(tmp_path / "run", dataset=runs / "three.csv"))
    card = render(record)
    assert "base_model: reviews" in card
    assert "[reviews]" not in card
    assert "`reviews`" in card


def test_the_same_labels_keep_their_outputs(runs: Path, tmp_path: Path) -> None:
    """Before the first step, the model gives the outputs of its base model."""
    config = configure(data=str(runs / "reviews.csv"), output_dir=tmp_path / "run", base_model=str(runs / "reviews"))
    schema = DataSource(config.task, config.file, config.data_options).schema
    model = create_model(config, schema)
    base = base_model(config)
    assert base is not None
    assert base.start(model, config, schema)["new"] == []
    ids = torch.tensor([[1, 5, 3, 2]])
    assert torch.equal(model.eval()(input_ids=ids).logits, base.model.eval()(input_ids=ids).logits)


def test_a_model_that_continues_texts_becomes_a_classifier(runs: Path, tmp_path: Path) -> None:
    record = tuned(runs, tmp_path / "run", "three.csv", "lines")
    assert str(record.task) == "file/text-class"
    assert record.training["data_options"]["tokens"] == "characters"
    assert record.base_model is not None
    assert record.base_model["new"] == ["classifier.weight", "classifier.bias"]


def test_series_are_scaled_as_for_the_base_model_unless_given(runs: Path, tmp_path: Path) -> None:
    base = RunRecord.load(runs / "waves").data["reading"]["features"]
    options = {"target": "label"}
    record = tuned(runs, tmp_path / "run", "shifted.jsonl", "waves", data_options=options)
    assert record.data["reading"]["features"] == base
    assert all(finding.agrees for finding in verify(tmp_path / "run", dataset=runs / "shifted.jsonl"))
    record = tuned(runs, tmp_path / "own", "shifted.jsonl", "waves", data_options=options | {"scale": "standard"})
    assert record.data["reading"]["features"]["center"][0] == pytest.approx(base["center"][0] + 500, abs=20)


def test_tasks_start_from_a_base_model_natively_too(tmp_path: Path) -> None:
    small: dict[str, Any] = {"max_sequences": 32, "evaluate_size": 16, "evaluate_every": 32}
    seqhub.train(task="qrsu/easy", output_dir=tmp_path / "easy", **small)
    config = configure("qrsu/normal", output_dir=tmp_path / "normal", base_model=str(tmp_path / "easy"), **small)
    assert reason_not_native(config) is None
    record, native = train_in_torch(config, data_source(config), False, None), train_native(config)
    assert record is not None
    assert record.base_model == native.record.base_model
    assert record.model_id == RunRecord.load(tmp_path / "easy").model_id
    for name, tensor in load_model(tmp_path / "normal").state_dict().items():
        torch.testing.assert_close(torch.from_numpy(native.model.weights[name]), tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "base", "options", "message"),
    [
        ("three.csv", "reviews", ("--hidden-size", "32"), "--hidden-size 32: must be 8, as in the base model reviews"),
        ("three.csv", "reviews", ("--model", "gru"), "--model gru: must be lstm?"),
        ("three.csv", "reviews", ("--model-option", "pooling=last"), "--pooling last: must be mean"),
        ("three.csv", "reviews", ("--freeze", "encoder.*"), "--freeze 'encoder.*': must be a pattern of parameters"),
        ("three.csv", "reviews", ("--freeze", "*"), "patterns that leave a parameter to train"),
        ("three.csv", "reviews", ("--tokens", "characters"), "--tokens characters: must be words"),
        ("three.csv", "reviews", ("--max-vocab", "9"), "--max-vocab 9: must be omitted"),
        ("three.csv", "waves", (), "has texts; the base model waves reads series"),
        ("waves.jsonl", "reviews", ("--target", "label"), "has series; the base model reviews reads texts"),
        ("three.csv", "three.csv", (), "is a file: must be a folder or a repository"),
        ("three.csv", ".", (), "it has no config.json"),
        ("three.csv", "reviews", ("--params", "5k"), "params and from"),
    ],
)
def test_mistakes_are_one_line(
    file: str, base: str, options: tuple[str, ...], message: str, runs: Path, tmp_path: Path
) -> None:
    found = call("train", str(runs / file), "--from", str(runs / base), "--output-dir", str(tmp_path / "run"), *options)
    assert found.code == 2
    *_, last = found.err.splitlines()
    assert last.startswith("error: ")
    assert message in last
    assert found.err.count("error: ") == 1
    assert not (tmp_path / "run").exists()


def test_other_mistakes(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(SeqhubError, match="freeze"):
        configure(str(runs / "three.csv"), freeze=("model.*",))
    with pytest.raises(SeqhubError, match="another vocabulary"):
        seqhub.train(task="qrsu/easy", base_model=str(runs / "reviews"), output_dir=tmp_path / "run")
    with pytest.raises(SeqhubError, match="neither a folder nor a repository"):
        configure(str(runs / "three.csv"), base_model="nowhere")
    assert not (tmp_path / "run").exists()

"""Runs on files of own rows, from the command to a verified model with its card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqhub
from seqhub.cards.write import write_card
from seqhub.cli.results import draw
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.records import RunRecord
from seqhub.records.comparison import compare_with_baselines
from seqhub.verification.verify import verify
from tests.cli.test_demo import WITHOUT_SEQHUB, run_python
from tests.helpers.cli_calls import call
from tests.helpers.own_files import captioned, reviews, series, slopes, topics, write_csv, write_json
from tests.helpers.own_tokenizers import save_tokenizer

SMALL = ("--epochs", 6, "--hidden-size", 8, "--learning-rate", 0.02)


def tags() -> list[dict[str, Any]]:
    words = ("the", "dog", "runs", "home")
    rows = [[words[(n * 7 + step * step) % 4] for step in range(3 + n % 4)] + [words[n % 3]] for n in range(400)]
    return [{"tokens": row, "tags": [{"the": "D", "runs": "V"}.get(word, "N") for word in row]} for row in rows]


FILES: dict[str, Any] = {
    "reviews.csv": (lambda file: write_csv(file, ("text", "label"), reviews()), (), "text-class"),
    "prices.csv": (
        lambda file: write_csv(
            file,
            ("text", "price"),
            [(text, n % 9 + 200.5 * (label == "pos")) for n, (text, label) in enumerate(reviews())],
        ),
        (),
        "text-number",
    ),
    "waves.jsonl": (
        lambda file: write_json(file, series()),
        ("--target", "label", "--missing", "mask", "--group", "patient"),
        "series-class",
    ),
    "topics.jsonl": (lambda file: write_json(file, topics()), (), "text-multi-label"),
    "slopes.jsonl": (
        lambda file: write_json(file, slopes()),
        ("--target", "level", "--target", "slope"),
        "series-numbers",
    ),
    "flags.jsonl": (
        lambda file: write_json(
            file,
            [
                {"values": row["values"], "high": int(row["level"] > 100), "up": int(row["slope"] > 0)}
                for row in slopes()
            ],
        ),
        (),
        "series-multi-label",
    ),
    "long.csv": (
        lambda file: write_csv(
            file,
            ("who", "a", "b", "label"),
            [(n, *step, row["label"]) for n, row in enumerate(series(120)) for step in row["values"]],
        ),
        ("--id", "who", "--scale", "robust"),
        "series-class",
    ),
    "tokens.csv": (
        lambda file: (write_csv(file, ("text", "label"), reviews()), save_tokenizer("roberta", file.parent / "tokens")),
        ("--tokens", "tokens", "--max-length", "9"),
        "text-class",
    ),
    "tags.jsonl": (lambda file: write_json(file, tags()), (), "text-step-class"),
    "reversed.csv": (
        lambda file: write_csv(file, ("text", "target"), [(text, text[::-1]) for text, _ in reviews()]),
        (),
        "text-sequence",
    ),
    "digits": (lambda folder: captioned(folder), (), "series-sequence"),
    "lines.txt": (lambda file: file.write_text("\n".join(f"abcab{n}cabca" for n in range(60))), (), "text-next-symbol"),
}


@pytest.mark.parametrize("name", FILES)
def test_one_command_makes_a_verified_model_of_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write, options, kind = FILES[name]
    file, run = tmp_path / name, tmp_path / "run"
    write(file)
    ended = call("train", file, *options, *SMALL, "--output-dir", run)
    assert ended.code == 0, ended.err
    assert kind in ended.err
    record = RunRecord.load(run)
    comparison = compare_with_baselines(record)
    assert comparison is not None
    assert comparison.sentence in ended.out
    assert all(
        name in ended.out and shown in ended.out for name in comparison.values for shown in [comparison.shown(name)]
    )
    assert set(record.evaluation) == {"validation", "test"}
    assert record.name == f"{file.stem}-{'gru_seq2seq_additive' if 'sequence' in kind else 'lstm'}"
    assert all(finding.agrees for finding in verify(run, dataset=file))
    figures = draw(run)
    assert figures
    write_card(run)
    card = (run / "README.md").read_text()
    assert comparison.sentence in card
    assert f"rows of a file, `{file.name}`" in card
    assert str(tmp_path) not in card
    code = next(part for part in card.split("```python\n")[1:] if "torch.no_grad" in part).partition("```")[0]
    printed = run_python(WITHOUT_SEQHUB + code.replace("./run", str(run)), tmp_path)
    assert printed.strip() or (printed == "\n" and "sequence" in kind)  # a small model may generate an empty text


def test_a_model_with_the_result_of_a_baseline_is_not_better(tmp_path: Path) -> None:
    """Results of baselines may be rounded, as those of 4 of 12 rows."""
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), reviews(60))
    record = seqhub.train(data=file, epochs=1, hidden_size=4, output_dir=tmp_path / "run")
    assert record is not None
    record.data["baselines"] = {"majority": {"test": round(1 / 3, 6)}}
    for accuracy, is_better in ((1 / 3, False), (1 / 3 + 1e-5, True)):
        record.evaluation["test"]["accuracy"] = accuracy
        found = compare_with_baselines(record)
        assert found is not None
        assert found.is_better is is_better


def test_the_feature_extractor_takes_raw_values_without_seqhub(tmp_path: Path) -> None:
    file, run = write_json(tmp_path / "waves.jsonl", series(120)), tmp_path / "run"
    seqhub.train(data=str(file), data_options={"target": "label", "missing": "last"}, output_dir=run, epochs=1)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    code = f"""
import json
from transformers import AutoFeatureExtractor
extractor = AutoFeatureExtractor.from_pretrained({str(run)!r}, trust_remote_code=True)
print(json.dumps(extractor({[row["values"] for row in rows[:3]]!r})["input_values"].tolist()))
"""
    found = np.array(json.loads(run_python(WITHOUT_SEQHUB + code, tmp_path)))
    features = RunRecord.load(run).data["reading"]["features"]
    expected = (np.array(rows[0]["values"]) - features["center"]) / features["spread"]
    assert np.allclose(found[0, : len(expected)], expected, atol=1e-5)
    assert (found[0, len(expected) :] == 0).all()


def test_train_in_python_takes_a_file_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "my reviews.csv", ("text", "label"), reviews(100))
    record = seqhub.train(data="my reviews.csv", epochs=1, hidden_size=4)
    assert record is not None
    assert (tmp_path / "runs" / "my-reviews-lstm" / "run.json").is_file()
    assert record.evaluation["test"]["examples"] > 0
    assert record.training["evaluate_every"] == record.data["rows"]


def test_settings_without_a_file_or_beside_a_config_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"^task=None: must be a task id"):
        seqhub.train()
    with pytest.raises(UnknownNameError, match=r"^no setting 'epoch'; known: task, "):
        seqhub.train(task="qrsu/easy", epoch=1)
    config = seqhub.TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run")
    with pytest.raises(InvalidConfigError, match=r"^epochs: must be in the config, or omit the config$"):
        seqhub.train(config, epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rows.csv",), "error: rows.csv cannot be read: No such file or directory"),
        (("qrsu/easy", "--kind", "text-class"), "error: --kind text-class: must be omitted without a file of rows"),
        (("qrsu/easy", "--target", "label"), "error: no data option of qrsu/easy 'target'; known: none"),
        (("own.csv", "--data", "stream"), "error: --data stream: must be omitted, as the rows are those of own.csv"),
        (("own.csv", "--model", "cnn_lstm"), "error: --model cnn_lstm: must be one of "),
    ],
)
def test_mistakes_of_the_command_have_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "own.csv", ("text", "label"), reviews(60))
    ended = call("train", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()

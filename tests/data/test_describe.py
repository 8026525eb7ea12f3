"""Statistics of training rows, and warnings about uninformative rows."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqhub.cards.write import write_card
from seqhub.data.assignment import split_index_of
from seqhub.data.describe import data_warnings, warn
from seqhub.data.source import DataSource
from seqhub.data.vectors import VectorRow, write_vectors
from seqhub.errors import DataWarning
from seqhub.records import RunRecord
from seqhub.tasks.schema import Batch
from seqhub.training.config import TrainConfig
from seqhub.training.train import train
from tests.helpers.cli_calls import call
from tests.helpers.example_configs import OF_EACH_TASK


def table(file: Path, rows: Sequence[tuple[str, str]]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("text", "label"), *rows])
    return file


def good(number: int = 120) -> list[tuple[str, str]]:
    return [(f"the {('good', 'bad')[n % 2]} film was seen by w{n}", ("yes", "no")[n % 2]) for n in range(number)]


def unknown(number: int = 120) -> list[tuple[str, str]]:
    return [(" ".join(f"{letter}{n}" for letter in "abcdefghijkl") + " the", "ab"[n % 2]) for n in range(number)]


def test_statistics_agree_with_the_rows(tmp_path: Path) -> None:
    rows = good()
    found = DataSource("sentiment/custom", table(tmp_path / "my.csv", rows)).statistics
    train_rows = [row for row in rows if split_index_of(row[0].encode()) == 0]
    yes = sum(label == "yes" for _, label in train_rows)
    assert (found["rows"], found["length"]) == (len(train_rows), [7, 7])
    assert found["classes"] == {"no": len(train_rows) - yes, "yes": yes}
    assert found["unknown"] == {split: round(1 / 7, 6) for split in ("train", "validation", "test")}
    target = max(found["classes"], key=found["classes"].get)
    assert found["majority"]["target"] == target
    for place, split in enumerate(("train", "validation", "test")):
        labels = [label for text, label in rows if split_index_of(text.encode()) == place]
        assert found["majority"][split] == pytest.approx(labels.count(target) / len(labels), abs=1e-6)


def test_next_symbols_have_a_majority_too(tmp_path: Path) -> None:
    (tmp_path / "my.txt").write_text("\n".join(f"{n:03}" + "x" * 97 for n in range(100)))
    source = DataSource("char_completion/custom", tmp_path / "my.txt")
    assert source.statistics["majority"] == {"target": "x"} | dict.fromkeys(
        ("train", "validation", "test"), pytest.approx(97 / 99, abs=1e-6)
    )
    (line,) = data_warnings(source)
    assert line == (
        "char_completion/custom on my.txt: 98.0% of the training next symbols have the target 'x'; always predicting "
        "it has the same accuracy"
    )


@pytest.mark.parametrize("task_id", OF_EACH_TASK)
def test_published_rows_give_no_warnings(task_id: str) -> None:
    found = DataSource(task_id).statistics
    assert found["rows"] > 0
    assert data_warnings(DataSource(task_id)) == []


def test_uninformative_rows_give_one_warning(tmp_path: Path) -> None:
    (line,) = data_warnings(DataSource("sentiment/custom", table(tmp_path / "a.csv", unknown())))
    assert "sentiment/custom on a.csv: 92.3% of the training words are unknown" in line
    many = [(f"the film was number w{n} of w{n}", "yes" if n % 40 else "no") for n in range(400)]
    (line,) = data_warnings(DataSource("sentiment/custom", table(tmp_path / "b.csv", many)))
    assert "of the training rows have the target 'yes'; always predicting it has the same accuracy" in line
    same = [(f"the film w{n}", ("yes", "no")[n % 2]) for n in range(100)]
    (line,) = data_warnings(DataSource("sentiment/custom", table(tmp_path / "c.csv", same)))
    assert line.endswith("all training rows have the same model inputs; their classes cannot be distinguished")
    rows = [VectorRow(np.full((2, 3), n / 7, np.float32), "ab"[n % 2]) for n in range(100)]
    write_vectors(tmp_path / "d.parquet", rows)
    assert data_warnings(DataSource("documents/custom", tmp_path / "d.parquet")) == []


def test_target_without_variance_gives_a_warning() -> None:
    source = DataSource("adding/hs97-t100")
    block = source.first_block
    source.__dict__["first_block"] = Batch(block.inputs, block.lengths, np.full_like(block.labels, 0.5))
    assert data_warnings(source) == [
        "adding/hs97-t100 on stream: all training targets are 0.5; there is nothing to learn"
    ]


def small(folder: Path, file: Path) -> TrainConfig:
    settings: dict[str, Any] = {"epochs": 1, "stop_at": "none", "hidden_size": 2, "evaluate_size": 8, "cpu": True}
    return TrainConfig(task="sentiment/custom", output_dir=folder, data=str(file), **settings)


def test_warnings_do_not_stop_training_and_numbers_are_in_record_and_card(tmp_path: Path) -> None:
    file = table(tmp_path / "my.csv", unknown())
    with pytest.warns(DataWarning, match="are unknown, because each occurs only once"):
        train(small(tmp_path / "run", file))
    record = RunRecord.load(tmp_path / "run")
    assert record.data["statistics"] == DataSource("sentiment/custom", file).statistics
    write_card(tmp_path / "run")
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Share of words that are not in the vocabulary: 0.9231 in train" in card
    assert "Accuracy of always predicting `" in card
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataWarning):
            warn(DataSource("sentiment/custom", file))


@pytest.mark.fast_cases("train")
@pytest.mark.parametrize("command", ["train", "sweep"])
def test_command_line_prints_one_warning(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "my.csv", unknown())
    rest = ["--seeds", 1, "--threads", 1] if command == "sweep" else []
    ended = call(command, "sentiment/custom", "--data", "my.csv", "--epochs", 1, "--hidden-size", 2, "--stop-at",
                 "none", "--output-dir", "run", "--quiet", *rest)  # fmt: skip
    assert ended.code == 0, ended.err
    assert ended.err.startswith("warning: sentiment/custom on my.csv: 92.3% of the training words are unknown")
    assert ended.err.count("\n") == 1

"""Runs on a file that the user supplies, and errors after the file has changed."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqhub.data.source import DataSource
from seqhub.errors import InvalidConfigError, InvalidInputError
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.load import load_model
from seqhub.records import RunRecord
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import verify

FILES = {"char_completion/custom": "my.txt", "sentiment/custom": "my.csv"}
OPTIONS = {"char_completion/custom": {"window": 24}, "sentiment/custom": {"text": "review", "label": "stars"}}
SMALL = {"hidden_size": 16, "epochs": 12, "learning_rate": 1e-2}


def write(folder: Path, name: str, rows: int = 120) -> Path:
    """Write sentences whose last character is their first one, or whose last word determines their label."""
    file = folder / name
    if name.endswith(".txt"):
        file.write_text("\n".join(f"{'xyz'[n % 3]} row {n} ends in {'xyz'[n % 3]}" for n in range(rows)))
    else:
        with file.open("w", newline="") as out:
            lines = ((("worse", "better")[n % 2], f"row w{n} of w{n // 2} is {'bd'[n % 2]}") for n in range(rows))
            csv.writer(out).writerows([("stars", "review"), *lines])
    return file


def settings(task_id: str, folder: Path, output: Path, **changes: object) -> TrainConfig:
    given = {"task": task_id, "output_dir": output, "model": "lstm", "data": str(folder / FILES[task_id])}
    return TrainConfig(**{**recipe(task_id, "lstm"), **given, "data_options": OPTIONS[task_id], **SMALL, **changes})


@pytest.fixture(scope="module", params=FILES)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    task_id: str = request.param
    folder = tmp_path_factory.mktemp("own")
    write(folder, FILES[task_id])
    train(settings(task_id, folder, folder / "run"))
    return task_id, folder / FILES[task_id], folder / "run"


def test_the_record_has_the_name_and_content_of_the_file_but_not_its_folder(finished: tuple[str, Path, Path]) -> None:
    task_id, file, run = finished
    record = RunRecord.load(run)
    source = DataSource(task_id, file, OPTIONS[task_id])
    assert record.data["source"] == record.training["data"] == file.name
    assert record.training["data_options"] == OPTIONS[task_id]
    assert (record.data["digest"], record.data["identity"]) == (source.training_digest, source.identity)
    assert record.data["rows"] == source.sizes["train"]
    assert record.sequences_seen == 12 * source.sizes["train"]
    assert str(file.parent) not in (run / "run.json").read_text()


def test_evaluation_and_verification_need_only_the_file(finished: tuple[str, Path, Path]) -> None:
    task_id, file, run = finished
    record = evaluate(run, data=file)
    assert set(record.evaluation) == {"validation", "test"}
    assert record.evaluation["test"]["examples"] == DataSource(task_id, file, OPTIONS[task_id]).sizes["test"]
    assert record.evaluation["test"]["accuracy"] > (0.5 if task_id.startswith("char") else 0.99)
    assert all(finding.agrees for finding in verify(run, dataset=file))


def test_evaluation_without_the_file_or_with_another_is_rejected(
    finished: tuple[str, Path, Path], tmp_path: Path
) -> None:
    task_id, file, run = finished
    before = (run / "run.json").read_bytes()
    with pytest.raises(InvalidInputError, match=f"^{task_id}: no file given"):
        evaluate(run)
    with pytest.raises(InvalidInputError, match=f"^{task_id}: no file given"):
        verify(run)
    other = write(tmp_path, file.name, rows=121)
    with pytest.raises(InvalidInputError, match=f"{other} has other rows than {file.name}, the file of this run$"):
        evaluate(run, data=other)
    assert (run / "run.json").read_bytes() == before


def test_a_file_for_a_run_without_a_file_is_rejected(finished: tuple[str, Path, Path], tmp_path: Path) -> None:
    short = {"max_sequences": 32, "evaluate_size": 32, "evaluate_every": 32, "stop_at": "none"}
    train(TrainConfig(task="qrsu/easy", output_dir=tmp_path / "run", **short))
    with pytest.raises(InvalidInputError, match="for qrsu/easy: only the config custom takes a file"):
        evaluate(tmp_path / "run", data=finished[1])


def test_the_saved_tokenizer_has_the_vocabulary_of_the_file(finished: tuple[str, Path, Path]) -> None:
    from transformers import AutoTokenizer

    task_id, file, run = finished
    source = DataSource(task_id, file, OPTIONS[task_id])
    assert source.schema.vocabulary is not None
    tokenizer = AutoTokenizer.from_pretrained(run)
    texts = [example.inputs for batch in source.split("test").batches(0) for example in source.split().examples(batch)]
    assert [tokenizer(text)["input_ids"] for text in texts] == [source.schema.vocabulary.encode(text) for text in texts]
    assert load_model(run).config.vocab_size == 1 + len(source.schema.vocabulary)


def test_unknown_words_have_an_id_and_a_prediction(finished: tuple[str, Path, Path]) -> None:
    task_id, _, run = finished
    if task_id != "sentiment/custom":
        return
    from transformers import AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(run)
    unknown = len(tokenizer) - 1
    assert tokenizer("row unknown new words is d")["input_ids"][1:4] == [unknown] * 3
    classify = pipeline("text-classification", model=load_model(run), tokenizer=tokenizer)
    answers = classify(["row unknown new words is d", "row unknown new words is b"])
    assert [answer["label"] for answer in answers] == ["better", "worse"]


@pytest.mark.parametrize("task_id", FILES)
def test_a_stopped_run_is_resumed_with_the_same_rows_only(task_id: str, tmp_path: Path) -> None:
    """Rows of equal number and other content differ from the identity in the checkpoint."""
    from seqhub.training.state import TrainerState
    from seqhub.training.train import TrainingInterrupted

    def stop(now: TrainerState) -> None:
        if now.sequences >= 192:
            raise KeyboardInterrupt

    file = write(tmp_path, FILES[task_id])
    often = {"evaluate_every": 96, "checkpoint_every": 96}
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(settings(task_id, tmp_path, tmp_path / "run", **often), callback=stop)
    text = file.read_text()
    file.write_text(text.replace("is b", "is d").replace("ends", "stops"))
    with pytest.raises(
        InvalidConfigError,
        match=rf"belongs to another run: its data were {file.name} with content \w{{16}}, {file.name}",
    ):
        train(settings(task_id, tmp_path, tmp_path / "run", **often), resume=True)
    file.write_text(text)
    train(settings(task_id, tmp_path, tmp_path / "run", **often), resume=True)
    train(settings(task_id, tmp_path, tmp_path / "whole", **often))
    weights = [load_model(tmp_path / name).state_dict() for name in ("run", "whole")]
    assert all(torch.equal(one, weights[1][name]) for name, one in weights[0].items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "stream"}, "data='stream': must be the file with the rows, a table of texts and labels"),
        ({"data": "nowhere.csv"}, "data='nowhere.csv': must be the file"),
        (
            {"task": "char_completion/custom", "data": "splits"},
            "data='splits': must be the file with the rows, a text",
        ),
        ({"task": "sentiment/short"}, r"data='.*my\.csv': must be stream, splits or a folder"),
        ({"task": "sentiment/short", "data": "stream"}, "data_options=.*: must be empty without a file"),
    ],
)
def test_settings_that_do_not_fit_a_file_are_rejected(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write(tmp_path, "my.csv")
    good = settings("sentiment/custom", tmp_path, tmp_path / "run")
    with pytest.raises(InvalidConfigError, match=message):
        replace(good, **change)


def test_an_unreadable_file_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_bytes(b"review,stars\n\xff")
    with pytest.raises(InvalidInputError, match=r"byte 0xff at position 13 of .*my\.csv; need a text in UTF-8"):
        train(settings("sentiment/custom", tmp_path, tmp_path / "run"))
    assert not (tmp_path / "run").exists()

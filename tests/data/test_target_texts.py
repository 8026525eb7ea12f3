"""Rows of a file whose targets are texts, and images in tables of rows."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import seqhub
from seqhub.data.file_kinds import task_of_file
from seqhub.data.simple_baselines import simple_baselines
from seqhub.data.source import DataSource
from seqhub.data.table_reader import read_table
from seqhub.data.target_texts import LONGEST_TARGET
from seqhub.errors import SeqhubError
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import SPLITS, Split
from tests.helpers.cli_calls import call
from tests.helpers.own_files import captioned, write_csv, write_json


def read(file: Path, kind: str | None = None, **options: Any) -> DataSource:
    ref, chosen = task_of_file(file, options, kind)
    return DataSource(ref, file, chosen)


def pairs(task_id: str, rows: int = 120) -> list[tuple[str, str]]:
    split = Split(task_id, "train")
    return [tuple(split[number]) for number in range(rows)]


def examples(source: DataSource) -> dict[str, str]:
    found = {}
    for name in SPLITS:
        split = source.split(name)
        for batch in split.batches(0):
            found |= {str(np.asarray(each.inputs).tolist()): each.target for each in split.examples(batch)}
    return found


@pytest.mark.parametrize(
    ("task_id", "header", "tokens"),
    [
        ("date_translation/years1000-2999", ("english", "iso"), "characters"),
        ("number_words/to-words", ("source", "target"), "characters"),
        ("reverse_words/short", ("text", "translation"), "words"),
    ],
)
def test_two_columns_of_texts_are_a_source_and_a_target(
    task_id: str, header: tuple[str, str], tokens: str, tmp_path: Path
) -> None:
    rows = pairs(task_id)
    if header[0] == "source":
        rows = [(text.replace(" ", ""), target) for text, target in rows]
    file = write_csv(tmp_path / "pairs.csv", header, rows)
    kind = "text-sequence" if header[0] == "source" else None  # numbers would be a series
    source = read(file, kind, inputs=[header[0]], target=header[1])
    assert str(source.task) == "file/text-sequence"
    rows_of_file = source.file_rows
    assert rows_of_file is not None
    assert rows_of_file.reading["tokens"] == tokens
    found = examples(source)
    known = [(text, target) for text, target in dict(rows).items() if found.get(text) == target]
    assert len(known) >= 0.9 * len(dict(rows))  # others have a word that is rare in the training rows
    assert source.schema.vocabulary == source.schema.target_vocabulary
    longest = max(len(t.split(" ") if tokens == "words" else t) for _, t in rows)
    assert source.schema.max_target == rows_of_file.reading["max_target"] == longest


def test_labels_are_padded_and_rare_symbols_are_unknown(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "target": "ab" if n % 2 else "a"} for n in range(60)]
    source = read(write_json(tmp_path / "rows.jsonl", rows), "text-sequence", min_count=10)
    batch = source.split("train").blocks(0, 1)
    vocabulary = source.schema.vocabulary
    assert vocabulary is not None
    a, b = vocabulary.ids["a"], vocabulary.ids["b"]
    assert {tuple(row) for row in batch.labels.tolist()} == {(a, b), (a, NO_LABEL)}
    assert (batch.inputs == len(vocabulary)).any()


def test_the_kind_of_a_text_target(tmp_path: Path) -> None:
    """Many different texts are to be generated, except in a column that is named like a class."""
    many = [{"text": f"a text {n}", "target": f"x{n}"} for n in range(150)]
    few = [{"text": f"a text {n}", "target": f"x{n % 5}"} for n in range(150)]
    named = [{"text": f"a text {n}", "caption": f"x{n % 5}"} for n in range(150)]
    kinds = [str(read(write_json(tmp_path / "rows.jsonl", rows)).task) for rows in (many, few, named)]
    assert kinds == ["file/text-sequence", "file/text-class", "file/text-sequence"]
    labelled = [{"text": f"a text {n}", "label": f"x{n % 150}"} for n in range(900)]
    source = read(write_json(tmp_path / "rows.jsonl", labelled))
    assert (str(source.task), len(source.schema.labels)) == ("file/text-class", 150)


def test_the_baselines_are_the_most_frequent_target_and_the_text(tmp_path: Path) -> None:
    rows = [{"text": f"t{n}", "target": f"t{n}" if n % 4 == 0 else "same"} for n in range(400)]
    source = read(write_json(tmp_path / "rows.jsonl", rows), "text-sequence")
    found = simple_baselines(source)
    test = [
        each.target == each.inputs for b in source.split("test").batches(0) for each in source.split("test").examples(b)
    ]
    assert found["copy of the text"]["test"] == pytest.approx(np.mean(test), abs=1e-6)
    assert found["frequent target"]["test"] == pytest.approx(1 - np.mean(test), abs=1e-6)


def image(width: int, height: int, mode: str = "L", seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def content(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


def test_images_are_equal_in_a_folder_beside_a_table_and_in_a_table(tmp_path: Path) -> None:
    folder = captioned(tmp_path / "digits")
    table = pd.read_csv(folder / "metadata.csv")
    table.rename(columns={"file_name": "scan_file_name"}).to_json(folder / "rows.jsonl", orient="records", lines=True)
    pictures = [{"bytes": (folder / name).read_bytes(), "path": None} for name in table["file_name"]]
    pq.write_table(pa.table({"image": pictures, "caption": table["caption"].tolist()}), folder / "rows.parquet")
    found = [read(path) for path in (folder, folder / "rows.jsonl", folder / "rows.parquet")]
    assert {str(source.task) for source in found} == {"file/series-sequence"}
    assert examples(found[0]) == examples(found[1]) == examples(found[2])
    columns = read_table(folder).column("file_name")[0].as_py()
    split = Split("digit_captions/several", "train")
    assert np.abs(np.array(columns) - split[0].inputs).max() < 1 / 255
    assert found[0].schema.step_shape == (8,)
    assert set(examples(found[0]).values()) <= {split[number].target for number in range(60)}
    assert found[0].name == "digits"


def test_images_have_classes_and_numbers_too(tmp_path: Path) -> None:
    for number in range(40):
        image(5 + number % 3, 6, "RGB", number).save(tmp_path / f"{number}.png")
    rows = [(f"{number}.png", ("a", "b")[number % 2]) for number in range(40)]
    write_csv(tmp_path / "metadata.csv", ("file_name", "label"), rows)
    source = read(tmp_path)
    assert str(source.task) == "file/series-class"
    assert source.statistics["length"] == [5, 7]


def _metadata(folder: Path, *rows: tuple[str, str]) -> None:
    for number in range(12):
        image(5, 6, seed=number).save(folder / f"{number}.png")
    write_csv(folder / "metadata.csv", ("file_name", "caption"), [*((f"{n}.png", f"c{n}") for n in range(12)), *rows])


def _with(folder: Path, picture: bytes) -> None:
    (folder / "x.png").write_bytes(picture)
    _metadata(folder, ("x.png", "c"))


MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no such image": (lambda f: _metadata(f, ("none.png", "c")), r"^image .*none.png in line 14 of .*: no such file$"),
    "no image": (lambda f: _metadata(f, ("", "c")), r"^no image in line 14 of .*metadata.csv; need one in every row$"),
    "height": (
        lambda f: _with(f, content(image(5, 7))),
        r"^an image of 5 x 7 pixels in line 14 of .*; need a height of 6, that of the first image$",
    ),
    "depth": (
        lambda f: _with(f, content(Image.fromarray(np.zeros((6, 5), np.uint16)))),
        r"^image .*x.png of mode I;16 in line 14 of .*; need 8 bits per channel$",
    ),
    "damaged": (lambda f: _with(f, content(image(5, 6))[:60]), r"^image .*x.png in line 14 of .* cannot be read: "),
    "no picture": (lambda f: _with(f, b"text"), r"^image .*x.png in line 14 of .* cannot be read: "),
    "no target": (
        lambda f: _metadata(f, ("0.png", "")),
        r"^no target in column 'caption' in line 14 of .*; need a text in every row$",
    ),
    "long target": (
        lambda f: _metadata(f, ("0.png", "x" * (LONGEST_TARGET + 1))),
        r"^1,025 characters of the target in line 14 of .*; need 1,024 or fewer$",
    ),
    "no table": (
        lambda f: image(5, 6).save(f / "0.png"),
        r"is a folder; need a file, or a folder with one of metadata",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    write, message = MISTAKES[name]
    write(tmp_path)
    with pytest.raises(SeqhubError, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_source_or_target_is_an_error_of_the_command(tmp_path: Path) -> None:
    rows = [{"text": f"text {n}", "target": f"target {n}"} for n in range(200)]
    for column in ("text", "target"):
        changed = [*rows, {**rows[0], column: " "}]
        write_json(tmp_path / "rows.jsonl", changed)
        ended = call("train", tmp_path / "rows.jsonl", "--target", "target", "--output-dir", tmp_path / "run")
        assert ended.code == 2
        assert f"no {column} in column '{column}' in line 201 of" in ended.err
        assert ended.err.count("\n") == 1
        assert not (tmp_path / "run").exists()


def test_predictions_are_the_generated_texts(tmp_path: Path) -> None:
    """With the command and in Python, for texts and for images; an image of another height is an error."""
    folder, run = captioned(tmp_path / "digits"), tmp_path / "run"
    small = ("--epochs", 1, "--hidden-size", 4, "--model-option", "attention=multiplicative", "--output-dir", run)
    assert call("train", folder, *small, "--quiet").code == 0
    ended = call("predict", run, folder, "--json")
    assert ended.code == 0, ended.err
    found = [json.loads(line) for line in ended.out.splitlines()]
    predicted = list(seqhub.predict(run, folder))
    assert [each["prediction"] for each in found] == [each.value for each in predicted]
    assert all(each.probabilities == {} and isinstance(each.value, str) for each in predicted)
    columns = read_table(folder).column("file_name").to_pylist()
    assert [each.value for each in seqhub.predict(run, columns)] == [each.value for each in predicted]
    for number in range(60):
        image(8, 9).save(folder / f"{number}.png")
    ended = call("predict", run, folder)
    assert ended.code == 2
    assert ended.err.strip().endswith(
        "images of height 9 in " + str(folder / "metadata.csv") + "; the model needs a height of 8 pixels"
    )

"""Tables with one step in each row: equal to tables with one series in each row."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqhub.data.file_kinds import task_of_file
from seqhub.data.source import DataSource
from seqhub.tasks.splits import SPLITS
from tests.helpers.own_files import series, write_csv, write_json

ROWS = series(120)
LONG = [(f"p{n}", t, *step, row["label"]) for n, row in enumerate(ROWS) for t, step in enumerate(row["values"])]
HEADER = ("patient", "time", "a", "b", "label")


def read(file: Path, **options: Any) -> DataSource:
    ref, chosen = task_of_file(file, options)
    return DataSource(ref, file, chosen)


def examples(source: DataSource) -> list[Any]:
    return [
        (name, np.asarray(example.inputs).tolist(), example.target)
        for name in SPLITS
        for batch in source.split(name).batches(0)
        for example in source.split(name).examples(batch)
    ]


def short(folder: Path) -> DataSource:
    rows = [
        {"a": [step[0] for step in row["values"]], "b": [step[1] for step in row["values"]], "label": row["label"]}
        for row in ROWS
    ]
    return read(write_json(folder / "short.jsonl", rows))


def test_long_form_has_the_rows_of_the_short_form(tmp_path: Path) -> None:
    long = read(write_csv(tmp_path / "long.csv", HEADER, LONG), id="patient", order="time")
    assert str(long.task) == "file/series-class"
    assert long.identity == short(tmp_path).identity
    assert long.file_rows is not None
    assert long.file_rows.found["long_form"] == {"rows": len(LONG), "ids": 120, "scattered": 0}


def test_scattered_rows_are_ordered_and_counted(tmp_path: Path) -> None:
    shuffled = LONG[:]
    random.Random(0).shuffle(shuffled)
    source = read(write_csv(tmp_path / "long.csv", HEADER, shuffled), id="patient", order="time")
    assert sorted(examples(source), key=str) == sorted(examples(short(tmp_path)), key=str)
    assert source.file_rows is not None
    assert source.file_rows.found["long_form"]["scattered"] > 1_000


def test_order_of_the_file_without_a_column(tmp_path: Path) -> None:
    rows = [row[:1] + row[2:] for row in LONG]
    source = read(write_csv(tmp_path / "long.csv", ("patient", "a", "b", "label"), rows), id="patient")
    assert source.identity == short(tmp_path).identity


@pytest.mark.parametrize("target", [(), ("state",)])
def test_a_target_of_several_values_has_one_for_each_step(target: tuple[str, ...], tmp_path: Path) -> None:
    rows = [(*row[:4], "up" if row[2] > 1_000 else "down") for row in LONG]
    header = (*HEADER[:4], "state" if target else "label")
    options = {"target": list(target)} if target else {}
    source = read(write_csv(tmp_path / "long.csv", header, rows), id="patient", order="time", **options)
    assert str(source.task) == "file/series-step-class"
    for name in SPLITS:
        for batch in source.split(name).batches(0):
            for example in source.split(name).examples(batch):
                assert len(example.target) == len(example.inputs)


def test_words_of_a_text_one_in_each_row(tmp_path: Path) -> None:
    rows = [(n, word, tag) for n in range(60) for word, tag in (("the", "D"), (f"dog{n}", "N"), ("runs", "V"))]
    source = read(
        write_csv(tmp_path / "tags.csv", ("sentence", "word", "tag"), rows), id="sentence", inputs=["word"],
        target="tag", min_count=1,
    )  # fmt: skip
    assert str(source.task) == "file/text-step-class"
    assert source.split()[0].inputs.split()[0] == "the"
    assert source.split()[0].target == ["D", "N", "V"]


def test_groups_and_splits_of_ids_are_kept(tmp_path: Path) -> None:
    rows = [(*row, ("train", "validation", "test")[int(row[0][1:]) % 3]) for row in LONG]
    source = read(write_csv(tmp_path / "long.csv", (*HEADER, "split"), rows), id="patient", order="time")
    assert source.sizes == {"train": 40, "validation": 40, "test": 40}

"""Rows that are not in a file: the same rows give the same source in every form, and splits are kept."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import seqhub
from seqhub.data.file_kinds import task_of_file
from seqhub.data.source import DataSource
from seqhub.data.user_sources import as_file, resolve_file
from seqhub.errors import DataWarning, InvalidInputError
from tests.helpers.own_files import reviews, series, topics, write_csv, write_json

FRAME = pd.DataFrame(reviews(80), columns=["text", "label"])
ROWS = datasets.Dataset.from_dict(FRAME.to_dict("list"))
CLASSES = datasets.ClassLabel(names=["neg", "pos"])

FORMS: dict[str, Any] = {
    "frame": FRAME,
    "dataset": ROWS,
    "selected dataset": datasets.concatenate_datasets([ROWS, ROWS]).select(range(80)),
    "classes": ROWS.map(lambda row: {"label": CLASSES.str2int(row["label"])}).cast_column("label", CLASSES),
    "columns": {"text": FRAME["text"].tolist(), "label": FRAME["label"].to_numpy(str)},
    "table": pa.Table.from_pandas(FRAME),
}


def identity(file: Path, **options: Any) -> str:
    ref, chosen = task_of_file(file, options)
    return DataSource(ref, file, chosen).identity


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_rows_of_the_file(form: str, tmp_path: Path) -> None:
    expected = identity(write_csv(tmp_path / "rows.csv", ("text", "label"), reviews(80)))
    with as_file(FORMS[form]) as file:
        assert identity(file) == expected
    assert not file.exists()


def test_class_names_are_read_from_a_parquet_file_of_datasets(tmp_path: Path) -> None:
    FORMS["classes"].to_parquet(tmp_path / "rows.parquet")
    with as_file(FRAME) as file:
        assert identity(tmp_path / "rows.parquet") == identity(file)


def test_several_labels_and_series_are_equal_in_every_form(tmp_path: Path) -> None:
    for rows, options in ((topics(80), {}), (series(80), {"target": "label"})):
        expected = identity(write_json(tmp_path / "rows.jsonl", rows), **options)
        names = list(rows[0])
        forms: list[Any] = [datasets.Dataset.from_list(rows), {name: [row[name] for row in rows] for name in names},
                            pd.DataFrame(rows)]  # fmt: skip
        for form in forms:
            with as_file(form) as file:
                assert identity(file, **options) == expected
    arrays = {"x": np.random.default_rng(0).normal(size=(80, 5, 2)), "y": np.arange(80) % 2}
    np.savez(tmp_path / "arrays.npz", **arrays)
    with as_file(arrays) as file:
        assert identity(file) == identity(tmp_path / "arrays.npz")


def test_splits_are_kept_and_others_with_a_warning() -> None:
    parts = {"train": ROWS.select(range(50)), "test": ROWS.select(range(50, 80))}
    with as_file(datasets.DatasetDict(parts)) as file:
        ref, chosen = task_of_file(file, {})
        assert DataSource(ref, file, chosen).sizes["test"] == 30
    more = datasets.DatasetDict(parts | {"extra": ROWS.select(range(3))})
    with pytest.warns(DataWarning, match=r"than train, validation, test are omitted: extra \(3 rows\)"):
        assert _rows(more) == 80


def _rows(data: Any) -> int:
    with as_file(data) as file:
        ref, chosen = task_of_file(file, {})
        return sum(DataSource(ref, file, chosen).sizes.values())


MISTAKES: list[tuple[Any, str]] = [
    ([1, 2], r"^data of type list: must be a file, "),
    ({"a": [1, 2], "b": [1]}, r"^columns a with 2, b with 1 in the dict; need columns with one entry for each row$"),
    ({"a": ["x", {"y": 1}]}, r"^the dict has a column of several types: "),
    ({}, r"^columns none in the dict"),
    (datasets.DatasetDict({"test": ROWS}), r"^the DatasetDict has the splits test; need train"),
    (datasets.DatasetDict({"train": ROWS, "test": ROWS.rename_column("text", "other")}), r"other columns in the split"),
    (pd.DataFrame({"a": ["x", 1, None]}), r"^the DataFrame has a column of several types: "),
]


@pytest.mark.parametrize(("data", "message"), MISTAKES)
def test_a_mistake_is_one_line(data: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught, as_file(data):
        pass
    assert "\n" not in str(caught.value)


def test_train_and_predict_take_a_dataset(tmp_path: Path) -> None:
    record = seqhub.train(data=ROWS, epochs=1, hidden_size=4, output_dir=tmp_path / "run")
    assert record is not None
    assert record.name == "dataset-lstm"
    with as_file(ROWS) as file:
        ref, options = task_of_file(file, {})
        sizes = DataSource(ref, file, options).sizes
    assert record.evaluation["test"]["examples"] == sizes["test"]
    assert sum(sizes.values()) == len(ROWS)
    found = list(seqhub.predict(tmp_path / "run", FRAME))
    listed = seqhub.predict(tmp_path / "run", list(FRAME["text"]))
    assert [each.value for each in found] == [each.value for each in listed]


def test_a_file_that_does_not_exist_is_not_searched_on_a_hub() -> None:
    for name in ("rows.csv", "data/rows.csv", "../rows", "rows"):
        assert resolve_file(name) == Path(name)

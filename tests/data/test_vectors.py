"""Files of labelled vectors: written and read rows, splits, and one-line errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqhub.data import vectors
from seqhub.data.assignment import split_index_of
from seqhub.data.source import DataSource
from seqhub.data.vectors import VectorRow, read_vectors, write_vectors
from seqhub.errors import InvalidInputError, OutputExistsError, UnknownNameError
from seqhub.tasks.schema import Batch
from seqhub.tasks.splits import SPLITS

TASK_IDS = ["documents/custom", "row_images/custom"]


def rows_of(number: int, splits: tuple[str | None, ...] = (None,), width: int = 3) -> list[VectorRow]:
    random = np.random.default_rng(0)
    return [
        VectorRow(
            random.normal(size=(1 + n % 5, width)).astype(np.float32),
            ("no", "yes")[n // 7 % 2],
            splits[n % len(splits)],
        )
        for n in range(number)
    ]


def contents(part: Batch, names: tuple[str, ...]) -> set[tuple[bytes, str]]:
    return {
        (values[:n].tobytes(), names[label])
        for values, n, label in zip(part.inputs, part.lengths, part.labels, strict=True)
    }


@pytest.mark.parametrize("number", [30, 1024, 2500])
def test_written_rows_are_read_each_in_one_split(number: int, tmp_path: Path) -> None:
    rows = rows_of(number)
    assert write_vectors(tmp_path / "rows.parquet", rows) == {"": number}
    schema, parts = read_vectors(tmp_path / "rows.parquet")[:2]
    assert schema.step_shape == (3,)
    assert schema.labels == ("no", "yes")
    assert set.union(*(contents(part, schema.labels) for part in parts.values())) == {
        (row.values.tobytes(), row.label) for row in rows
    }
    for place, part in enumerate(parts.values()):
        assert contents(part, schema.labels) == {
            (row.values.tobytes(), row.label) for row in rows if split_index_of(row.values.tobytes()) == place
        }
    again = read_vectors(tmp_path / "rows.parquet").splits
    assert all(np.array_equal(parts[split].inputs, again[split].inputs) for split in SPLITS)


def test_column_split_is_used_and_missing_splits_are_made_of_training_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    for names in (
        ("train", "test"),
        ("train", "validation", "test"),
        ("train", "train", "validation"),
        ("test", None, None, "validation"),
    ):
        rows = rows_of(200, names)
        write_vectors(file, rows, overwrite=True)
        schema, parts = read_vectors(file)[:2]
        for split in set(names) - {"train", None}:
            assert contents(parts[split], schema.labels) == {
                (row.values.tobytes(), row.label) for row in rows if row.split == split
            }
        for place, split in enumerate(SPLITS):
            if split not in names and split != "train":
                assert contents(parts[split], schema.labels) == {
                    (row.values.tobytes(), row.label)
                    for row in rows
                    if row.split in ("train", None) and split_index_of(row.values.tobytes()) == place
                }
        assert sum(map(len, parts.values())) == 200


def test_equal_sequences_are_in_the_same_split_in_any_order(tmp_path: Path) -> None:
    rows = rows_of(60)
    write_vectors(tmp_path / "one.parquet", rows)
    write_vectors(tmp_path / "two.parquet", [*reversed(rows), *rows])
    one, two = (read_vectors(tmp_path / name) for name in ("one.parquet", "two.parquet"))
    for split in SPLITS:
        assert contents(one.splits[split], one.schema.labels) == contents(two.splits[split], two.schema.labels)
        assert len(two.splits[split]) == 2 * len(one.splits[split])


@pytest.mark.parametrize("task_id", TASK_IDS)
def test_source_has_the_rows_of_the_file(task_id: str, tmp_path: Path) -> None:
    write_vectors(tmp_path / "rows.parquet", rows_of(60))
    source = DataSource(task_id, tmp_path / "rows.parquet")
    assert source.sizes == {"train": 50, "validation": 5, "test": 5}
    assert source.schema.num_features == 3
    with pytest.raises(UnknownNameError, match=f"no data option of {task_id} 'window'"):
        DataSource(task_id, tmp_path / "rows.parquet", {"window": 3})


def test_number_labels_are_in_numeric_order(tmp_path: Path) -> None:
    steps = pa.array([[[float(n)]] for n in range(110)])
    for labels in (pa.array([n % 11 for n in range(110)]), pa.array([str(n % 11) for n in range(110)])):
        pq.write_table(pa.table({"input_values": steps, "label": labels}), tmp_path / "rows.parquet")
        schema, parts = read_vectors(tmp_path / "rows.parquet")[:2]
        assert schema.labels == tuple(map(str, range(11)))
        assert (parts["train"].inputs[:, 0, 0] % 11 == parts["train"].labels).all()


STEPS: list[Any] = [[[1.0 * n, 2.0]] for n in range(20)]
LABELS: list[Any] = ["a", "b"] * 10
WRONG: list[tuple[dict[str, list[Any]], str]] = [
    ({"label": LABELS}, "columns label; need input_values and label"),
    ({"input_values": STEPS}, "columns input_values; need input_values and label"),
    ({"input_values": [[], *STEPS[1:]], "label": LABELS}, "no steps in row 0; need at least one"),
    ({"input_values": [*STEPS[:7], [], *STEPS[8:]], "label": LABELS}, "no steps in row 7"),
    ({"input_values": [*STEPS[:-1], [[1.0, 2.0], [1.0]]], "label": LABELS}, "1 values at step 1 of row 19; need 2"),
    ({"input_values": [*STEPS[:-1], [[1.0, float("nan")]]], "label": LABELS}, "nan at step 0 of row 19"),
    ({"input_values": [[[float("-inf"), 0.0]], *STEPS[1:]], "label": LABELS}, "-inf at step 0 of row 0"),
    ({"input_values": [None, *STEPS[1:]], "label": LABELS}, "no input_values in row 0"),
    ({"input_values": [1.0] * 20, "label": LABELS}, "a column of type double; need lists"),
    ({"input_values": [[1.0]] * 20, "label": LABELS}, "steps of type double"),
    ({"input_values": STEPS, "label": [None, *LABELS[1:]]}, "no label in row 0; need one in every row"),
    ({"input_values": STEPS, "label": [0.5] * 20}, "1 different labels; need 2 to 1,000"),
    ({"input_values": STEPS, "label": [[1]] * 20}, r"label \[1\] in row 0; need texts or numbers"),
    ({"input_values": STEPS, "label": ["a"] * 20}, "1 different labels; need 2 to 1,000"),
    ({"input_values": STEPS, "label": LABELS, "split": ["dev"] * 20}, "split 'dev' in row 0; need train, validation"),
    ({"input_values": STEPS[:2] * 10, "label": LABELS}, "2 different sequences in .*; need 10 or more"),
    (
        {"input_values": STEPS, "label": LABELS, "split": ["test", "train"] * 10},
        "label 'a' of .* has no training row",
    ),
]


@pytest.mark.parametrize(("columns", "message"), WRONG)
def test_invalid_rows_raise_one_line_errors_with_the_position(
    columns: dict[str, list[Any]], message: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_vectors(tmp_path / "rows.parquet")
    assert "rows.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_invalid_files_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rows.parquet"
    with pytest.raises(InvalidInputError, match=r"rows\.parquet cannot be read: No such file or directory$"):
        read_vectors(file)
    file.write_text("text,label\n")
    with pytest.raises(InvalidInputError, match=r"rows\.parquet cannot be read as Parquet: ") as caught:
        read_vectors(file)
    assert "\n" not in str(caught.value)
    write_vectors(file, rows_of(40), overwrite=True)
    monkeypatch.setattr(vectors, "_MAX_VALUES", 100)
    with pytest.raises(InvalidInputError, match="40 rows of up to 5 steps of 3 values; allowed"):
        read_vectors(file)


def test_files_are_not_replaced_by_accident_or_written_partially(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    write_vectors(file, rows_of(20))
    before = file.read_bytes()
    with pytest.raises(OutputExistsError, match=r"rows\.parquet exists; overwrite it, or choose another file"):
        write_vectors(file, rows_of(30))
    with pytest.raises(InvalidInputError, match="steps of 4 values after steps of 3; need one width"):
        write_vectors(file, [*rows_of(1500), *rows_of(1, width=4)], overwrite=True)
    with pytest.raises(InvalidInputError, match="no rows for"):
        write_vectors(file, [], overwrite=True)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]

"""Readers of tables: equal classes, words, rows and splits in every format."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqhub.data.source import DataSource
from seqhub.data.vectors import read_vectors
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

Rows = list[tuple[Any, Any]]


def separated(delimiter: str, start: str = "", end: str = "\n") -> Callable[[Rows, Path], None]:
    def write(rows: Rows, file: Path) -> None:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter, lineterminator=end).writerows([("text", "label"), *rows])
        file.write_bytes((start + buffer.getvalue()).encode())

    return write


def table(rows: Rows) -> pa.Table:
    return pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]})


def json_lines(rows: Rows, file: Path) -> None:
    lines = [json.dumps({"label": label, "text": text}, ensure_ascii=len(text) % 2 == 0) for text, label in rows]
    file.write_bytes("\r\n".join(["", *lines]).encode("utf-8-sig"))


def stream(rows: Rows, file: Path) -> None:
    with pa.OSFile(str(file), "wb") as out, pa.ipc.new_stream(out, table(rows).schema) as writer:
        writer.write_table(table(rows))


WRITERS: dict[str, Callable[[Rows, Path], None]] = {
    "plain.csv": separated(","),
    "bom_and_crlf.csv": separated(",", "\ufeff", "\r\n"),
    "no_ending": separated(","),
    "rows.tsv": separated("\t"),
    "pandas.csv": lambda rows, file: pd.DataFrame(rows, columns=["text", "label"]).to_csv(file, index=False),
    "pyarrow.csv": lambda rows, file: pyarrow.csv.write_csv(table(rows), file),
    "rows.jsonl": json_lines,
    "rows.parquet": lambda rows, file: pq.write_table(table(rows), file),
    "parquet_by_its_bytes": lambda rows, file: pq.write_table(table(rows), file),
    "rows.arrow": lambda rows, file: pyarrow.feather.write_feather(table(rows), str(file), compression="uncompressed"),
    "stream.arrow": stream,
}

LABELS: dict[str, st.SearchStrategy[list[Any]]] = {
    "integers": st.lists(st.integers(-20, 1200), min_size=2, max_size=12, unique=True),
    "large integers": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=12, unique=True),
    "floats": st.lists(st.floats(-1e6, 1e6).map(lambda each: round(each, 3)), min_size=2, max_size=12, unique=True),
    "integral floats": st.lists(st.integers(-9, 99).map(float), min_size=2, max_size=12, unique=True),
    "booleans": st.just([True, False]),
    "digits": st.lists(st.from_regex(r"0?[0-9]{1,3}", fullmatch=True), min_size=2, max_size=12, unique=True),
    "words": st.lists(st.text("abcäöЖ文\U0001f600 ,;\"\'\t\n", min_size=1).map(str.strip).filter(bool),
                      min_size=2, max_size=12, unique=True),
}  # fmt: skip


def everything(source: DataSource) -> list[Any]:
    splits = [source.split(name) for name in SPLITS]
    vocabulary = source.schema.vocabulary
    assert vocabulary is not None
    rows = [[tuple(row) for batch in split.batches(0) for row in split.examples(batch)] for split in splits]
    return [source.schema.labels, tuple(vocabulary.symbols), rows]


@pytest.mark.parametrize("kind", LABELS)
def test_all_formats_give_the_same_rows(kind: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    words = st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from('\n\t",'), max_size=8
    )

    @settings(max_examples=4, deadline=None)
    @given(labels=LABELS[kind], text=words)
    @example(labels=list(dict(whole=range(12))["whole"]) if kind == "integers" else [True, False], text="007")
    def holds(labels: list[Any], text: str) -> None:
        folder = tmp_path_factory.mktemp("formats")
        rows = [
            (f"text {number} {text} said", labels[number % len(labels)]) for number in range(20 * max(4, len(labels)))
        ]
        found = {}
        for name, write in WRITERS.items():
            write(rows, folder / name)
            found[name] = everything(DataSource("sentiment/custom", folder / name))
        for name, each in found.items():
            assert each == found["rows.parquet"], name

    holds()


def test_integer_classes_are_in_numeric_order_in_every_format(tmp_path: Path) -> None:
    rows: Rows = [(f"word{n % 12} in row {n}", n % 12) for n in range(600)]
    for name, write in WRITERS.items():
        write(rows, tmp_path / name)
        assert DataSource("sentiment/custom", tmp_path / name).schema.labels == tuple(map(str, range(12))), name
    values = {"input_values": [[[float(n)]] for n in range(600)], "label": [float(n % 12) for n in range(600)]}
    pq.write_table(pa.table(values), tmp_path / "vectors.parquet")
    assert DataSource("documents/custom", tmp_path / "vectors.parquet").schema.labels == tuple(map(str, range(12)))


MISSING = [None, "", "  "]


@pytest.mark.parametrize("column", ["text", "label"])
@pytest.mark.parametrize("value", MISSING, ids=repr)
def test_missing_value_is_an_error_with_its_position_in_every_format(column: str, value: Any, tmp_path: Path) -> None:
    rows: Rows = [(f"text {number} said", ("a", "b")[number % 2]) for number in range(60)]
    rows[40] = (value, "a") if column == "text" else ("fine text", value)
    for name, write in WRITERS.items():
        if name == "rows.jsonl":
            lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
            (tmp_path / name).write_text("\n".join(lines))
        else:
            write(rows, tmp_path / name)
        with pytest.raises(InvalidInputError, match=rf"^no {column} in (line 4[12]|row 40) of .*{name}$"):
            DataSource("sentiment/custom", tmp_path / name)


def test_column_split_assigns_rows_to_splits_in_every_format(tmp_path: Path) -> None:
    names = ["train", "train", "test", "validation", None, ""]
    frame = pd.DataFrame(
        {
            "text": [f"text {n} said" for n in range(60)],
            "label": ["a", "b"] * 30,
            "split": [names[n % 6] for n in range(60)],
        }
    )
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    found = [everything(DataSource("sentiment/custom", tmp_path / f"rows.{e}")) for e in ("csv", "parquet", "jsonl")]
    assert found[0] == found[1] == found[2]
    assert [len(rows) for rows in found[0][2]] == [40, 10, 10]
    frame.assign(split="dev").to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(
        InvalidInputError, match=r"split 'dev' in line 2 of .*rows.csv; need train, validation, test or"
    ):
        DataSource("sentiment/custom", tmp_path / "rows.csv")


WRONG = [
    ("rows.jsonl", b'{"text": "a", "label": 1}\n{"text": ', r"line 2 of .*rows.jsonl is not JSON: "),
    ("rows.jsonl", b"[1, 2]\n", r"line 1 of .*rows.jsonl is not a JSON object"),
    ("rows.jsonl", b'{"text": "a", "label": [1]}\n', r"label of type list in line 1 of"),
    ("rows.jsonl", b'{"text": {"a": 1}, "label": 1}\n', r"text of type dict in line 1 of"),
    ("rows.jsonl", b'{"text": "\\ud800", "label": 1}\n', r"character '\\ud800' in column 'text' in line 1 of"),
    ("rows.jsonl", b'{"review": "a", "label": 1}\n', r"columns 'review', 'label' of .*; need 'text' once, or choose"),
    ("rows.parquet", b"text,label\n", r"rows.parquet cannot be read as Parquet: "),
    ("rows.arrow", b"text,label\n", r"rows.arrow cannot be read as Arrow: "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), WRONG)
def test_invalid_files_raise_one_line_errors_with_the_position(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        DataSource("sentiment/custom", tmp_path / name)
    assert "\n" not in str(caught.value)


def test_all_formats_give_the_same_vectors(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"input_values": [*random.integers(-3, 3, (1 + n % 4, 2)).tolist(), [0.1, n]], "label": n % 11}
        for n in range(220)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = pa.list_(pa.list_(pa.float32()))
    columns = {
        "input_values": pa.array([row["input_values"] for row in rows], steps),
        "label": [r["label"] for r in rows],
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    pyarrow.feather.write_feather(pa.table(columns), str(tmp_path / "rows.feather"), compression="uncompressed")
    schema, parts = read_vectors(tmp_path / "rows.parquet")[:2]
    assert schema.labels == tuple(map(str, range(11)))
    pd.DataFrame([row | {"input_values": json.dumps(row["input_values"])} for row in rows]).to_csv(
        tmp_path / "lists.csv", index=False
    )
    for name in ("rows.jsonl", "rows.feather", "lists.csv"):
        other, others = read_vectors(tmp_path / name)[:2]
        assert other == schema
        for split in SPLITS:
            assert np.array_equal(parts[split].inputs, others[split].inputs)
            assert np.array_equal(parts[split].labels, others[split].labels)
    (tmp_path / "rows.csv").write_text("input_values,label\n1,a\n2,b\n")
    with pytest.raises(InvalidInputError, match=r"rows.csv: a column of type double; need lists$"):
        read_vectors(tmp_path / "rows.csv")


def test_folders_in_the_path_do_not_add_columns(tmp_path: Path) -> None:
    folder = tmp_path / "label=1"
    folder.mkdir()
    pq.write_table(table([(f"text {n} said", "ab"[n % 2]) for n in range(60)]), folder / "rows.parquet")
    assert DataSource("sentiment/custom", folder / "rows.parquet").schema.labels == ("a", "b")

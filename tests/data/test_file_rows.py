"""Files of own rows: choice of kind and columns, equal rows in every format, splits, missing values and mistakes."""

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from seqhub.data.file_kinds import task_of_file
from seqhub.data.source import DataSource
from seqhub.data.table_reader import read_table
from seqhub.errors import InvalidConfigError, InvalidInputError, SeqhubError, UnknownNameError
from seqhub.tasks.schema import NO_LABEL
from seqhub.tasks.splits import SPLITS
from tests.helpers.own_files import reviews, series, topics, write_csv, write_json


def read(file: Path, kind: str | None = None, **options: Any) -> DataSource:
    ref, chosen = task_of_file(file, options, kind)
    return DataSource(ref, file, chosen)


def everything(source: DataSource) -> list[Any]:
    splits = [source.split(name) for name in SPLITS]
    rows = [
        [(np.asarray(e.inputs).tolist(), e.target) for b in split.batches(0) for e in split.examples(b)]
        for split in splits
    ]
    return [source.schema.labels, source.schema.step_shape, rows]


FRAME = pd.DataFrame(reviews(), columns=["text", "label"])

FORMATS: dict[str, Callable[[Path], object]] = {
    "rows.csv": lambda file: FRAME.to_csv(file, index=False),
    "rows.tsv": lambda file: FRAME.to_csv(file, index=False, sep="\t"),
    "rows.csv.gz": lambda file: file.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode())),
    "rows.csv.bz2": lambda file: file.write_bytes(bz2.compress(FRAME.to_csv(index=False).encode())),
    "rows.csv.xz": lambda file: file.write_bytes(lzma.compress(FRAME.to_csv(index=False).encode())),
    "rows.csv.zst": lambda file: file.write_bytes(_zstd(FRAME.to_csv(index=False).encode())),
    "rows.jsonl": lambda file: FRAME.to_json(file, orient="records", lines=True),
    "rows.json": lambda file: FRAME.to_json(file, orient="records"),
    "rows.parquet": lambda file: FRAME.to_parquet(file),
    "parquet_called.csv": lambda file: FRAME.to_parquet(file),
    "rows.arrow": lambda file: pyarrow.feather.write_feather(pa.Table.from_pandas(FRAME), str(file)),
    "rows.npz": lambda file: np.savez(file, text=FRAME["text"].to_numpy(str), label=FRAME["label"].to_numpy(str)),
}


def _zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(content)
    return sink.getvalue().to_pybytes()


def test_every_format_has_the_same_rows(tmp_path: Path) -> None:
    found = {}
    for name, write in FORMATS.items():
        write(tmp_path / name)
        source = read(tmp_path / name)
        assert str(source.task) == "file/text-class", name
        found[name] = everything(source)
    for name, each in found.items():
        assert each == found["rows.parquet"], name


def test_series_are_equal_as_nested_lists_channels_cells_and_arrays(tmp_path: Path) -> None:
    rows = series()
    write_json(tmp_path / "nested.jsonl", rows)
    channels = [
        {"a": [step[0] for step in row["values"]], "b": [step[1] for step in row["values"]], "label": row["label"]}
        for row in rows
    ]
    write_json(tmp_path / "channels.jsonl", channels)
    pd.DataFrame(channels).to_parquet(tmp_path / "channels.parquet")
    write_csv(tmp_path / "cells.csv", ("values", "label"), [(json.dumps(row["values"]), row["label"]) for row in rows])
    sources = [
        read(file, **({"target": "label"} if file.name == "nested.jsonl" else {}))
        for file in sorted(tmp_path.iterdir())
    ]
    found = [everything(source) for source in sources]
    assert len(found) == 4
    assert all(each == found[0] for each in found)
    training = sources[0].split("train").blocks(0, 1)
    real = np.arange(training.inputs.shape[1]) < training.lengths[:, None]
    assert np.allclose(training.inputs[real].mean(axis=0), 0, atol=1e-4)
    assert np.allclose(training.inputs[real].std(axis=0), 1, atol=1e-4)


def test_one_column_a_step_is_the_array_of_the_same_values(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(100, 7)).round(3)
    labels = np.arange(100) % 3
    header = [*(f"t{step}" for step in range(7)), "class"]
    write_csv(tmp_path / "wide.csv", header, [[*row, label] for row, label in zip(values, labels, strict=True)])
    np.savez(tmp_path / "wide.npz", x=values, y=labels)
    wide, array = read(tmp_path / "wide.csv"), read(tmp_path / "wide.npz")
    assert str(wide.task) == str(array.task) == "file/series-class"
    assert everything(wide) == everything(array)


CHOICES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str, str | None]] = {
    "characters": (
        [{"name": f"na{n}me", "language": "de" if n % 2 else "it"} for n in range(60)],
        {},
        "text-class",
        "characters",
    ),
    "chinese": (
        [{"text": "很好" * (1 + n % 13) + "书店" * (n % 14), "label": n % 2} for n in range(60)],
        {},
        "text-class",
        "words",
    ),
    "number": ([{"text": f"a b {n} c d", "price": n + 0.5} for n in range(60)], {}, "text-number", "words"),
    "many integers": ([{"text": f"a b {n} c d", "price": n} for n in range(60)], {}, "text-number", "words"),
    "stars": ([{"review": f"a b {n} c d", "stars": n % 5} for n in range(60)], {}, "text-class", "words"),
    "tags": (
        [{"tokens": ["a", "B"] * (1 + n), "tags": ["X", "Y"] * (1 + n)} for n in range(60)],
        {},
        "text-step-class",
        "words",
    ),
    "states of steps": (
        [{"x": [n, 1, 2 + n % 3], "labels": [0, 1, n % 2]} for n in range(60)],
        {},
        "series-step-class",
        None,
    ),
    "labels": (
        [{"text": f"a b {n} c d", "labels": ["x", "y", "z"][: n % 4]} for n in range(60)],
        {},
        "text-multi-label",
        "words",
    ),
    "labels of numbers": (
        [{"values": [1.0, n, 2.0], "labels": [3, 7][: n % 3]} for n in range(60)],
        {},
        "series-multi-label",
        None,
    ),
    "columns of 0 and 1": (
        [{"text": f"a b {n} c d", "toxic": n % 2, "rude": n // 2 % 2, "id": n} for n in range(60)],
        {},
        "text-multi-label",
        "words",
    ),
    "several numbers": ([{"values": [1.0, n, 2.0], "y": [n, 0.5 * n]} for n in range(60)], {}, "series-numbers", None),
    "columns of numbers": (
        [{"values": [1.0, n, 2.0], "height": n, "width": 0.5 * n} for n in range(60)],
        {"target": ["height", "width"]},
        "series-numbers",
        None,
    ),
    "text alone": ([{"text": f"line {n} of a text"} for n in range(60)], {}, "text-next-symbol", "characters"),
    "classes without a name": (
        [{"a": f"text {n}", "b": "xy"[n % 2]} for n in range(60)],
        {},
        "text-class",
        "characters",
    ),
    "text with an index": (
        [{"id": n, "text": f"t{n}", "label": n % 2} for n in range(60)],
        {},
        "text-class",
        "characters",
    ),
    "tokens by option": (
        [{"text": f"a b {n} c d", "label": n % 2} for n in range(60)],
        {"tokens": "characters"},
        "text-class",
        "characters",
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_kind_and_columns_are_chosen_from_the_content(name: str, tmp_path: Path) -> None:
    rows, options, kind, tokens = CHOICES[name]
    ref, chosen = task_of_file(write_json(tmp_path / "rows.jsonl", rows), options)
    assert ref.config_name == kind
    assert chosen.get("tokens") == tokens
    assert sum(read(tmp_path / "rows.jsonl", **options).sizes.values()) >= 50


def test_kind_by_option(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "rows.csv", ("text", "stars"), [(f"word {n} here", n % 5) for n in range(60)])
    assert read(file).schema.target == "class"
    assert read(file, "text-number").schema.target == "number"
    assert read(file, "text-next-symbol", inputs=["text"]).schema.target == "next_symbol"
    with pytest.raises(UnknownNameError, match=r"^no kind 'texts'; known: text-class, "):
        task_of_file(file, {}, "texts")


def test_labels_of_characters_as_a_string_of_equal_length(tmp_path: Path) -> None:
    rows = [("ACDEF"[n % 3 :] * (1 + n), "HHEEC"[n % 3 :] * (1 + n)) for n in range(60)]
    source = read(write_csv(tmp_path / "rows.csv", ("protein", "label"), rows), "text-step-class", tokens="characters")
    assert source.schema.labels == ("C", "E", "H")
    assert [len(e.inputs) for e in [source.split()[0]]] == [len(source.split()[0].target)]


def test_added_rows_do_not_move_other_rows(tmp_path: Path) -> None:
    few, more = reviews(150), reviews(200)
    first = read(write_csv(tmp_path / "few.csv", ("text", "label"), few))
    second = read(write_csv(tmp_path / "more.csv", ("text", "label"), more[::-1]))

    def places(source: DataSource) -> dict[Any, str]:
        return {
            e.inputs: name
            for name in SPLITS
            for b in source.split(name).batches(0)
            for e in source.split(name).examples(b)
        }

    before, after = places(first), places(second)
    assert before.items() <= after.items()


def test_rows_of_a_group_share_a_split(tmp_path: Path) -> None:
    file = write_json(tmp_path / "rows.jsonl", series())
    source = read(file, target="label", group="patient")
    assert all(size % 4 == 0 for size in source.sizes.values())
    assert sum(source.sizes.values()) == 200


def test_latest_rows_are_for_the_test(tmp_path: Path) -> None:
    rows = [(f"text number {n}", "ab"[n % 2], f"2024-{1 + n % 12:02}-{1 + n % 28:02}") for n in range(120)]
    source = read(write_csv(tmp_path / "rows.csv", ("text", "label", "date"), rows), time="date", tokens="characters")
    dates = {text: date for text, _, date in rows}
    found = {}
    for name in SPLITS:
        split = source.split(name)
        found[name] = [dates[e.inputs] for b in split.batches(0) for e in split.examples(b)]
    assert max(found["train"]) < min(found["validation"])
    assert max(found["validation"]) < min(found["test"])
    assert len(found["train"]) >= 90


def test_a_class_of_few_rows_has_a_training_row(tmp_path: Path) -> None:
    for rare in range(40):
        rows = [*reviews(100), (f"rare text {rare} of its kind", "rare")]
        source = read(write_csv(tmp_path / f"{rare}.csv", ("text", "label"), rows))
        training = source.split("train").blocks(0, 1)
        assert (training.labels == source.schema.labels.index("rare")).sum() == 1


def test_repeated_rows_are_counted(tmp_path: Path) -> None:
    rows = [(f"text {n}", "ab"[n % 2], "train") for n in range(40)]
    rows += [(f"text {n}", "ab"[n % 2], "test") for n in range(30, 50)] + [
        (f"v{n}", "a", "validation") for n in range(5)
    ]
    source = read(write_csv(tmp_path / "rows.csv", ("text", "label", "split"), rows))
    assert source.file_rows is not None
    assert source.file_rows.found["repeated"] == {"validation": 0, "test": 10}


def test_vocabulary_is_learnt_on_training_rows_and_limited(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), reviews())
    free, few = read(file, min_count=1), read(file, max_vocab=5)
    assert free.schema.vocabulary is not None
    assert few.schema.vocabulary is not None
    assert len(few.schema.vocabulary) == 6
    assert set(few.schema.vocabulary.symbols) < set(free.schema.vocabulary.symbols)
    words = {word for b in free.split().batches(0) for e in free.split().examples(b) for word in e.inputs.split(" ")}
    assert words == set(free.schema.vocabulary.symbols)


FILLED = {"mask": [(0.0, 1.0), (0.0, 1.0)], "last": [None, None], "mean": [(0.0,), (0.0,)], "zero": [None, None]}


@pytest.mark.parametrize("missing", FILLED)
def test_missing_values_are_filled(missing: str, tmp_path: Path) -> None:
    rows = [
        {"x": [10.0 + n % 5, None, 12.0], "label": n % 2, "split": ("train", "validation", "test")[max(0, n - 37)]}
        for n in range(40)
    ]
    source = read(write_json(tmp_path / "rows.jsonl", rows), target="label", missing=missing)
    assert source.file_rows is not None
    features = source.file_rows.reading["features"]
    center, spread = features["center"][0], features["spread"][0]
    for name in SPLITS:
        for batch in source.split(name).batches(0):
            for row in batch.inputs:
                expected = {"mask": 0.0, "mean": 0.0, "zero": -center / spread, "last": row[0, 0]}[missing]
                assert row[1, 0] == pytest.approx(expected, abs=1e-6)
                if missing == "mask":
                    assert row[:, 1].tolist() == [0, 1, 0]
    assert source.file_rows.found["missing"] == 40
    observed = [10.0 + n % 5 for n in range(38)] + [12.0] * 38
    assert center == pytest.approx(np.mean(observed))
    assert spread == pytest.approx(np.std(observed))


def test_numbers_are_standardised_by_the_training_rows(tmp_path: Path) -> None:
    rows = [(f"text {n} here", 1e6 + 1000.0 * n) for n in range(100)]
    source = read(write_csv(tmp_path / "rows.csv", ("text", "price"), rows), tokens="words", min_count=1)
    reading = source.file_rows.reading if source.file_rows else {}
    values = {f"text {n} here": price for n, (_, price) in enumerate(rows)}
    for batch in source.split("train").batches(0):
        for text, target in source.split("train").examples(batch):
            assert target * reading["target_deviation"] + reading["target_mean"] == pytest.approx(
                values[text], rel=1e-6
            )


def test_steps_without_a_label_are_ignored(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", f"b{n}", "c"], "tags": ["X", None, "Y"]} for n in range(60)]
    source = read(write_json(tmp_path / "rows.jsonl", rows), min_count=1)
    (batch,) = source.split("train").batches(0)
    assert (batch.labels == [0, NO_LABEL, 1]).all()


def test_a_table_without_a_header_has_the_rows_of_one_with_it(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(size=(60, 7)).round(3)
    rows = [[n % 2, *row] for n, row in enumerate(values)]
    write_csv(tmp_path / "named.tsv", ["class", *(f"t{step}" for step in range(7))], rows, separator="\t")
    write_csv(tmp_path / "plain.tsv", rows[0], rows[1:], separator="\t")
    named, plain = read(tmp_path / "named.tsv"), read(tmp_path / "plain.tsv", header="none")
    assert everything(plain) == everything(named)


def test_names_of_ordered_columns_are_numbers_too(tmp_path: Path) -> None:
    values = np.random.default_rng(3).normal(size=(60, 4)).round(3)
    for names in (("0.0", "0.5", "1.0", "1.5"), ("0", "1", "2", "3"), ("3", "2", "1", "0")):
        rows = [[*row, "ab"[n % 2]] for n, row in enumerate(values)]
        write_csv(tmp_path / "rows.csv", [*names, "label"], rows)
        assert str(read(tmp_path / "rows.csv").task) == "file/series-class"


def test_arrays_of_splits_are_rows_with_a_split(tmp_path: Path) -> None:
    values, labels = np.random.default_rng(3).normal(size=(60, 7, 2)), np.arange(60) % 3
    np.savez(tmp_path / "one.npz", X=values, y=labels, split=["train"] * 40 + ["validation"] * 5 + ["test"] * 15)
    np.savez(
        tmp_path / "parts.npz",
        **{"X_train": values[:40], "y_train": labels[:40], "X_val": values[40:45], "y_val": labels[40:45]},
        **{"X_test": values[45:], "y_test": labels[45:]},
    )
    one, parts = read(tmp_path / "one.npz"), read(tmp_path / "parts.npz")
    assert parts.sizes == {"train": 40, "validation": 5, "test": 15}
    assert everything(one) == everything(parts)
    np.savez(tmp_path / "unequal.npz", X_train=values[:40], y_train=labels[:39], X_test=values[45:], y_test=labels[45:])
    with pytest.raises(
        InvalidInputError, match=r"^arrays X for train with 40, y for train with 39 in .*; need arrays with one entry"
    ):
        read(tmp_path / "unequal.npz")


def test_labels_in_one_cell_are_the_lists_of_labels(tmp_path: Path) -> None:
    rows = topics(80)
    write_json(tmp_path / "lists.jsonl", rows)
    cells = [(row["text"], " | ".join(row["labels"])) for row in rows]
    write_csv(tmp_path / "cells.csv", ("text", "labels"), cells)
    lists = read(tmp_path / "lists.jsonl", target="labels")
    assert everything(read(tmp_path / "cells.csv", target="labels", label_separator="|")) == everything(lists)


def texts(label: Callable[[int], Any] = lambda n: "ab"[n % 2], rows: int = 60) -> list[tuple[Any, ...]]:
    return [(f"text {n}", label(n)) for n in range(rows)]


def table(*rows: tuple[Any, ...], header: tuple[str, ...] = ("text", "label")) -> Callable[[Path], object]:
    return lambda folder: write_csv(folder / "rows.csv", header, rows)


def content(data: bytes | str, name: str = "rows.csv") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def objects(*rows: dict[str, Any]) -> Callable[[Path], object]:
    return lambda folder: write_json(folder / "rows.jsonl", rows)


WAVES = [{"x": [1.0 * n, 2.0, 3.0], "label": n % 2} for n in range(60)]

MISTAKES: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "no file": (lambda folder: None, {}, r"^.*rows.csv cannot be read: No such file or directory$"),
    "folder": (
        lambda folder: (folder / "rows.csv").mkdir(),
        {},
        r"rows.csv is a folder; need a file, or a folder with one of metadata.csv",
    ),
    "empty": (content(""), {}, r"rows.csv is empty; need a header and 10 rows or more$"),
    "header only": (content("text,label\n"), {}, r"rows.csv has no rows; need 10 or more$"),
    "few rows": (table(*texts(rows=8)), {}, r"^8 different rows in .*; need 10 or more$"),
    "ragged": (
        content("text,label\na,b\nc\n"),
        {},
        r"^1 values in line 3 of .*; the header has 2 columns, separated by ','$",
    ),
    "numbers in the first line": (
        content("1,0.5,-0.25\n" * 20),
        {},
        r"^the first line of .*rows.csv has the values '1', '0.5', '-0.25', not names of columns; if it is a row, give "
        r"--header none$",
    ),
    "unknown header": (table(*texts()), {"header": "second"}, r"^no header 'second'; known: first, none$"),
    "label separator without a target": (
        table(*texts()),
        {"label_separator": ";"},
        r"^label_separator: needs a separator and one target, the column of labels",
    ),
    "label separator of another kind": (
        table(*texts()),
        {"label_separator": ";", "target": "label", "kind": "text-class"},
        r"^--label-separator: must be omitted for the kind text-class",
    ),
    "label separator of numbers": (
        objects(*({"text": f"text {n}", "label": n % 3} for n in range(60))),
        {"label_separator": ";", "target": "label"},
        r"^--label-separator: column 'label' of .*rows.jsonl has no texts; omit the option$",
    ),
    "wrong separator": (content("text;label\na;b\n"), {}, r"give --separator ';'$"),
    "latin-1": (
        content("text,label\nfür,b\n".encode("latin-1")),
        {},
        r"^byte 0xfc at position 12 of .*; need a text in UTF-8, as",
    ),
    "utf-16": (
        content("text,label\na,b\n".encode("utf-16")),
        {},
        r"^byte 0x.. at position [01] of .*; need a text in UTF-8",
    ),
    "open quote": (
        content('text,label\n"a,b\n' + "c,d\n" * 20),
        {},
        r"^line 22 of .* is not valid CSV: unexpected end of data$",
    ),
    "columns of one name": (
        table(*texts(), header=("text", "text")),
        {},
        r"^column 'text' occurs 2 times in .*; need other names$",
    ),
    "not JSON": (content('{"a": 1}\n{"a"\n', "rows.jsonl"), {}, r"^line 2 of .* is not JSON: "),
    "list in JSON lines": (content("[1, 2]\n", "rows.jsonl"), {}, r"^line 1 of .* is not a JSON object"),
    "not Parquet": (
        content("text,label\n", "rows.parquet"),
        {},
        r"cannot be read as Parquet: it starts with other bytes$",
    ),
    "truncated Parquet": (
        content(b"PAR1" + b"x" * 40, "rows.parquet"),
        {},
        r"rows.parquet cannot be read as Parquet: ",
    ),
    "not gzip": (content(b"\x1f\x8b" + b"x" * 40, "rows.csv.gz"), {}, r"rows.csv.gz cannot be decompressed: "),
    "truncated gzip": (
        content(gzip.compress(b"text,label\n" + b"a,b\n" * 999)[:-20], "rows.csv.gz"),
        {},
        r"cannot be decompressed: ",
    ),
    "objects in arrays": (
        lambda folder: np.savez(folder / "rows.npz", x=np.array([{}], object)),
        {},
        r"cannot be read as NumPy's .npz: ",
    ),
    "arrays of two sizes": (
        lambda folder: np.savez(folder / "rows.npz", x=np.ones((5, 2)), y=np.ones(4)),
        {},
        r"^arrays x with 5, y with 4 in .*; need arrays with one entry for each row$",
    ),
    "unknown target": (
        table(*texts()),
        {"target": "labels"},
        r"^--target labels: no such column; columns 'text', 'label' of ",
    ),
    "unknown input": (table(*texts()), {"inputs": ["words"]}, r"^--inputs words: no such column; "),
    "several candidates": (
        table(*[(f"t{n}", n % 2, n % 3) for n in range(60)], header=("text", "a", "b")),
        {},
        r"^columns 'text', 'a', 'b' of .*: none is named like a target; give --target COLUMN$",
    ),
    "one class": (
        table(*texts(lambda n: "a")),
        {},
        r"^1 different labels, 'a' in column 'label' of .*; need 2 to 1,000$",
    ),
    "one row a class": (
        table(*texts(lambda n: f"class{n}", 1_050)),
        {},
        r"^1,050 different labels in column 'label' of .*; need 2 to 1,000$",
    ),
    "no label": (
        table(*texts(lambda n: "" if n == 7 else "ab"[n % 2])),
        {},
        r"^no label in column 'label' in line 9 of ",
    ),
    "no text": (table(*texts()[:30], (" ", "a"), *texts()[30:]), {}, r"^no text in column 'text' in line 32 of "),
    "long text": (
        table(*texts(), ("x" * 150_000, "a")),
        {"tokens": "characters"},
        r"^150,000 characters in line 62 of .*; need 65,536 or fewer; cut texts off with --max-length$",
    ),
    "all words rare": (
        table(*[(f"a{n} b{n} c{n}", "ab"[n % 2]) for n in range(60)]),
        {},
        r"occurs 2 times or more; give a lower --min-count, or --tokens characters$",
    ),
    "text as number": (
        table(*texts()),
        {"kind": "text-number"},
        r"^column 'label' of .* has values that are not numbers; need numbers$",
    ),
    "missing number": (
        table(*texts(lambda n: "" if n == 3 else n + 0.5)),
        {"kind": "text-number"},
        r"^no finite number in column 'label' in line 5 of ",
    ),
    "missing value": (
        objects(*WAVES[:5], {"x": [1.0, None, 3.0], "label": 1}, *WAVES[5:]),
        {"target": "label"},
        r"^no value at step 1 of column 'x', channel 0, in line 6 of .* \(1 missing in total\); fill missing values "
        "with --missing mask, last, mean or zero$",
    ),
    "missing cell": (
        table(*[(n, "" if n == 4 else 2 * n, n % 2) for n in range(60)], header=("a", "b", "label")),
        {},
        r"^no value at step 1 of column 'b' in line 6 of ",
    ),
    "infinite value": (
        table(*[(n, "inf" if n == 4 else 2 * n, n % 2) for n in range(60)], header=("a", "b", "label")),
        {"missing": "mean"},
        r"^an infinite value at step 1 of column 'b' in line 6 of .*; need finite numbers$",
    ),
    "ragged steps": (
        objects({"x": [[1, 2], [3]], "label": 0}, *[{"x": [[1, 2], [n, 4]], "label": n % 2} for n in range(60)]),
        {"target": "label"},
        r"^1 values at step 1 in line 1 of .*; need 2, as at the first step of the file$",
    ),
    "channels of two lengths": (
        objects(*[{"a": [1, 2, n], "b": [1] if n == 3 else [4, 5, n], "label": n % 2} for n in range(60)]),
        {},
        r"^1 values in column 'b' and 3 in 'a' in line 4 of .*; need equal numbers$",
    ),
    "empty series": (
        objects(*WAVES, {"x": [], "label": 1}),
        {"target": "label"},
        r"^no steps in line 61 of .*; need at least one$",
    ),
    "labels of another length": (
        objects(*[{"tokens": ["a", f"b{n}"], "tags": ["X", "Y"][: 1 + (n != 9)]} for n in range(60)]),
        {},
        r"^1 labels in column 'tags' for 2 steps in line 10 of .*; need equal numbers$",
    ),
    "target of texts among several": (
        table(*[(*row, 1) for row in texts()], header=("text", "label", "n")),
        {"target": ["label", "n"]},
        r"^targets label, n of .*: 'label' has values that are not numbers; need several columns of numbers, or of ",
    ),
    "two targets for one class": (
        table(*[(f"t {n} a b", n % 2, n % 3) for n in range(60)], header=("text", "a", "b")),
        {"target": ["a", "b"], "kind": "text-class"},
        r"^targets a, b of .*: must be one column for the kind text-class$",
    ),
    "neither 0 nor 1": (
        table(*[(f"t {n} a b", n % 2, 2 if n == 3 else 1) for n in range(60)], header=("text", "a", "b")),
        {"target": ["a", "b"], "kind": "text-multi-label"},
        r"^2 in column 'b' in line 5 of .*; need 0 or 1$",
    ),
    "one label": (
        objects(*[{"text": f"a b {n} c", "labels": ["x"] * (n % 2)} for n in range(60)]),
        {},
        r"^1 different labels, 'x' in column 'labels' of .*; need 2 to 1,000$",
    ),
    "no labels": (
        objects(*[{"text": f"a b {n} c", "labels": None if n == 4 else ["x", "y"][: n % 3]} for n in range(60)]),
        {},
        r"^no value in column 'labels' in line 5 of ",
    ),
    "missing label among several": (
        objects(*[{"text": f"a b {n} c", "labels": ["x", None if n == 5 else "y"][: n % 3]} for n in range(60)]),
        {},
        r"^no label in column 'labels' in line 6 of ",
    ),
    "label sets as text": (
        table(*texts()),
        {"kind": "text-multi-label"},
        r"^column 'label' of .*; need lists of labels, or several columns of 0 and 1 with --target$",
    ),
    "numbers of two lengths": (
        objects(*[{"x": [1.0, n, 3, 4], "y": [n, 1.5][: 2 - (n == 7)]} for n in range(60)]),
        {"kind": "series-numbers"},
        r"^1 numbers in column 'y' in line 8 of .*; need 2, as in the first row$",
    ),
    "missing number among several": (
        objects(*[{"x": [1.0, n, 3, 4], "y": [n, None if n == 7 else 1.5]} for n in range(60)]),
        {},
        r"^no finite number in column 'y' in line 8 of ",
    ),
    "order without id": (
        table(*texts()),
        {"order": "text"},
        r"^order='text': must be omitted without an id, the column of",
    ),
    "no such id": (table(*texts()), {"id": "who"}, r"^--id who: no such column; columns 'text', 'label' of "),
    "missing id": (
        table(*[(None if n == 3 else n // 6, n, "ab"[n // 6 % 2]) for n in range(90)], header=("who", "x", "label")),
        {"id": "who"},
        r"^no value in column 'who' in line 5 of .*; need one in every row$",
    ),
    "two labels of an id": (
        table(*[(n // 6, n, "c" if n == 14 else "ab"[n // 6 % 2]) for n in range(90)], header=("who", "x", "label")),
        {"id": "who"},
        r"^values 'a' and 'c' in column 'label' for the id '2' of .*; need one value for each id, as most have$",
    ),
    "two groups of an id": (
        table(*[(n // 6, n, "ab"[n // 6 % 2], n // 7) for n in range(90)], header=("who", "x", "label", "clinic")),
        {"id": "who", "group": "clinic"},
        r"^values '0' and '1' in column 'clinic' for the id '1' of .*; need one value for each id, as most have$",
    ),
    "no tokenizer": (
        table(*[(f"a b {n} c", "ab"[n % 2]) for n in range(60)]),
        {"tokens": "no/tokenizer"},
        r"^--tokens no/tokenizer: cannot be loaded as a tokenizer: ",
    ),
    "tokenizer and vocabulary": (
        table(*texts()),
        {"tokens": "some/tokenizer", "min_count": 2},
        r"^max_vocab and min_count: must be omitted with a tokenizer",
    ),
    "tokenizer for labels of steps": (
        objects(*[{"tokens": ["a", f"b{n}"], "tags": ["X", "Y"]} for n in range(60)]),
        {"tokens": "some/tokenizer"},
        r"^--tokens some/tokenizer: needs a column of texts with a target; 'tokens' of .* has words$",
    ),
    "unknown option": (table(*texts()), {"words": "label"}, r"^no data option of .* 'words'; known: inputs, target, "),
    "unknown tokens": (
        table(*texts()),
        {"tokens": "bytes"},
        r"^no tokens 'bytes'; known: characters, words, the folder",
    ),
    "no vocabulary": (table(*texts()), {"max_vocab": 0}, r"^max_vocab=0: must be 1 to 65,533"),
    "group and time": (
        table(*texts()),
        {"group": "text", "time": "text"},
        r"^group and time: each determines the splits; give one of them",
    ),
    "unknown split": (
        table(*[(*row, "dev") for row in texts()], header=("text", "label", "split")),
        {},
        r"^split 'dev' in line 2 of .*; need train, validation, test or nothing$",
    ),
    "missing group": (
        table(*[(*row, n // 3 if n != 7 else "") for n, row in enumerate(texts())], header=("text", "label", "who")),
        {"group": "who"},
        r"^no value in column 'who' in line 9 of ",
    ),
    "one time": (
        table(*[(*row, 1) for row in texts()], header=("text", "label", "day")),
        {"time": "day"},
        r"^no row for \w+ by the order of column 'day' of .*; need 10 different times or more$",
    ),
    "one group": (
        table(*[(*row, 1) for row in texts()], header=("text", "label", "who")),
        {"group": "who"},
        r"^1 different values of 'who' in .*; need 10 or more$",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_has_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    write, options, message = MISTAKES[name]
    write(tmp_path)
    file = next(iter(sorted(tmp_path.iterdir())), tmp_path / "rows.csv")
    kind = options.pop("kind", None) if "kind" in options else None
    with pytest.raises(SeqhubError, match=message) as caught:
        read(file, kind, **options)
    assert isinstance(caught.value, (InvalidInputError, InvalidConfigError, UnknownNameError))
    assert "\n" not in str(caught.value)


BAD_ROWS: dict[str, tuple[Callable[[int], tuple[Any, Any]], str]] = {
    "one class": (lambda n: (f"text {n}", "a"), r"^1 different labels, 'a' in column 'label' of "),
    "one row a class": (
        lambda n: (f"text {n}", f"class {n}"),
        r"^no row for validation among the 60 different rows in ",
    ),
    "no label": (lambda n: (f"text {n}", None if n == 7 else "ab"[n % 2]), r"^no label in column 'label' in "),
    "no text": (lambda n: (None if n == 7 else f"text {n}", "ab"[n % 2]), r"^no text in column 'text' in "),
    "long text": (
        lambda n: ("x" * 150_000 if n == 7 else f"text {n}", "ab"[n % 2]),
        r"^150,000 characters in .*; need 65,536 or fewer; cut texts off with --max-length$",
    ),
    "equal rows": (lambda n: ("text", "ab"[n % 2]), r"^1 different rows in .*; need 10 or more$"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_have_the_same_message_in_every_format(name: str, tmp_path: Path) -> None:
    row, message = BAD_ROWS[name]
    frame = pd.DataFrame([row(n) for n in range(60)], columns=["text", "label"])
    writers = {
        "rows.csv": lambda file: frame.to_csv(file, index=False),
        "rows.tsv.gz": lambda file: frame.to_csv(file, index=False, sep="\t"),
        "rows.jsonl": lambda file: frame.to_json(file, orient="records", lines=True),
        "rows.json": lambda file: frame.to_json(file, orient="records"),
        "rows.parquet": lambda file: frame.to_parquet(file),
        "rows.arrow": lambda file: pyarrow.feather.write_feather(pa.Table.from_pandas(frame), str(file)),
    }
    found = {}
    for ending, write in writers.items():
        write(tmp_path / ending)
        with pytest.raises(InvalidInputError, match=message) as caught:
            read(tmp_path / ending, tokens="characters", target="label", inputs=["text"])
        place = (
            rf"(line \d+|row \d+) of {re.escape(str(tmp_path))}/\S*?(?=[;,]| |$)|{re.escape(str(tmp_path))}/[\w.]*\w"
        )
        found[ending] = re.sub(place, "HERE", str(caught.value))
    assert len(set(found.values())) == 1, found


def test_constant_series_are_not_divided_by_zero(tmp_path: Path) -> None:
    rows = [{"x": [5.0] * (2 + n), "label": n % 2} for n in range(60)]
    for scale in ("standard", "robust", "none"):
        source = read(write_json(tmp_path / "rows.jsonl", rows), target="label", scale=scale)
        assert np.isfinite(source.split().blocks(0, 1).inputs).all()


def test_a_file_that_changes_while_it_is_read_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), reviews())
    from seqhub.data import table_reader

    original = table_reader._separated

    def changing(path: Path, *rest: Any) -> Any:
        yield from original(path, *rest)
        path.write_text("text,label\n")

    monkeypatch.setattr(table_reader, "_separated", changing)
    with pytest.raises(
        InvalidInputError, match=r"rows.csv changed while it was read; read it again when it is complete$"
    ):
        read_table(file)


def test_long_fields_and_quotes_are_read(tmp_path: Path) -> None:
    rows = [(f'"quoted", {n}\nsecond line ' + "x" * (200_000 if n == 3 else 1), "ab"[n % 2]) for n in range(60)]
    source = read(write_csv(tmp_path / "rows.csv", ("text", "label"), rows), tokens="characters", max_length=50)
    assert source.file_rows is not None
    assert source.file_rows.found["truncated"] == 1
    assert source.schema.vocabulary is not None
    assert {'"', "\n"} <= set(source.schema.vocabulary.symbols)

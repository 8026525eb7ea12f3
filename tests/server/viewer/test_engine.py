"""Pages, filters, orders, searches and statistics, compared with pyarrow and NumPy on random tables."""

import json
import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server.viewer import engine, prepare
from seqhub.server.viewer.errors import ViewerError
from seqhub.server.viewer.statistics import describe

WORDS = ["", "a", "A", "ab", "Éa", "it's", 'a"b', "b%", "_", "long " * 30]
FEW = settings(max_examples=30, deadline=None)

tables = st.builds(
    lambda rows: pa.table(
        {
            "text": pa.array([row[0] for row in rows], pa.string()),
            "label": pa.array([row[1] for row in rows], pa.int64()),
            "score": pa.array([row[2] for row in rows], pa.float32()),
            "flag": pa.array([row[3] for row in rows], pa.bool_()),
            "list": pa.array([row[4] for row in rows], pa.list_(pa.string())),
        }
    ),
    st.lists(
        st.tuples(
            st.none() | st.sampled_from(WORDS),
            st.none() | st.integers(-3, 3),
            st.none() | st.floats(-2, 2, width=32) | st.just(math.nan),
            st.none() | st.booleans(),
            st.none() | st.lists(st.none() | st.sampled_from(WORDS), max_size=3),
        ),
        max_size=60,
    ),
)


def arguments(folder: str, *tables: pa.Table, rows: int = 7, **given: Any) -> dict[str, Any]:
    """Return the arguments of an operation on tables in files with small row groups."""
    files = []
    for number, table in enumerate(tables):
        path = Path(folder, f"{number}.parquet")
        pq.write_table(table, path, row_group_size=rows)
        copy = f"{path}.copy"
        files.append({"name": path.name, "path": str(path), "copy": copy, "format": "parquet", "separator": None})
    return {"files": files, "features": [], "partial": False, "assets": "", "offset": 0, "length": 100} | given


def rows_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    return [item["row"] for item in response["rows"]]


def indices_of(response: dict[str, Any]) -> list[int]:
    return [item["row_idx"] for item in response["rows"]]


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as JSON values."""
    return [
        {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


@FEW
@given(tables, tables, st.integers(1, 100), st.integers(1, 20))
def test_pages_together_are_the_files(one: pa.Table, two: pa.Table, length: int, group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        given_ = arguments(folder, one, two, rows=group, length=length)
        count = one.num_rows + two.num_rows
        pages = [engine.rows(given_ | {"offset": offset}) for offset in range(0, count + 1, length)]
    assert [row for page in pages for row in rows_of(page)] == plain(pa.concat_tables([one, two]))
    assert [index for page in pages for index in indices_of(page)] == list(range(count))
    assert {page["num_rows_total"] for page in pages} == {count}


# A filter as text, and its value for a row with the logic of SQL: True, False or None
Predicate = tuple[str, Any]
OPERATORS = {
    "=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def comparison(column: str, operator: str, value: Any) -> Predicate:
    text = quoted(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)

    def test(row: dict[str, Any]) -> bool | None:
        return None if row[column] is None else bool(OPERATORS[operator](row[column], value))

    return f'"{column}" {operator} {text}', test


def null(column: str, negated: bool) -> Predicate:
    return f'"{column}" IS {"NOT " if negated else ""}NULL', lambda row: (row[column] is None) != negated


def one_of(column: str, values: list[int], negated: bool) -> Predicate:
    def test(row: dict[str, Any]) -> bool | None:
        return None if row[column] is None else (row[column] in values) != negated

    return f'"{column}"{" not" if negated else ""} in ({", ".join(map(str, values))})', test


def negation(operand: Predicate) -> Predicate:
    def test(row: dict[str, Any]) -> bool | None:
        value = operand[1](row)
        return None if value is None else not value

    return f"NOT ({operand[0]})", test


def combination(word: str, one: Predicate, two: Predicate) -> Predicate:
    def test(row: dict[str, Any]) -> bool | None:
        values = {one[1](row), two[1](row)}
        decisive = word.upper() == "OR"
        return decisive if decisive in values else None if None in values else not decisive

    return f"({one[0]} {word} {two[0]})", test


operators = st.sampled_from(sorted(OPERATORS))
predicates = st.recursive(
    st.one_of(
        st.builds(comparison, st.just("label"), operators, st.integers(-3, 3) | st.sampled_from([0.5, -2.5, 1e30])),
        st.builds(comparison, st.just("score"), operators, st.integers(-2, 2) | st.floats(-2, 2)),
        st.builds(comparison, st.just("text"), operators, st.sampled_from(WORDS)),
        st.builds(comparison, st.just("flag"), st.sampled_from(["=", "!="]), st.booleans()),
        st.builds(null, st.sampled_from(["text", "label", "list"]), st.booleans()),
        st.builds(one_of, st.just("label"), st.lists(st.integers(-3, 3), min_size=1, max_size=3), st.booleans()),
    ),
    lambda inner: st.builds(negation, inner) | st.builds(combination, st.sampled_from(["AND", "or"]), inner, inner),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(tables, predicates, st.integers(0, 5))
def test_filters_are_those_of_python(table: pa.Table, predicate: Predicate, offset: int) -> None:
    text, test = predicate
    with tempfile.TemporaryDirectory() as folder:
        found = engine.filter_(arguments(folder, table, where=text, orderby="", offset=offset))
    expected = [number for number, row in enumerate(table.to_pylist()) if test(row) is True]
    assert indices_of(found) == expected[offset:]
    assert found["num_rows_total"] == len(expected)
    assert rows_of(found) == [plain(table)[number] for number in expected[offset:]]


def sort_key(value: Any, descending: bool) -> tuple[int, Any]:
    if value is None:
        return 2, 0
    if isinstance(value, float) and math.isnan(value):
        return 1, 0
    value = value.encode() if isinstance(value, str) else value
    if not descending:
        return 0, value
    return 0, (*(255 - byte for byte in value), 256) if isinstance(value, bytes) else -value


@FEW
@given(
    tables,
    st.sampled_from(["text", "label", "score", "flag"]),
    st.sampled_from(["", " ASC", " desc"]),
    st.sampled_from(["", '"label" > 0']),
    st.sampled_from([0, prepare.ROWS]),
)
def test_orders_are_stable_with_nulls_last(
    table: pa.Table, column: str, direction: str, where: str, selected: int
) -> None:
    values = table.to_pylist()
    chosen = [n for n, row in enumerate(values) if not where or (row["label"] or 0) > 0]
    expected = sorted(chosen, key=lambda n: sort_key(values[n][column], direction == " desc"))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqhub.server.viewer.filters.MAX_SELECTED", selected)  # both ways of sorting
        found = engine.filter_(arguments(folder, table, where=where, orderby=f'"{column}"{direction}', offset=2))
    assert indices_of(found) == expected[2:]


@FEW
@given(tables, st.sampled_from(["a", "A", "éA", "%", "_", "'", '"', "long LONG", "."]))
def test_searches_are_those_of_python(table: pa.Table, query: str) -> None:
    def contains(row: dict[str, Any]) -> bool:
        texts = [row["text"], *(row["list"] or [])]
        return any(text is not None and query.lower() in text.lower() for text in texts)

    with tempfile.TemporaryDirectory() as folder:
        found = engine.search(arguments(folder, table, query=query))
    assert indices_of(found) == [number for number, row in enumerate(table.to_pylist()) if contains(row)]


def test_like() -> None:
    texts = ["abc", "aBd", "xab", "a%c", None]
    cases = {"'ab%'": [0], "'a_c'": [0, 3], r"'a\%c'": [3], "'%b'": [2], "'a%'": [0, 1, 3]}
    with tempfile.TemporaryDirectory() as folder:
        given_ = arguments(folder, pa.table({"t": texts}), orderby="")
        for pattern, expected in cases.items():
            assert indices_of(engine.filter_(given_ | {"where": f'"t" LIKE {pattern}'})) == expected, pattern
        assert indices_of(engine.filter_(given_ | {"where": "\"t\" ILIKE 'AB%'"})) == [0, 1]
        assert indices_of(engine.filter_(given_ | {"where": "\"t\" NOT LIKE 'a%'"})) == [2]


def test_filters_on_other_types() -> None:
    import datetime
    import decimal

    table = pa.table(
        {
            "day": pa.array([datetime.date(2020, 1, day) for day in (1, 2, 3)]),
            "time": pa.array([datetime.datetime(2020, 1, day, 12) for day in (1, 2, 3)], pa.timestamp("us")),
            "price": pa.array([decimal.Decimal("1.10"), decimal.Decimal("2.20"), None]),
            "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
            "big": pa.array([2**63, 1, 2**64 - 1], pa.uint64()),
            "point": pa.array([{"x": 1, "y": "u"}, None, {"x": 3, "y": "v"}]),
            "half": pa.array(np.array([0.5, 1.5, 2.5], np.float16)),
        }
    )
    cases = {
        "\"day\" >= '2020-01-02'": [1, 2],
        "\"time\" = '2020-01-02 12:00:00'": [1],
        '"price" > 1.5': [1],
        "\"kind\" = 'a'": [0, 2],
        '"big" > 1': [0, 2],
        '"big" > -1': [0, 1, 2],
        '"point"."x" = 3': [2],
        '"point"."y" != \'u\'': [2],
        '"half" BETWEEN 1 AND 2': [1],
        '"point" IS NULL': [1],
    }
    with tempfile.TemporaryDirectory() as folder:
        given_ = arguments(folder, table, orderby="")
        for where, expected in cases.items():
            assert indices_of(engine.filter_(given_ | {"where": where})) == expected, where


@pytest.mark.parametrize(
    ("where", "position", "text"),
    [
        ('"label"', 8, "a comparison"),
        ('"label" = ', 11, "a value is missing at the end"),
        ("label = 1", 1, "a column in double quotes"),
        ('"label" = one', 11, "strings in single quotes"),
        ('"label" = \'1\'', 11, "cannot be compared with a string"),
        ('"text" = 1', 10, "cannot be compared with a number"),
        ('"flag" = 1', 10, "cannot be compared with a number"),
        ('"label" = 1 AND', 16, "a column in double quotes"),
        ('("label" = 1', 13, ") is missing at the end"),
        ('"label" = 1)', 12, ") was not expected"),
        ('"label" = 1; DROP TABLE data', 12, "; is not allowed"),
        ('"label" = 1 -- comment', 13, "- is not allowed"),
        ("\"text\" = 'open", 10, "a quote is not closed"),
        ('"nothing" = 1', 1, "allowed: text, label, score, flag, list"),
        ('"label" = 1 OR "text"."x" = 1', 16, "text has no field 'x'"),
        ('"label" = NULL', 11, "IS NULL"),
        ('"label" LIKE \'a\'', 1, "LIKE needs a column of strings"),
        ('"text" LIKE 1', 13, "LIKE needs a string"),
        ('"label" IN ()', 13, "a value"),
        ('"list" = 1', 10, "cannot be compared"),
        ("NOT " * 60 + '"label" = 1', 205, "nested more than 50 deep"),
        ("(" * 60 + '"label" = 1', 52, "nested more than 50 deep"),
        (" OR ".join(['"label" = 1'] * 201), 3001, "more than 200 predicates"),
    ],
)  # fmt: skip
def test_filters_that_are_not_valid(tmp_path: Path, where: str, position: int, text: str) -> None:
    table = pa.table({"text": ["a"], "label": [1], "score": [1.0], "flag": [True], "list": [["a"]]})
    with pytest.raises(ViewerError, match=f"^Parameter 'where', character {position}: ") as caught:
        engine.filter_(arguments(str(tmp_path), table, where=where, orderby=""))
    assert text in caught.value.message
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("orderby", "position"), [("label", 1), ('"label" UP', 9), ('"nothing"', 1), ('"list"', 1), ('"label", "text"', 8)]
)
def test_orders_that_are_not_valid(tmp_path: Path, orderby: str, position: int) -> None:
    table = pa.table({"label": [1], "list": [["a"]]})
    with pytest.raises(ViewerError, match=f"^Parameter 'orderby', character {position}: "):
        engine.filter_(arguments(str(tmp_path), table, where="", orderby=orderby))


@settings(max_examples=200, deadline=None)
@given(st.text("\"'abclandornot=<>!().,0123456789 -*;%", max_size=40))
def test_any_text_is_parsed_or_has_one_clear_error(text: str) -> None:
    from seqhub.server.viewer.where import parse_orderby, parse_where

    for parse in (parse_where, parse_orderby):
        with suppress(ViewerError):
            parse(text)


def columns_of(response: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    return {item["column_name"]: (item["column_type"], item["column_statistics"]) for item in response["statistics"]}


def assert_numbers(found: dict[str, Any], values: Sequence[float | int], missing: int, total: int) -> None:
    """Compare statistics with those of NumPy."""
    assert found["nan_count"] == missing
    assert found["nan_proportion"] == (missing / total if total else 0.0)
    array = np.array(values, np.float64)
    if not len(array):
        assert all(found[name] is None for name in ("min", "max", "mean", "median", "std", "histogram"))
        return
    expected = {"min": array.min(), "max": array.max(), "mean": array.mean(), "median": np.median(array)}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert found["std"] == (pytest.approx(array.std(ddof=1), rel=1e-9, abs=1e-9) if len(array) > 1 else None)
    edges, counts = found["histogram"]["bin_edges"], found["histogram"]["hist"]
    assert len(edges) == len(counts) + 1 <= 11
    assert (edges[0], edges[-1]) == (found["min"], found["max"])
    if len(counts) > 1 and edges[-1] > edges[-2]:
        assert counts == np.histogram(array, edges)[0].tolist()
    assert sum(counts) == len(array)


@FEW
@given(tables, st.integers(1, 20))
def test_statistics_are_those_of_numpy(table: pa.Table, group: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        response = engine.statistics(arguments(folder, table, rows=group))
    assert json.dumps(response, allow_nan=False)
    total = table.num_rows
    assert (response["num_examples"], response["partial"]) == (total, False)
    found = columns_of(response)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "text": "string_label", "label": "int", "score": "float", "flag": "bool", "list": "list",
    }  # fmt: skip
    for name in ("label", "score"):
        values = [v for v in table[name].to_pylist() if v is not None and not math.isnan(v)]
        assert_numbers(found[name][1], values, total - len(values), total)
    lengths = [len(value) for value in table["list"].to_pylist() if value is not None]
    assert_numbers(found["list"][1], lengths, total - len(lengths), total)
    texts = [value for value in table["text"].to_pylist() if value is not None]
    assert found["text"][1]["frequencies"] == {text: texts.count(text) for text in set(texts)}
    flags = [value for value in table["flag"].to_pylist() if value is not None]
    assert found["flag"][1]["frequencies"] == {str(flag): flags.count(flag) for flag in set(flags)}


@FEW
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.booleans())
def test_histograms_of_integers_are_exact(values: list[int], near: bool) -> None:
    given_ = [2**62 + value % 100 for value in values] if near else values
    histogram = describe(np.array(given_, np.int64))["histogram"]
    edges = histogram["bin_edges"]
    assert (edges[0], edges[-1]) == (min(given_), max(given_))
    expected = [sum(low <= v < high for v in given_) for low, high in pairwise(edges[:-1])]
    assert histogram["hist"] == [*expected, sum(value >= edges[-2] for value in given_)]


def test_statistics_of_texts_labels_and_times(tmp_path: Path) -> None:
    import datetime

    count = 100
    texts = [f"{number:05d}" + "x" * (number % 7) for number in range(count)]
    table = pa.table(
        {
            "text": texts,
            "label": pa.array([-1, None] + [number % 2 for number in range(count - 2)]),
            "time": pa.array([datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=n) for n in range(count)]),
            "inf": [math.inf, *range(count - 1)],
            "nothing": pa.nulls(count, pa.float64()),
        }
    )
    given_ = arguments(str(tmp_path), table)
    given_["features"] = [{"name": "label", "dtype": {"class_label": {"names": ["even", "odd"]}}}]
    response = engine.statistics(given_)
    assert json.dumps(response, allow_nan=False)
    found = columns_of(response)
    assert found["text"][0] == "string_text"
    assert_numbers(found["text"][1], [len(text) for text in texts], 0, count)
    assert found["label"] == (
        "class_label",
        {
            "nan_count": 1,
            "nan_proportion": 0.01,
            "no_label_count": 1,
            "no_label_proportion": 0.01,
            "n_unique": 2,
            "frequencies": {"even": 49, "odd": 49},
        },
    )
    kind, times = found["time"]
    assert (kind, times["min"], times["max"]) == ("datetime", "2020-01-01 00:00:00", "2020-01-05 03:00:00")
    assert (times["median"], sum(times["histogram"]["hist"])) == ("2020-01-03 01:30:00", count)
    assert (found["inf"][1]["max"], found["inf"][1]["histogram"]) == (None, None)
    assert_numbers(found["nothing"][1], [], count, count)

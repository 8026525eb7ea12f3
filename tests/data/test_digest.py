"""Digest of rows: definition, and independence of the storage format."""

import hashlib
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.data.arrow import rows_table
from seqhub.data.digest import digest
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import Split

ROWS = {"text": ["BaE", "", "éa", "BXcE"], "label": [3, 0, 1, 2]}


def int64(*values: int) -> str:
    return hashlib.sha256(struct.pack(f"<{len(values)}q", *values)).hexdigest()


def test_digest_agrees_with_the_documented_definition():
    columns = [
        ["label", ["integer", int64(3, 0, 1, 2)]],
        ["nested", ["list", int64(2, 0, 1, 1), ["list", int64(1, 0, 2, 0), ["integer", int64(7, 8, 9)]]]],
        ["text", ["text", int64(3, 0, 3, 4), hashlib.sha256("BaEéaBXcE".encode()).hexdigest()]],
        ["value", ["real", hashlib.sha256(struct.pack("<4d", 0.5, -1.0, 2.0, 0.25)).hexdigest()]],
        ["yes", ["boolean", hashlib.sha256(b"\1\0\1\1").hexdigest()]],
    ]
    table = pa.table(
        ROWS
        | {
            "yes": [True, False, True, True],
            "value": [0.5, -1.0, 2.0, 0.25],
            "nested": [[[7], []], [], [[8, 9]], [[]]],
        }
    )
    assert digest(table) == hashlib.sha256(json.dumps(columns, separators=(",", ":")).encode()).hexdigest()


def other_storage() -> list[pa.Table]:
    table = pa.table(ROWS)
    return [
        table.select(["label", "text"]),
        pa.concat_tables([table.slice(0, 1), table.slice(1, 0), table.slice(1)]),
        pa.concat_tables([table, table]).slice(4, 4),
        table.set_column(0, "text", table["text"].cast(pa.large_string())),
        table.set_column(0, "text", table["text"].dictionary_encode()),
        table.set_column(1, "label", table["label"].cast(pa.int8())),
        table.replace_schema_metadata({"huggingface": "{}"}),
    ]


@pytest.mark.parametrize("table", other_storage())
def test_storage_does_not_matter(table):
    assert digest(table) == digest(pa.table(ROWS))


def test_lists_of_every_kind_are_equal():
    values = [[1, 2], [3, 4], [5, 6]]
    kinds = [pa.list_(pa.int64()), pa.large_list(pa.int8()), pa.list_(pa.int32(), 2)]
    tables = [pa.table({"x": pa.array([[0, 0], *values], kind)}).slice(1) for kind in kinds]
    assert {digest(table) for table in tables} == {digest(pa.table({"x": values}))}


def test_parquet_and_a_dataset_have_the_digest_of_the_table(tmp_path):
    table = rows_table(Split("qrsu/normal"), 100, 5000)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=777)
    features = Features({"text": Value("string"), "label": ClassLabel(names=list("QRSU"))})
    dataset = Dataset(table.cast(features.arrow_schema))
    turned = dataset.select(range(len(dataset) - 1, -1, -1))
    assert digest(pq.read_table(tmp_path / "rows.parquet")) == digest(dataset) == digest(table)
    assert digest(turned) != digest(table)
    assert digest(turned.select(range(len(dataset) - 1, -1, -1))) == digest(table)


CHANGED = [
    {"text": ["BaE", "", "éa", "BXcF"], "label": [3, 0, 1, 2]},
    {"text": ["BaE", "é", "a", "BXcE"], "label": [3, 0, 1, 2]},  # the same bytes, divided differently
    {"text": ["BaE", "", "éa", "BXcE"], "label": [3, 0, 2, 1]},
    {"text": ["BaE", "", "éa"], "label": [3, 0, 1]},
    {"texts": ["BaE", "", "éa", "BXcE"], "label": [3, 0, 1, 2]},
    {"text": ["BaE", "", "éa", "BXcE"]},
    {"text": ["BaE", "", "éa", "BXcE"], "label": [3.0, 0.0, 1.0, 2.0]},
]


@pytest.mark.parametrize("rows", CHANGED)
def test_content_matters(rows):
    assert digest(pa.table(rows)) != digest(pa.table(ROWS))


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.tuples(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1)), max_size=20), cut=st.integers(0, 20)
)
def test_chunks_do_not_matter(rows, cut):
    schema = pa.schema([("text", pa.string()), ("label", pa.int64())])
    table = pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}, schema=schema)
    assert digest(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == digest(table)


def test_empty_tables_have_a_digest():
    empty = pa.table({"text": pa.array([], pa.string())})
    assert digest(empty) == digest(empty.slice(0, 0)) == digest(pa.table({"text": pa.chunked_array([], pa.string())}))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a", None]), "column 'x' has missing values"),
        (pa.array([[1], [None]]), "column 'x' has missing values"),
        (pa.array([{"a": 1}]), "column 'x' has type struct<a: int64>"),
    ],
)
def test_unsupported_columns_are_errors(column, message):
    with pytest.raises(InvalidInputError, match=message):
        digest(pa.table({"x": column}))

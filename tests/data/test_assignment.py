"""Assignment of rows to splits by their content, independent of other rows."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.data.assignment import assign, split_index_of
from seqhub.data.source import DataSource
from seqhub.errors import InvalidInputError
from seqhub.tasks.splits import SPLITS

CONTENTS = [f"row {number}".encode() for number in range(200)]


@settings(max_examples=30, deadline=None)
@given(
    kept=st.sets(st.integers(0, 199), min_size=60),
    added=st.lists(st.binary(min_size=1, max_size=8)),
    seed=st.integers(0, 9),
)
def test_added_removed_and_reordered_rows_move_no_other_row(kept: set[int], added: list[bytes], seed: int) -> None:
    before = dict(zip(CONTENTS, assign(CONTENTS, [None] * 200, "rows", Path("f")).tolist(), strict=True))
    rows = [*(CONTENTS[number] for number in kept), *added, *added]
    random.Random(seed).shuffle(rows)
    if {split_index_of(row) for row in rows} != {0, 1, 2}:
        with pytest.raises(InvalidInputError, match=r"^no row for "):
            assign(rows, [None] * len(rows), "rows", Path("f"))
        return
    after = assign(rows, [None] * len(rows), "rows", Path("f")).tolist()
    assert all(before.get(row, place) == place == split_index_of(row) for row, place in zip(rows, after, strict=True))


def test_splits_have_their_shares_of_many_rows() -> None:
    places = assign([str(number).encode() for number in range(20_000)], [None] * 20_000, "rows", Path("f"))
    shares = np.bincount(places) / len(places)
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_a_row_that_names_a_split_moves_no_row_for_training_or_validation() -> None:
    unnamed = assign(CONTENTS, [None] * 200, "rows", Path("f"))
    named = assign([*CONTENTS, b"new"], [*[None] * 200, "test"], "rows", Path("f"))
    assert named[-1] == 2
    assert all(now == (0 if then == 2 else then) for then, now in zip(unnamed, named, strict=False))


def test_split_without_rows_raises_a_one_line_error() -> None:
    few = [content for content in CONTENTS if split_index_of(content) != 1][:30]
    with pytest.raises(
        InvalidInputError, match=r"^no row for validation among the 30 different rows in f, which are assigned"
    ):
        assign(few, [None] * 30, "rows", Path("f"))
    with pytest.raises(InvalidInputError, match=r"^9 different rows in f; need 10 or more$"):
        assign(CONTENTS[:9], [None] * 9, "rows", Path("f"))


def test_split_of_a_row_does_not_depend_on_format_and_other_rows(tmp_path: Path) -> None:
    """With assignment by the rank of a hash, an added line moved others from test to train."""
    texts = [f"this is text number {number}" for number in range(150)]
    found = []
    for count, ending in ((120, "csv"), (150, "jsonl"), (121, "parquet"), (119, "tsv")):
        file = tmp_path / f"{count}.{ending}"
        labels = [("no", "yes")[number % 2] for number in range(count)]
        if ending == "parquet":
            pq.write_table(pa.table({"text": texts[:count], "label": labels}), file)
        elif ending == "jsonl":
            rows = zip(texts, labels, strict=False)
            file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
        else:
            separator = {"csv": ",", "tsv": "\t"}[ending]
            lines = [separator.join(pair) for pair in zip(texts, labels, strict=False)]
            file.write_text("\n".join([separator.join(("text", "label")), *lines]))
        source = DataSource("sentiment/custom", file, {"unknown": False})
        splits = {name: source.split(name) for name in SPLITS}
        found.append(
            {row.inputs: name for name, split in splits.items() for b in split.batches(0) for row in split.examples(b)}
        )
    shared = set.intersection(*map(set, found))
    assert len(shared) == 119
    for text in shared:
        (name,) = {each[text] for each in found}
        assert list(SPLITS).index(name) == split_index_of(text.encode())

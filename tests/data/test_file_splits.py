"""Splits of files: shares of each class, stability under other rows, equal rows, groups and contradictions."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.data.file_kinds import task_of_file
from seqhub.data.source import DataSource
from seqhub.tasks.splits import SPLITS
from tests.helpers.own_files import write_csv, write_json

SHARES = dict(zip(SPLITS, (0.8, 0.1, 0.1), strict=True))


def places(rows: list[tuple[str, str]], folder: Path, **options: Any) -> dict[str, str]:
    """Return the split of each text."""
    file = write_csv(folder / "rows.csv", ("text", "label"), rows)
    ref, chosen = task_of_file(file, {"tokens": "characters", **options})
    source = DataSource(ref, file, chosen)
    return {
        example.inputs: name
        for name in SPLITS
        for batch in source.split(name).batches(0)
        for example in source.split(name).examples(batch)
    }


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=2, max_size=8), seed=st.integers(0, 99))
def test_each_class_has_its_shares_to_within_one_row(
    sizes: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sizes = [200, *sizes]  # so that no split is empty
    rows = [(f"text {seed} {label} {n}", f"class {label}") for label, size in enumerate(sizes) for n in range(size)]
    found = places(rows, tmp_path_factory.mktemp("splits"))
    for label, size in enumerate(sizes):
        counts = Counter(found[text] for text, name in rows if name == f"class {label}")
        assert counts["train"] >= 1
        for split, share in SHARES.items():
            # a class of very few rows keeps one for training, and both other splits may be rounded
            assert abs(counts[split] - share * size) < (2 if split == "train" else 1), (size, counts)


def test_many_small_classes_do_not_all_lack_the_same_split(tmp_path: Path) -> None:
    rows = [(f"text {label} {n}", f"class {label}") for label in range(90) for n in range(5)]
    counts = Counter(places(rows, tmp_path).values())
    assert 30 <= counts["validation"] <= 60
    assert 30 <= counts["test"] <= 60


def test_rows_of_one_class_move_no_row_of_another(tmp_path: Path) -> None:
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(300)]
    more = rows + [(f"more {n}", "a") for n in range(100)]
    before, after = places(rows, tmp_path), places(more[::-1], tmp_path)
    assert all(after[text] == before[text] for text, label in rows if label == "b")
    moved = [text for text, label in rows if label == "a" and after[text] != before[text]]
    assert len(moved) <= 12


def test_rows_move_only_next_to_a_border(tmp_path: Path) -> None:
    """With more rows, a row moves only to the neighbouring split, and rows that are far from a border never do."""
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(4_000)]
    parts = [places(rows[:size], tmp_path) for size in (1_000, 2_000, 4_000)]
    order = list(SPLITS)
    changes = [
        (order.index(before[text]), order.index(after[text]))
        for before, after in ((parts[0], parts[1]), (parts[1], parts[2]))
        for text in before
        if before[text] != after[text]
    ]
    assert all(abs(one - other) == 1 for one, other in changes)
    assert len(changes) <= 0.05 * 3_000


def test_equal_texts_share_a_split_and_contradictions_are_counted(tmp_path: Path) -> None:
    rows = [(f"text {n % 60}", "ab"[n % 2 if n != 70 else 1]) for n in range(120)]
    file = write_csv(tmp_path / "rows.csv", ("text", "label"), rows)
    ref, chosen = task_of_file(file, {"tokens": "characters"})
    source = DataSource(ref, file, chosen)
    seen = [
        {e.inputs for b in source.split(name).batches(0) for e in source.split(name).examples(b)} for name in SPLITS
    ]
    assert sum(map(len, seen)) == 60
    assert source.file_rows is not None
    assert source.file_rows.found["contradictory"] == 2
    assert source.file_rows.found["repeated"] == {"validation": 0, "test": 0}


def test_each_label_of_several_has_a_training_row(tmp_path: Path) -> None:
    for rare in range(15):
        rows = [{"text": f"text {n} of {rare}", "labels": ["x", "y"][: n % 3]} for n in range(60)]
        rows.append({"text": f"rare {rare}", "labels": ["rare", "x"]})
        file = write_json(tmp_path / f"{rare}.jsonl", rows)
        ref, chosen = task_of_file(file, {"tokens": "characters"})
        source = DataSource(ref, file, chosen)
        labels = np.concatenate([batch.labels for batch in source.split("train").batches(0)])
        assert labels[:, source.schema.labels.index("rare")].sum() == 1


def test_numbers_are_divided_exactly(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "rows.csv", ("text", "price"), [(f"text {n}", n + 0.5) for n in range(730)])
    ref, chosen = task_of_file(file, {"tokens": "characters"})
    assert DataSource(ref, file, chosen).sizes == {"train": 584, "validation": 73, "test": 73}

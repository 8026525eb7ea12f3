"""Splits of files: shares of each class, stability under other rows, equal rows, groups and contradictions."""

import itertools
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
def test_each_class_has_a_row_in_each_split(
    sizes: list[int], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sizes = [200, *sizes]  # so that no split is empty
    rows = [(f"text {seed} {label} {n}", f"class {label}") for label, size in enumerate(sizes) for n in range(size)]
    found = places(rows, tmp_path_factory.mktemp("splits"))
    for label, size in enumerate(sizes):
        counts = Counter(found[text] for text, name in rows if name == f"class {label}")
        assert counts["train"] >= 1
        if size >= 3:
            assert counts["validation"] >= 1
            assert counts["test"] >= 1


@settings(max_examples=25, deadline=None)
@given(size=st.integers(60, 400), added=st.integers(1, 400), seed=st.integers(0, 999))
def test_added_rows_move_no_other_row(
    size: int, added: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Regression: rows were divided by their rank in a class, so that a row of the test became one for training."""
    rows = [(f"text {seed} {n}", "ab"[n % 2]) for n in range(size)]
    more = rows + [(f"more {seed} {n}", "ab"[n % 2]) for n in range(added)]
    folder = tmp_path_factory.mktemp("splits")
    before, after = places(rows, folder), places(more[::-1], folder)
    for name in "ab":
        counts = Counter(before[text] for text, label in rows if label == name)
        moved = [text for text, label in rows if label == name and after[text] != before[text]]
        assert len(moved) <= list(counts.values()).count(1)  # a row that a class lent to a split may return


def test_rows_of_large_classes_never_move(tmp_path: Path) -> None:
    rows = [(f"text {n}", "ab"[n % 2]) for n in range(1_000)]
    found = [places(rows[:size], tmp_path) for size in (200, 201, 500, 1_000)]
    for before, after in itertools.pairwise(found):
        assert before.items() <= after.items()


def test_shares_of_classes_are_those_of_the_splits_up_to_chance(tmp_path: Path) -> None:
    rows = [(f"text {n}", "rare" if n % 10 == 0 else "often") for n in range(6_000)]
    found = places(rows, tmp_path)
    for name, size in (("rare", 600), ("often", 5_400)):
        counts = Counter(found[text] for text, label in rows if label == name)
        for split, share in SHARES.items():
            assert abs(counts[split] - share * size) < 4 * (share * (1 - share) * size) ** 0.5, (name, counts)


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

"""Tables and rows that do not fit into the memory: equal to those in memory, and no file is left."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqhub.data import scratch, table_reader
from seqhub.data.file_kinds import task_of_file
from seqhub.data.local_files import _rows_once
from seqhub.data.source import DataSource
from seqhub.data.table_reader import forget_table, read_table
from seqhub.errors import SaveError
from tests.helpers.own_files import reviews, series, slopes, topics, write_csv, write_json


def identity(file: Path, **options: Any) -> str:
    forget_table()
    _rows_once.cache_clear()
    ref, chosen = task_of_file(file, options)
    return DataSource(ref, file, chosen).identity


FILES: dict[str, Any] = {
    "texts.csv": (lambda file: write_csv(file, ("text", "label"), reviews(300)), {}),
    "characters.csv": (lambda file: write_csv(file, ("text", "label"), reviews(300)), {"tokens": "characters"}),
    "waves.jsonl": (lambda file: write_json(file, series(150)), {"target": "label"}),
    "topics.jsonl": (lambda file: write_json(file, topics(150)), {}),
    "slopes.jsonl": (lambda file: write_json(file, slopes(150)), {"target": ["level", "slope"]}),
}


@pytest.mark.parametrize("name", FILES)
def test_rows_in_temporary_files_are_those_in_memory(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, options = FILES[name]
    file = write(tmp_path / name)
    expected = identity(file, **options)
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(scratch, "IN_MEMORY", 1_000)
    monkeypatch.setattr(table_reader, "_ROWS_AT_ONCE", 50)
    assert identity(file, **options) == expected
    assert list(folder.iterdir()) == []
    forget_table()
    _rows_once.cache_clear()


def test_parts_with_other_types_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_reader, "_ROWS_AT_ONCE", 10)
    values: list[Any] = [*range(10), *(n + 0.5 for n in range(10)), None, *["x"] * 9]
    rows = [{"a": value, "b": [1] if n < 10 else [0.5]} | ({"late": n} if n > 15 else {}) for n, value in
            enumerate(values)]  # fmt: skip
    forget_table()
    table = read_table(write_json(tmp_path / "rows.jsonl", rows))
    assert table.column("a").to_pylist() == [
        None if value is None else value if isinstance(value, str) else str(value) for value in values
    ]
    assert table.column("b").to_pylist() == [row["b"] for row in rows]
    assert table.column("late").to_pylist() == [None] * 16 + [float(n) for n in range(16, 30)]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: Any) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(scratch, "_unnamed_file", Full)
    monkeypatch.setattr(scratch, "IN_MEMORY", 10)
    with pytest.raises(
        SaveError, match=r"^cannot write to .*, the folder for temporary files: No space left on device"
    ):
        scratch.GrowingArray(np.int64).append(np.arange(9))

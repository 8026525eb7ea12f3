"""The package of benchmarks: registry, goals, and formatting of numbers."""

import io
import json

import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import get_benchmark, list_benchmarks
from benchmarks.timing import Job, Row, compare, number


def test_the_folder_is_the_registry():
    assert {"access", "build", "generate", "loader"} <= set(list_benchmarks())
    for name in list_benchmarks():
        benchmark = get_benchmark(name)
        assert callable(benchmark.run)
        assert benchmark.__doc__.partition("\n")[0].endswith(".")


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (None, None),
        (("ratio", ">=", 2.0), True),
        (("ratio", ">=", 2.1), False),
        (("ours", "<=", 10.0), True),
        (("ours", "<=", 9.0), False),
    ],
)
def test_goals(goal, met):
    assert Row(case="a", unit="b", theirs=5.0, ours=10.0, ratio=2.0, goal=goal).met is met


def test_both_sides_are_timed_in_turn():
    calls, now = [], [0.0]

    def work(side: str, seconds: float) -> None:
        calls.append(side)
        now[0] += seconds

    theirs, ours = Job(lambda: work("theirs", 0.5), 10), Job(lambda: work("ours", 0.125), 10)
    row = compare("case", theirs, ours, 3, unit="items/s", goal=("ratio", ">=", 4.0), clock=lambda: now[0])
    assert calls == ["theirs", "ours"] * 4
    assert (row.theirs, row.ours, row.ratio, row.met) == (20, 80, 4, True)


def test_numbers_are_short():
    values = [1234567.0, 100.4, 99.96, 56.78, 1.0, 0.012345, 0.0, None]
    assert [number(value) for value in values] == ["1,230,000", "100", "100", "56.8", "1", "0.0123", "0", ""]


def test_results_name_no_path_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr("benchmarks.access._EXAMPLES", 2)  # faster
    rows = get_benchmark("access").run(1)
    command.save("access", "A title.", 1, rows, 0.5)
    text = (tmp_path / "results" / "access.json").read_text()
    result = json.loads(text)
    assert [row["case"] for row in result["rows"]] == [row.case for row in rows]
    assert result["environment"]["cores"] >= 1
    assert "/home" not in text
    assert str(tmp_path) not in text
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(command.table("A title.", rows))
    assert "qrsu/hard" in console.export_text()

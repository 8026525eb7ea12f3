"""Table of `docs/own_files.md`, from benchmarks/results/own_files.json."""

import json
from statistics import median
from typing import Any

from benchmarks import RESULTS
from benchmarks.own_files.cases import CASES, PUBLISHED, FileCase

FILE = RESULTS / "own_files.json"
SEEDS = 5  # files with fewer, or without the simple model, are not finished


def tables() -> str:
    """Return the table of results, the sentence on simple models, the published numbers and the sources."""
    measured: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))["files"]
    files = {name: found for name, found in measured.items() if len(found["seeds"]) == SEEDS and "simple" in found}
    lines = [
        "| file | kind | rows | classes | baseline | simple model | seqhub, median (range) | seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lost = []
    for name, found in files.items():
        best, wins = _best_baseline(found), _simple_wins(found)
        if wins:
            lost.append(f"`{name}`")
        simple = found["simple"]
        lines.append(
            f"| {CASES[name].title} | {found['task'].partition('/')[2]} | {sum(found['rows'].values()):,} "
            f"| {found['classes'] or ''} | {_shown(found, best)} | {_marked(found, simple['value'], wins)} "
            f"({simple['name']}) | {_range(found, wins)} | {_seconds(found)} |"
        )
    lines += ["", _verdict(lost, len(files)), "", *_published(files), "", *_sources(files)]
    return "\n".join(lines)


def _verdict(lost: list[str], number: int) -> str:
    if not lost:
        return f"On none of the {number} files is the simple model better than the median of seqhub."
    return (
        f"On {len(lost)} of the {number} files the simple model is better than the median of seqhub, and the better "
        f"choice: {', '.join(lost)}."
    )


def _published(files: dict[str, Any]) -> list[str]:
    lines = [
        "| dataset | seqhub, median | published | method | source |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for name, found in files.items():
        for method, value, source in PUBLISHED.get(CASES[name].published or "", ()):
            shown = f"{median(_values(found)):.1%}"
            lines.append(f"| {CASES[name].published} | {shown} | {value:.1%} | {method} | {source} |")
    return lines


def _sources(files: dict[str, Any]) -> list[str]:
    lines = ["| file | command | package | data | licence |", "| --- | --- | --- | --- | --- |"]
    for name, found in files.items():
        case: FileCase = CASES[name]
        lines.append(f"| `{name}` | `{found['command']}` | `{case.package}` | {case.source} | {case.licence} |")
    return lines


def _values(found: dict[str, Any]) -> list[float]:
    return [seed["test"] for seed in found["seeds"].values()]


def _best(found: dict[str, Any], values: Any) -> float:
    return float(max(values) if found["metric"] == "accuracy" else min(values))


def _best_baseline(found: dict[str, Any]) -> float:
    return _best(found, found["baselines"].values())


def _simple_wins(found: dict[str, Any]) -> bool:
    own = median(_values(found))
    theirs = found["simple"]["value"]
    return bool(theirs > own if found["metric"] == "accuracy" else theirs < own)


def _shown(found: dict[str, Any], value: float) -> str:
    return f"{value:.1%}" if found["metric"] == "accuracy" else f"RMSE {value:.3g}"


def _marked(found: dict[str, Any], value: float, bold: bool) -> str:
    return f"**{_shown(found, value)}**" if bold else _shown(found, value)


def _range(found: dict[str, Any], lost: bool) -> str:
    values = _values(found)
    middle = _shown(found, median(values))
    ends = [_shown(found, each).removeprefix("RMSE ") for each in (min(values), max(values))]
    return f"{middle if lost else f'**{middle}**'} ({ends[0]} to {ends[1]})"


def _seconds(found: dict[str, Any]) -> str:
    return f"{median(seed['seconds'] for seed in found['seeds'].values()):.0f}"

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
    lost, beaten = [], []
    for name, found in files.items():
        own, baseline, simple = median(_values(found)), _best(found, found["baselines"].values()), found["simple"]
        results = {"baseline": baseline, "simple": simple["value"], "own": own}
        if _is_better(found, simple["value"], own):
            lost.append(f"`{name}`")
        if _is_better(found, baseline, own):
            beaten.append(f"`{name}`")
        best = _best(found, results.values())
        cells = {
            each: f"**{_shown(found, value)}**" if value == best else _shown(found, value)
            for each, value in results.items()
        }
        lines.append(
            f"| {CASES[name].title} | {found['task'].partition('/')[2]} | {sum(found['rows'].values()):,} "
            f"| {found['classes'] or ''} | {cells['baseline']} | {cells['simple']} ({simple['name']}) "
            f"| {cells['own']} ({_range(found)}) | {_seconds(found)} |"
        )
    lines += ["", _verdict(lost, beaten, len(files)), "", *_published(files), "", *_sources(files)]
    return "\n".join(lines)


def _verdict(lost: list[str], beaten: list[str], number: int) -> str:
    simple = f"The simple model is better than the median of seqhub on {len(lost)} of the {number} files"
    baseline = f"the baseline on {len(beaten)}"
    return f"{simple}{_listed(lost)}, and {baseline}{_listed(beaten)}. It is the better choice there."


def _listed(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


def _published(files: dict[str, Any]) -> list[str]:
    lines = [
        "| dataset | seqhub, median | published | method | source |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    for name, found in files.items():
        for method, value, source in PUBLISHED.get(CASES[name].published or "", ()):
            shown = (_shown(found, each) for each in (median(_values(found)), value))
            lines.append(f"| {CASES[name].published} | {' | '.join(shown)} | {method} | {source} |")
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


def _is_better(found: dict[str, Any], one: float, other: float) -> bool:
    return one > other if found["metric"] == "accuracy" else one < other


def _shown(found: dict[str, Any], value: float) -> str:
    return f"{value:.1%}" if found["metric"] == "accuracy" else f"RMSE {value:.3g}"


def _range(found: dict[str, Any]) -> str:
    values = _values(found)
    low, high = (_shown(found, each).removeprefix("RMSE ") for each in (min(values), max(values)))
    return f"{low} to {high}"


def _seconds(found: dict[str, Any]) -> str:
    return f"{median(seed['seconds'] for seed in found['seeds'].values()):.0f}"

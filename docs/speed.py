"""Tables and figure of the benchmarks for `docs/performance.md`.

`python -m docs.speed` draws the figure from benchmarks/results; `make cards` renders the tables.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from benchmarks import RESULTS
from benchmarks.timing import number
from seqhub.cli.errors import script
from seqhub.plots.style import BLUE, GREEN, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy

HERE = Path(__file__).parent
FIGURE = HERE / "images" / "performance.png"
ORDER = (
    "step",
    "grid",
    "loop",
    "sweep",
    "eval",
    "scans",
    "generate",
    "generate_sequences",
    "loader",
    "build",
    "access",
    "threads",
    "startup",
    "solve",
)

_CASE = re.compile(r"(?P<cell>\w+) (?P<width>\d+), T=(?P<length>\d+), B=(?P<batch>\d+), (?P<side>\w+)")
_COLORS = {"rnn_tanh": VERMILION, "gru": GREEN, "lstm": BLUE}


def measured(name: str) -> dict[str, Any]:
    """Return the last result of a benchmark."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def title(name: str) -> str:
    """Return the title of a benchmark: the first line of its docstring."""
    tree = ast.parse((RESULTS.parent / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or name).partition("\n")[0]


def tables() -> str:
    """Return the tables of all benchmarks on the page: the rows with a goal, or all if there are none."""
    parts = []
    for name in ORDER:
        result = measured(name)
        rows = [row for row in result["rows"] if row["goal"]] or result["rows"]
        machine = result["environment"]
        parts += [
            f"### `{name}`",
            "",
            title(name),
            "",
            "| case | baseline | seqhub | unit | ratio | goal | |",
            "| --- | ---: | ---: | --- | ---: | --- | --- |",
            *(_line(row) for row in rows),
            "",
            f"Medians of {result['rounds']} rounds; {machine['cores']} cores{_processor(machine)}, "
            f"{machine['platform']}, Python {machine['python']}, torch {machine['versions']['torch']}. "
            f"All {len(result['rows'])} rows are in "
            f"[{name}.json](../benchmarks/results/{name}.json).",
            "",
        ]
    return "\n".join(parts).rstrip()


def _processor(machine: dict[str, Any]) -> str:
    """Return the name of the processor; results of earlier versions do not have it."""
    return f" of an {machine['processor']}" if "processor" in machine else ""


def _line(row: dict[str, Any]) -> str:
    goal = f"{row['goal'][0]} {row['goal'][1]} {number(row['goal'][2])}" if row["goal"] else ""
    verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
    cells = (row["case"], number(row["theirs"]), number(row["ours"]), row["unit"], number(row["ratio"]), goal, verdict)
    return f"| {' | '.join(cells)} |"


def draw(path: Path = FIGURE) -> None:
    """Draw the time of a training step by length, width and batch, and of building a dataset by its rows."""
    steps = [(match.groupdict(), row) for row in measured("step")["rows"] if (match := _CASE.fullmatch(row["case"]))]
    figure = new_figure(6.4)
    (by_length, by_width), (by_batch, by_rows) = figure.subplots(2, 2)
    _curves(by_length, steps, "length", {"cell": "lstm", "width": "4", "batch": "32"})
    by_length.set(title="LSTM of 4, batches of 32", xlabel="steps of a sequence")
    for cell in _COLORS:
        _curves(by_width, steps, "width", {"cell": cell, "length": "110", "batch": "32"})
    by_width.set(title="110 steps, batches of 32", xlabel="width")
    _curves(by_batch, steps, "batch", {"cell": "lstm", "width": "4", "length": "110"})
    by_batch.set(title="LSTM of 4, 110 steps", xlabel="sequences of a batch")
    for axes in (by_length, by_width, by_batch):
        axes.set_ylabel("µs a sequence", fontsize=LABEL)
    _rows(by_rows)
    dashed = by_width.get_lines()[1::2]  # equal for all cells; one is labelled
    for line in dashed[1:]:
        line.set_label("_")
    for axes in (by_length, by_width, by_batch, by_rows):
        axes.set(xscale="log", yscale="log")
        axes.title.set_fontsize(LABEL)
        axes.xaxis.label.set_fontsize(LABEL)
        tidy(axes)
        low, high = axes.get_ylim()
        axes.set_ylim(low, high * (high / low) ** 0.25)  # space for the legend
        axes.legend(fontsize=SMALL, frameon=False, loc="upper left", ncols=2)
    figure.suptitle("Time of a training step and of building a dataset", fontsize=TITLE)
    save(figure, path)


def _curves(axes: Axes, steps: list[tuple[dict[str, str], dict[str, Any]]], by: str, where: dict[str, str]) -> None:
    """Draw a solid line for autograd and a dashed one for torch's module."""
    chosen = where | {"side": "autograd"}
    rows = sorted(
        (int(facts[by]), row) for facts, row in steps if all(facts[name] == value for name, value in chosen.items())
    )
    color = _COLORS[where["cell"]]
    places = [place for place, _ in rows]
    axes.plot(
        places, [1e6 / row["ours"] for _, row in rows], color=color, marker="o", markersize=3, label=where["cell"]
    )
    axes.plot(places, [1e6 / row["theirs"] for _, row in rows], color=color, linestyle="--", label="torch's module")


def _rows(axes: Axes) -> None:
    rows = {row["case"]: row for row in measured("build")["rows"] if row["case"].endswith(" rows")}
    counts = [int(case.removesuffix(" rows").replace(",", "")) for case in rows]
    axes.plot(counts, [row["ours"] for row in rows.values()], color=BLUE, marker="o", markersize=3, label="seqhub")
    theirs = [row["theirs"] for row in rows.values()]
    axes.plot(counts, theirs, color=GREY, linestyle="--", label="Dataset.from_generator")
    axes.set(title="qrsu/hard on disk", xlabel="rows")
    axes.set_ylabel("s", fontsize=LABEL)


def main() -> None:
    """Draw the figure of the benchmarks."""
    draw()


if __name__ == "__main__":
    script(main)

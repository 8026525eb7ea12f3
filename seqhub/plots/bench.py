"""Figures of a benchmark: a heat map of models and tasks, and accuracy against length."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import NullFormatter, NullLocator, PercentFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import CYCLE, GREY, LABEL, SMALL, TITLE, draw_chance, new_figure, save, tidy
from seqhub.records.bench import BenchRow

_COLOURS = LinearSegmentedColormap.from_list("score", colormaps["viridis"]([0.15, 0.4, 0.65, 0.9]))
_DARK = 0.6  # score below which text is white
_MISSING = "#f4f4f4"
_CELL = 0.42  # inches, height of a row of the heat map
_CELL_WIDTH, _NAME_WIDTH = 0.95, 1.9  # inches
_SIZES = {"parameters": 1.0, "state\n(floats)": 1.85, "ms a token": 3.2}  # right ends of the columns, in inches
_PANELS = 3  # in a row of the figure of lengths
_LONGEST_NAME = 36  # characters
_MARGIN = 1.3  # factor on the lengths at both ends of an axis
_MARKERS = "os^Dv<>"
_WIDTH_OF_A_CHARACTER = 0.62  # of the font size, on average


def plot_heat_map(rows: Sequence[BenchRow], compared: Mapping[str, str], path: Path, *, title: str) -> None:
    """Draw the median scaled score of each model on each task, with solved seeds and the sizes of the models.

    Missing and failed cells are hatched; the text of the latter is "failed".

    Args:
        rows: One row for each model and task.
        compared: Task -> name of the distribution that is shown.
        path: The PNG or SVG to write.
        title: Size and budget.

    Raises:
        InvalidInputError: There are no rows.
        SaveError: The file cannot be written.
    """
    if not rows:
        raise InvalidInputError(f"{path}: the benchmark has 0 rows; must have at least 1")
    tasks, models = (list(dict.fromkeys(row[name] for row in rows)) for name in ("task", "model"))
    found = {(row["model"], row["task"]): row for row in rows}
    names = max(_NAME_WIDTH, 0.085 * max(len(_shortened(model)) for model in models))
    width = names + _CELL_WIDTH * len(tasks) + max(_SIZES.values()) + 0.3
    figure = new_figure(_CELL * len(models) + 2.3, max(6.5, width))
    _write_title(figure, f"Median scaled score, {title}")
    axes = figure.subplots()
    for y, model in enumerate(models):
        for x, task in enumerate(tasks):
            _draw_cell(axes, x, y, found.get((model, task)), compared.get(task, ""))
        _draw_sizes(axes, len(tasks), y, [found[model, task] for task in tasks if (model, task) in found])
    axes.set_xlim(-0.5, len(tasks) - 0.5 + max(_SIZES.values()) / _CELL_WIDTH)
    axes.set_ylim(len(models) - 0.5, -0.5)
    labels = [f"{_end(task)}\n{_end(compared.get(task, ''))}" for task in tasks]
    axes.set_xticks(range(len(tasks)), labels, rotation=30, ha="left", fontsize=SMALL)
    axes.set_yticks(range(len(models)), map(_shortened, models), fontsize=LABEL)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for text, right in _SIZES.items():
        axes.text(
            len(tasks) - 0.5 + right / _CELL_WIDTH, -0.6, text,
            ha="right", va="bottom", fontsize=SMALL, color=GREY,
        )  # fmt: skip
    scores = [0.0, 0.25, 0.5, 0.75, 1.0]
    legend = [Patch(facecolor=_COLOURS(score), label=f"{score:g}") for score in scores]
    legend.append(Patch(facecolor=_MISSING, edgecolor="#bbbbbb", hatch="////", label="not run, or failed"))
    figure.legend(
        handles=legend, loc="outside lower left", ncols=6, fontsize=SMALL, frameon=False, handlelength=1.2,
        title="colour: median score, 0 at chance; digit: seeds solved (accuracy of at least 99 %)",
        title_fontsize=SMALL, alignment="left",
    )  # fmt: skip
    save(figure, path)


def _draw_cell(axes: Axes, x: int, y: int, row: BenchRow | None, name: str) -> None:
    result = None if row is None else row["distributions"].get(name)
    box: dict[str, Any] = {"xy": (x - 0.48, y - 0.46), "width": 0.96, "height": 0.92}
    if result is None or result["score"]["median"] is None:
        axes.add_patch(Rectangle(**box, facecolor=_MISSING, edgecolor="#bbbbbb", hatch="////", linewidth=0))
        if row is not None and row["failed"]:
            axes.text(
                x, y, "failed", ha="center", va="center", fontsize=SMALL, color="#333333",
                bbox={"facecolor": _MISSING, "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip
        return
    score = result["score"]["median"]
    axes.add_patch(Rectangle(**box, facecolor=_COLOURS(score), linewidth=0))
    axes.text(
        x, y, f"{result['solved']}/{result['seeds']}", ha="center", va="center", fontsize=LABEL,
        color="white" if score < _DARK else "black",
    )  # fmt: skip


def _draw_sizes(axes: Axes, x: int, y: int, rows: Sequence[BenchRow]) -> None:
    """Write the ranges of the sizes of a model over the tasks."""
    texts = (
        _range([row["parameters"] for row in rows if "parameters" in row]),
        _state([row["state_floats"] for row in rows if "state_floats" in row]),
        _range([row["ms_per_token"] for row in rows if "ms_per_token" in row]),
    )
    for right, text in zip(_SIZES.values(), texts, strict=True):
        axes.text(x - 0.5 + right / _CELL_WIDTH, y, text, ha="right", va="center", fontsize=SMALL)


def _range(values: Sequence[float]) -> str:
    """Return the range of numbers, rounded.

    >>> _range([50_160, 50_400]), _range([0.00123]), _range([])
    ('50k', '0.0012', '–')
    """
    if not values:
        return "–"
    low, high = short_number(min(values)), short_number(max(values))
    return low if low == high else f"{low}–{high}"


def _state(values: Sequence[Sequence[int] | None]) -> str:
    """Return the size of the state, or its sizes after 1 and 256 tokens if it grows.

    >>> _state([[220, 220]]), _state([[64, 16_384]]), _state([None])
    ('220', '64→16k', '–')
    """
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    first, last = (_range([value[at] for value in known]) for at in (0, -1))
    return first if first == last else f"{first}→{last}"


def _shortened(model: str) -> str:
    """Return a model id, or the beginning of a long one."""
    return model if len(model) <= _LONGEST_NAME else f"{model[: _LONGEST_NAME - 1]}…"


def _end(name: str) -> str:
    """Return a name, or the end of a long one, as of a path."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def short_number(value: float) -> str:
    """Return a number with two significant digits, or in thousands or millions.

    >>> short_number(220), short_number(50_160), short_number(1_234_000), short_number(0.00123)
    ('220', '50k', '1.2M', '0.0012')
    """
    for unit, size in (("M", 1e6), ("k", 1e4)):
        if value >= size:
            scaled = value / (1e6 if unit == "M" else 1e3)
            return f"{scaled:.1f}{unit}" if scaled < 10 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _write_title(figure: Any, text: str) -> None:
    """Write the title in as many lines as the width of the figure needs."""
    points = figure.get_figwidth() * 72
    lines = textwrap.wrap(text, max(20, int(points / (TITLE * _WIDTH_OF_A_CHARACTER))))
    figure.suptitle("\n".join(lines), fontsize=TITLE, x=0.01, ha="left")


def plot_bench_lengths(rows: Sequence[BenchRow], path: Path, *, title: str) -> None:
    """Draw accuracy against sequence length, with a panel for each task and a line for each model.

    A point is the median over the seeds on one distribution, with a bar for their range. The line joins the points; if
    several distributions have the same length, it follows the lowest one.

    Args:
        rows: One row for each model and task.
        path: The PNG or SVG to write.
        title: Size and budget.

    Raises:
        InvalidInputError: No row has results.
        SaveError: The file cannot be written.
    """
    shown = [row for row in rows if row["distributions"]]
    if not shown:
        raise InvalidInputError(f"{path}: no row of the benchmark has results")
    tasks, models = (list(dict.fromkeys(row[name] for row in shown)) for name in ("task", "model"))
    columns = min(_PANELS, len(tasks))
    lines = math.ceil(len(tasks) / columns)
    figure = new_figure(2.7 * lines + 1.0, max(5.0, 3.6 * columns))
    _write_title(figure, f"Accuracy by sequence length, {title}")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes in panels[len(tasks) :]:
        axes.set_visible(False)
    for axes, task in zip(panels, tasks, strict=False):
        members = [row for row in shown if row["task"] == task]
        draw_chance(axes, members[0]["distributions"].get("test", {"chance": None})["chance"])
        for row in members:
            _draw_line(axes, row, models.index(row["model"]), len(models))
        axes.set_title(_end(task), fontsize=LABEL, loc="left")
        axes.set_xscale("log")
        _label_lengths(axes, sorted({each["mean_length"] for row in members for each in row["distributions"].values()}))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_ylim(-0.02, 1.04)
        axes.set_xlabel("steps in a sequence (mean)", fontsize=SMALL)
        tidy(axes)
    for number, model in enumerate(models):
        colour, marker = _style(number)
        panels[0].plot([], [], color=colour, marker=marker, label=_shortened(model), linewidth=1.6, markersize=5)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, min(4, 90 // (4 + max(len(_shortened(model)) for model in models))))
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, fontsize=SMALL, frameon=False)
    save(figure, path)


def _draw_line(axes: Axes, row: BenchRow, number: int, count: int) -> None:
    colour, marker = _style(number)
    step = min(1.02, 1.2 ** (1 / count))  # so that equal points of several models are all seen, near their length
    shift = step ** (number - (count - 1) / 2)
    lowest: dict[float, float] = {}
    for result in row["distributions"].values():
        spread, length = result["accuracy"], result["mean_length"]
        if spread["median"] is None or spread["least"] is None or spread["most"] is None:
            continue
        median = spread["median"]
        axes.errorbar(
            length * shift, median, yerr=[[median - spread["least"]], [spread["most"] - median]],
            color=colour, marker=marker, markersize=5, linewidth=1, capsize=2, alpha=0.9,
        )  # fmt: skip
        lowest[length] = min(median, lowest.get(length, 1.0))
    points = sorted(lowest.items())
    axes.plot([length * shift for length, _ in points], [value for _, value in points], color=colour, linewidth=1.6)


def _label_lengths(axes: Axes, lengths: Sequence[float]) -> None:
    """Put ticks at the lengths, without those that would overlap."""
    ticks: list[float] = []
    for length in lengths:
        if not ticks or length > 1.25 * ticks[-1]:
            ticks.append(length)
    axes.set_xticks(ticks, [f"{length:.0f}" for length in ticks])
    axes.set_xlim(lengths[0] / _MARGIN, lengths[-1] * _MARGIN)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _style(number: int) -> tuple[str, str]:
    return CYCLE[number % len(CYCLE)], _MARKERS[number % len(_MARKERS)]

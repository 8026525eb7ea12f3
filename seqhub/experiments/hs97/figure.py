"""Figure of the training sequences to the stopping criterion, in a paper and for each seed of seqhub."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.records import PaperRecord

_RUNS = {"lstm": (BLUE, "modern LSTM"), "lstm_hs97": (VERMILION, "original (1997) LSTM, in part changed")}
_MODEL_OFFSET = 0.19  # distance between the models of a row, in rows
_TIE_OFFSET = 0.07  # distance between seeds with the same count, in rows
_SMALLEST = 1  # a count may be 0, which a logarithmic axis cannot show
_COLUMN_WIDTH = 32  # points
_ROW_HEIGHT, _MARGIN = 0.31, 1.6  # inches


def plot_paper(record: PaperRecord, path: Path) -> None:
    """Plot each row of a record on a logarithmic axis: the paper's mean, a dot for each seed, a bar for their median.

    The runs are those up to the criterion of the paper. A cross is the end of a seed that was not solved. The number of
    solved seeds is on the right.

    Args:
        record: Record with at least one row.
        path: PNG file to write.

    Raises:
        InvalidInputError: The record has no rows.
        SaveError: The file cannot be written.
    """
    if not record.rows:
        raise InvalidInputError(f"{path}: the record has 0 rows; must have at least 1")
    figure = new_figure(_ROW_HEIGHT * len(record.rows) + _MARGIN)
    axes = figure.subplots()
    figure.suptitle("Training sequences to the stopping criterion of 1997", fontsize=TITLE, x=0.01, ha="left")
    rows = {
        name: {model: stops["paper"] for model, stops in row["results"].items() if "paper" in stops}
        for name, row in record.rows.items()
    }
    models = [model for model in _RUNS if any(model in runs for runs in rows.values())]
    for number, (name, runs) in enumerate(rows.items()):
        if number % 2:
            axes.axhspan(number - 0.5, number + 0.5, color="#f5f5f5", linewidth=0, zorder=0)
        _draw_paper(axes, number, record.rows[name]["sequences"])
        for model in models:
            offset = _MODEL_OFFSET * (models.index(model) - (len(models) - 1) / 2)
            if model in runs:
                run, colour = runs[model], _RUNS[model][0]
                _draw_seeds(axes, number + offset, run, colour)
                solved = sum(count is not None for count in run["sequences"])
                _annotate(
                    axes, f"{solved}/{len(run['sequences']) + len(run['failed'])}", number, models.index(model), colour
                )
    _annotate(axes, "solved", -0.75, 0, GREY)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("training sequences", fontsize=LABEL)
    tidy(axes)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    unsolved = any(None in run["sequences"] for runs in rows.values() for run in runs.values())
    for label, marker, colour in (
        ("1997, mean", "D", GREY),
        *((f"{name}, each seed", "o", colour) for colour, name in map(_RUNS.__getitem__, models)),
        ("median of seeds", "|", GREY),
        *([("end of an unsolved seed", "x", GREY)] if unsolved else []),
    ):
        axes.plot(
            [], [], marker, color=colour, label=label, markersize={"D": 6, "|": 10}.get(marker, 4.5),
            markeredgewidth=2.2 if marker == "|" else 1, markerfacecolor="none" if marker == "D" else colour,
        )  # fmt: skip
    figure.legend(
        loc="outside lower left", fontsize=SMALL, frameon=False, ncols=3, handletextpad=0.3, columnspacing=1.2
    )
    save(figure, path, fingerprint(record))


def fingerprint(record: PaperRecord) -> str:
    """Return the SHA-256 of the plotted values; it is the `Source` of the figure, to identify its record."""
    return hashlib.sha256(json.dumps(record.rows, sort_keys=True).encode()).hexdigest()


def _annotate(axes: Axes, text: str, height: float, column: int, colour: str) -> None:
    """Write text to the right of the axes."""
    axes.annotate(
        text, (1, height), xycoords=("axes fraction", "data"), xytext=(4 + _COLUMN_WIDTH * column, 0),
        textcoords="offset points", va="center", color=colour, fontsize=SMALL - 1, annotation_clip=False,
    )  # fmt: skip


def _draw_paper(axes: Axes, height: float, sequences: int) -> None:
    axes.plot([sequences], [height], "D", color=GREY, markersize=6, markerfacecolor="none", zorder=3)


def _draw_seeds(axes: Axes, height: float, run: Mapping[str, Any], colour: str) -> None:
    """Draw dots, with those of equal counts above each other, crosses for unsolved seeds, and the median."""
    counts = sorted(count for count in run["sequences"] if count is not None)
    heights = [
        height + _TIE_OFFSET * (_rank_among_equal(counts, at) - (counts.count(counts[at]) - 1) / 2)
        for at in range(len(counts))
    ]
    axes.plot(
        [max(_SMALLEST, count) for count in counts],
        heights,
        "o",
        color=colour,
        markersize=4,
        alpha=0.7,
        mew=0,
        zorder=4,
    )
    ended = [seen for seen, count in zip(run["seen"], run["sequences"], strict=True) if count is None]
    axes.plot(ended, [height] * len(ended), "x", color=colour, markersize=5, zorder=4)
    if counts:
        middle = max(_SMALLEST, median(counts))
        axes.plot([middle, middle], [height - 0.32, height + 0.32], color=colour, linewidth=2.2, zorder=5)


def _rank_among_equal(counts: list[int], at: int) -> int:
    """Return the index of an element among the equal elements of a sorted list, from 0."""
    return at - counts.index(counts[at])

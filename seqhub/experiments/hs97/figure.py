"""The rows of a paper: training sequences to success, theirs beside every seed of ours."""

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

_RUNS = {"lstm": (BLUE, "LSTM of today"), "lstm_hs97": (VERMILION, "network of 1997, in part changed")}
_APART = 0.19  # rows from one kind of runs to the next
_SPREAD = 0.07  # rows between seeds that came to the same
_LEAST = 1  # a row of right sequences may begin with the first, which a logarithmic axis does not have
_COLUMN = 32  # points
_ROW, _REST = 0.31, 1.6  # inches


def plot_paper(record: PaperRecord, path: Path) -> None:
    """Draw each row of a record on a logarithmic axis: the paper's mean, a dot for each seed, a bar for their median.

    The runs are those up to the criterion of the paper. A seed that was not solved is a cross where it ended, and how
    many were solved stands on the right.

    Args:
        record: With one row or more.
        path: The PNG to write.

    Raises:
        InvalidInputError: There is no row.
        SaveError: The file cannot be written.
    """
    if not record.rows:
        raise InvalidInputError(f"no rows for {path}; need one or more")
    figure = new_figure(_ROW * len(record.rows) + _REST)
    axes = figure.subplots()
    figure.suptitle("Training sequences to success, by the criteria of 1997", fontsize=TITLE, x=0.01, ha="left")
    rows = {
        name: {model: stops["paper"] for model, stops in facts["results"].items() if "paper" in stops}
        for name, facts in record.rows.items()
    }
    models = [model for model in _RUNS if any(model in runs for runs in rows.values())]
    for number, (name, runs) in enumerate(rows.items()):
        if number % 2:
            axes.axhspan(number - 0.5, number + 0.5, color="#f5f5f5", linewidth=0, zorder=0)
        _draw_paper(axes, number, record.rows[name]["sequences"])
        for model in models:
            offset = _APART * (models.index(model) - (len(models) - 1) / 2)
            if model in runs:
                run, colour = runs[model], _RUNS[model][0]
                _draw_seeds(axes, number + offset, run, colour)
                solved = sum(count is not None for count in run["sequences"])
                _write(
                    axes, f"{solved}/{len(run['sequences']) + len(run['failed'])}", number, models.index(model), colour
                )
    _write(axes, "solved", -0.75, 0, GREY)
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
        *([("not solved, where it ended", "x", GREY)] if unsolved else []),
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
    """Return the SHA-256 of the drawn values; a picture holds it as `Source`, which ties it to its record."""
    return hashlib.sha256(json.dumps(record.rows, sort_keys=True).encode()).hexdigest()


def _write(axes: Axes, text: str, height: float, column: int, colour: str) -> None:
    """Beside the axes."""
    axes.annotate(
        text, (1, height), xycoords=("axes fraction", "data"), xytext=(4 + _COLUMN * column, 0),
        textcoords="offset points", va="center", color=colour, fontsize=SMALL - 1, annotation_clip=False,
    )  # fmt: skip


def _draw_paper(axes: Axes, height: float, sequences: int) -> None:
    axes.plot([sequences], [height], "D", color=GREY, markersize=6, markerfacecolor="none", zorder=3)


def _draw_seeds(axes: Axes, height: float, run: Mapping[str, Any], colour: str) -> None:
    """Dots of seeds that came to the same count stand one above the other."""
    counts = sorted(count for count in run["sequences"] if count is not None)
    heights = [height + _SPREAD * (_nth(counts, at) - (counts.count(counts[at]) - 1) / 2) for at in range(len(counts))]
    axes.plot(
        [max(_LEAST, count) for count in counts], heights, "o", color=colour, markersize=4, alpha=0.7, mew=0, zorder=4
    )
    ended = [seen for seen, count in zip(run["seen"], run["sequences"], strict=True) if count is None]
    axes.plot(ended, [height] * len(ended), "x", color=colour, markersize=5, zorder=4)
    if counts:
        middle = max(_LEAST, median(counts))
        axes.plot([middle, middle], [height - 0.32, height + 0.32], color=colour, linewidth=2.2, zorder=5)


def _nth(counts: list[int], at: int) -> int:
    """Which of the equal counts of a sorted list this is, from 0 on."""
    return at - counts.index(counts[at])

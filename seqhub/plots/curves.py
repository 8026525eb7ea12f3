"""Learning curves: loss and accuracy against the training sequences presented."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, GREEN, LABEL, SMALL, TITLE, VERMILION, draw_chance, legible, new_figure, save, tidy

_LOG_RANGE = 3  # smallest ratio of the losses for a log axis
_FEW_DECADES = 2  # below, the axis has ticks at 1, 2 and 5


def plot_curves(
    history: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str,
    criteria: Mapping[str, int | None],
    chance: float | None,
    loss_unit: str = "nats",
) -> None:
    """Draw loss above training and validation accuracy, with a mark where each criterion was met.

    The loss has a log axis if it changes by a factor of three or more.

    Args:
        history: Rows of `history.jsonl`, in order; values may be None where a row has no such measurement.
        path: The PNG to write.
        title: One line above the figure.
        criteria: Criterion -> training sequences presented until it was met, None if it was not.
        chance: Accuracy of the best guess that ignores the input, in [0, 1]; None for targets without classes.
        loss_unit: Unit of the loss.

    Raises:
        InvalidInputError: There are no rows.
        SaveError: The file cannot be written.
    """
    if not history:
        raise InvalidInputError(f"no rows of history for {path}; a curve needs at least one")
    figure = new_figure(5.0)
    loss, accuracy = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.15))
    figure.suptitle(legible(title), fontsize=TITLE, x=0.01, ha="left")

    losses, validated = _column(history, "loss"), _column(history, "validation_loss")
    loss.plot(*losses, color=BLUE, linewidth=1.4)
    if validated[0]:
        loss.plot(*validated, color=VERMILION, linewidth=0, marker="o", markersize=3.5)
    positive = [value for value in (*losses[1], *validated[1]) if value > 0]  # float32 probabilities reach exactly 1
    if positive and max(positive) >= _LOG_RANGE * min(positive):  # a smaller range would have no round numbers
        loss.set_yscale("log")
        decades = math.log10(max(positive) / min(positive))
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < _FEW_DECADES else (1,)))
        loss.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        loss.yaxis.set_minor_formatter(NullFormatter())
    loss.set_ylabel(f"{'loss' if validated[0] else 'training loss'} ({loss_unit})", fontsize=LABEL)

    draw_chance(accuracy, chance)
    accuracy.plot(*_column(history, "accuracy"), color=BLUE, linewidth=1.4, label="training sequences")
    validation = _column(history, "validation_accuracy")
    if validation[0]:
        accuracy.plot(
            *validation, color=VERMILION, linewidth=0, marker="o", markersize=3.5, label="validation sequences"
        )
    accuracy.set_ylim(0, 1.04)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    accuracy.set_ylabel("accuracy", fontsize=LABEL)
    accuracy.set_xlabel("training sequences presented", fontsize=LABEL)
    accuracy.xaxis.set_major_formatter(EngFormatter(sep=""))
    accuracy.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=2, fontsize=SMALL, frameon=False)

    for axes in (loss, accuracy):
        tidy(axes)
        axes.set_xlim(left=0)
    _mark(loss, accuracy, {name: at for name, at in criteria.items() if at is not None})
    save(figure, path)


def _column(history: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Return sequences and values of the rows that have `name`."""
    rows = [(row["sequences"], row[name]) for row in history if row.get(name) is not None]
    return [at for at, _ in rows], [value for _, value in rows]


def _mark(loss: Axes, accuracy: Axes, met: Mapping[str, int]) -> None:
    """Draw a line through both panels for each criterion, named above the upper one; the first met is lowest."""
    for number, (name, at) in enumerate(sorted(met.items(), key=lambda item: item[1])):
        for axes in (loss, accuracy):
            axes.axvline(at, color=GREEN, linewidth=1.2, linestyle=(0, (4, 2)))
        right_half = at > sum(loss.get_xlim()) / 2
        loss.annotate(
            f"{name} met at {at:,}", (at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + 12 * number),
            textcoords="offset points", ha="right" if right_half else "left", color=GREEN, fontsize=SMALL,
        )  # fmt: skip

"""Figure of a learning-rate range test: the loss of each step against its learning rate."""

from collections.abc import Sequence
from pathlib import Path

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, GREEN, GREY, LABEL, SMALL, TITLE, new_figure, save, tidy


def plot_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    path: Path,
    *,
    title: str,
    loss_unit: str,
    marked: float | None,
) -> None:
    """Draw the loss of every step and its moving average against the learning rate, on a log axis.

    Args:
        rates: Learning rate of each step, above 0.
        losses: Loss of each step.
        smoothed: Moving average of the loss at each step.
        path: The PNG to write.
        title: One line above the figure.
        loss_unit: Unit of the loss.
        marked: The rate at which the loss falls fastest; None for no mark.

    Raises:
        InvalidInputError: There are fewer than two steps.
        SaveError: The file cannot be written.
    """
    if len(rates) < 2:
        raise InvalidInputError(f"{len(rates)} steps for {path}; a curve needs two or more")
    figure = new_figure(3.4)
    axes = figure.subplots()
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    axes.plot(rates, losses, color=GREY, linewidth=0.8, alpha=0.6, label="each batch")
    axes.plot(rates, smoothed, color=BLUE, linewidth=1.8, label="moving average")
    low, high = min(losses), max(smoothed)
    axes.set_ylim(
        max(0.0, low - 0.1 * (high - low)), low + 1.15 * (high - low)
    )  # the loss of the last batch may be far above all others
    axes.set_xscale("log")
    axes.set_xlim(rates[0], rates[-1])
    axes.set_xlabel("learning rate", fontsize=LABEL)
    axes.set_ylabel(f"training loss ({loss_unit})", fontsize=LABEL)
    tidy(axes)
    if marked is not None:
        axes.axvline(marked, color=GREEN, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.annotate(
            f"falls fastest at {marked:.2g}", (marked, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", color=GREEN, fontsize=SMALL,
        )  # fmt: skip
    axes.legend(loc="lower left", fontsize=SMALL, frameon=False)
    save(figure, path)

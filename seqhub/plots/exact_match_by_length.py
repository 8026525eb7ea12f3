"""Figure of the exact match of an encoder-decoder against the number of steps of the source."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy


class ExactMatch(NamedTuple):
    """Share of the targets of one length that are generated without an error, with its 95 % interval."""

    share: float
    low: float
    high: float
    trained: bool  # whether the training rows have this length


def plot_exact_match(found: Mapping[int, ExactMatch], path: Path, *, title: str) -> None:
    """Draw the exact match for each number of steps of the source, with 95 % intervals.

    Args:
        found: Number of steps -> exact match.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        InvalidInputError: There are no lengths.
        SaveError: The file cannot be written.
    """
    if not found:
        raise InvalidInputError("no exact matches by length; need at least one length")
    figure = new_figure(3.4)
    axes = figure.subplots()
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    for trained, color, label in ((True, VERMILION, "lengths of training"), (False, BLUE, "other lengths")):
        part = {length: each for length, each in found.items() if each.trained == trained}
        if not part:
            continue
        below = [max(0.0, each.share - each.low) for each in part.values()]
        above = [max(0.0, each.high - each.share) for each in part.values()]
        axes.errorbar(
            list(part), [each.share for each in part.values()], yerr=[below, above], color=color, marker="o",
            markersize=4, linewidth=1.2, capsize=2, label=label,
        )  # fmt: skip
    axes.set_xlabel("steps of the source", fontsize=LABEL)
    axes.set_ylabel("test exact match, 95 % interval", fontsize=LABEL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.02, 1.04)
    tidy(axes)
    axes.legend(loc="best", fontsize=SMALL, frameon=False)
    save(figure, path)

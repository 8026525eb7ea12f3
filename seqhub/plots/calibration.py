"""Reliability diagram: accuracy of predictions against their probability."""

from pathlib import Path

from matplotlib.ticker import PercentFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, GREY, LABEL, SMALL, TITLE, legible, new_figure, save, tidy
from seqhub.records.run import CalibrationMetrics

_FEW = 5  # predictions below which a bar is drawn lighter


def plot_calibration(metrics: CalibrationMetrics, path: Path, *, title: str) -> None:
    """Draw the accuracy of the most probable class against its probability, and the number of predictions below.

    Args:
        metrics: Calibration of a split, from its evaluation.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        InvalidInputError: No predictions.
        SaveError: The file cannot be written.
    """
    counts = metrics["counts"]
    if not sum(counts):
        raise InvalidInputError(f"no predictions for {path}; a reliability diagram needs at least one")
    width = 1 / len(counts)
    middles = [(number + 0.5) * width for number in range(len(counts))]
    figure = new_figure(4.6)
    figure.suptitle(legible(title), fontsize=TITLE, x=0.01, ha="left")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 2)), label="perfect calibration")
    for middle, count, accuracy, confidence in zip(
        middles, counts, metrics["accuracy"], metrics["confidence"], strict=True
    ):
        if count:
            upper.bar(middle, accuracy, width * 0.92, color=BLUE, alpha=0.35 if count < _FEW else 0.8)
            upper.plot([confidence], [accuracy], color="black", marker="o", markersize=3.5)
    upper.set_ylim(0, 1.04)
    upper.set_ylabel("share right", fontsize=LABEL)
    upper.yaxis.set_major_formatter(PercentFormatter(1))
    error = f"expected calibration error {metrics['error']:.1%} of {sum(counts):,} predictions"
    upper.set_title(error, fontsize=SMALL, loc="left")
    upper.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, fontsize=SMALL, frameon=False)
    lower.bar(middles, counts, width * 0.92, color=GREY)
    lower.set_ylabel("predictions", fontsize=LABEL)
    lower.set_xlabel("probability of the predicted class (bars: bins, dots: their mean)", fontsize=LABEL)
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    lower.set_xlim(0, 1)
    for axes in (upper, lower):
        tidy(axes)
    save(figure, path)

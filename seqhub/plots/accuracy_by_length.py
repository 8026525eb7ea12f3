"""Figure of test accuracy against sequence length, at every level of a task."""

import math
from collections.abc import Mapping
from pathlib import Path

from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, PercentFormatter, ScalarFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, LABEL, SMALL, TITLE, VERMILION, draw_chance, new_figure, save, tidy
from seqhub.records import RunRecord
from seqhub.records.run import SplitMetrics

_AXES_WIDTH = 440  # of the axes between the outer levels, in points
_LETTER, _LINE = 6, 12  # width of a letter and height of a line, in points


def levels(record: RunRecord) -> dict[str, SplitMetrics]:
    """Return test metrics of each level if there are levels of different lengths to compare, else an empty dict."""
    results = _results(record)
    return results if len({metrics["mean_length"] for metrics in results.values()}) > 1 else {}


def _results(record: RunRecord) -> dict[str, SplitMetrics]:
    """Return test metrics of each tested level, in the order of the task."""
    task, trained = record.task.definition, record.task.config
    names = [
        *(config.name for config in task.configs),
        *(f"{trained.name}@{name}" for name in task.test_distributions(trained)),
    ]
    keys = {name: "test" if name == trained.name else f"{name}/test" for name in names}
    return {name: record.evaluation[key] for name, key in keys.items() if key in record.evaluation}


def _label_rows(results: Mapping[str, SplitMetrics]) -> dict[str, int]:
    """Return the line of the label of each level above the axes, from 0, so that no two labels collide."""
    means = {name: math.log10(max(1.0, metrics["mean_length"])) for name, metrics in results.items()}
    scale = _AXES_WIDTH / max(1e-9, max(means.values()) - min(means.values()))  # points in a decade
    ends: list[float] = []  # right end of the last label of each line, in points
    rows = {}
    for name in sorted(means, key=means.__getitem__):
        half = _LETTER * max(len(name.rpartition("@")[2]), len("(trained)")) / 2
        left, right = means[name] * scale - half, means[name] * scale + half
        row = next((number for number, end in enumerate(ends) if end <= left), len(ends))
        ends[row : row + 1] = [right]
        rows[name] = 2 * row  # a label has up to two lines
    return rows


def plot_lengths(record: RunRecord, path: Path) -> None:
    """Draw test accuracy against sequence length, one point for each level that was tested.

    Where each sequence counts as one answer, the points have 95 % intervals.

    Args:
        record: Record of a run with `test`, and `LEVEL/test` for each other level, in its evaluation.
        path: The PNG to write.

    Raises:
        InvalidInputError: The record has no test results.
        SaveError: The file cannot be written.
    """
    task, trained = record.task.definition, record.task.config
    results = _results(record)
    if not results:
        raise InvalidInputError(f"no test results in run {record.name}; its evaluation needs 'test' or 'LEVEL/test'")

    figure = new_figure(3.6)
    axes = figure.subplots()
    figure.suptitle(f"{record.name}: accuracy by sequence length", fontsize=TITLE, x=0.01, ha="left")
    draw_chance(axes, task.chance(trained))
    rows = _label_rows(results)
    for name, result in results.items():
        color = VERMILION if name == trained.name else BLUE
        (shortest, longest), mean, accuracy = result["length"], result["mean_length"], result["accuracy"]
        low, high = result.get("interval", (accuracy, accuracy))
        axes.errorbar(
            mean, accuracy, xerr=[[mean - shortest], [longest - mean]], yerr=[[accuracy - low], [high - accuracy]],
            color=color, marker="o", markersize=6, linewidth=1.4, capsize=3,
        )  # fmt: skip
        label = f"{name}\n(trained)" if name == trained.name else name.rpartition("@")[2]
        axes.annotate(
            label, (mean, 1), xycoords=("data", "axes fraction"), xytext=(0, 4 + _LINE * rows[name]),
            textcoords="offset points", ha="center", va="bottom", color=color, fontsize=SMALL,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("steps in a sequence (shortest, mean, longest)", fontsize=LABEL)
    with_interval = all("interval" in result for result in results.values())
    axes.set_ylabel(f"test accuracy{', 95 % interval' if with_interval else ''}", fontsize=LABEL)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1.04)
    tidy(axes)
    save(figure, path)

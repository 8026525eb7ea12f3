"""How far a run carries: accuracy at every level of a task, most of them never trained on."""

from pathlib import Path

from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, PercentFormatter, ScalarFormatter

from seqhub.errors import InvalidInputError
from seqhub.plots.canvas import BLUE, LABEL, SMALL, TITLE, VERMILION, draw_chance, new_figure, save, tidy
from seqhub.records import RunRecord
from seqhub.tasks.registry import resolve


def plot_lengths(record: RunRecord, path: Path) -> None:
    """Draw test accuracy with its 95 % interval against sequence length, one point for each level that was tested.

    Args:
        record: Its evaluation holds `test`, and `LEVEL/test` for each other level.
        path: The PNG to write.

    Raises:
        InvalidInputError: The record holds no test result.
        SaveError: The file cannot be written.
    """
    task, trained = resolve(record.address)
    keys = {name: "test" if name == trained.name else f"{name}/test" for name in (c.name for c in task.configs)}
    results = {name: record.evaluation[key] for name, key in keys.items() if key in record.evaluation}
    if not results:
        raise InvalidInputError(f"no test results in run {record.name}; its evaluation needs 'test' or 'LEVEL/test'")

    figure = new_figure(3.6)
    axes = figure.subplots()
    figure.suptitle(f"{record.name}: accuracy by sequence length", fontsize=TITLE, x=0.01, ha="left")
    draw_chance(axes, task.chance(trained))
    for name, result in results.items():
        color = VERMILION if name == trained.name else BLUE
        low, high = result["interval"]
        (shortest, longest), mean, accuracy = result["length"], result["mean_length"], result["accuracy"]
        axes.errorbar(
            mean, accuracy, xerr=[[mean - shortest], [longest - mean]], yerr=[[accuracy - low], [high - accuracy]],
            color=color, marker="o", markersize=6, linewidth=1.4, capsize=3,
        )  # fmt: skip
        axes.annotate(
            f"{name}\n(trained)" if name == trained.name else name, (mean, 1.04), xycoords=("data", "axes fraction"),
            ha="center", va="bottom", color=color, fontsize=SMALL,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("steps in a sequence (shortest, mean, longest)", fontsize=LABEL)
    axes.set_ylabel("test accuracy, 95 % interval", fontsize=LABEL)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1.04)
    tidy(axes)
    save(figure, path)

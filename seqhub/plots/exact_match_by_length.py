"""Figure of the exact match of an encoder-decoder against the number of steps of the source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator, PercentFormatter

from seqhub.errors import InvalidInputError
from seqhub.metrics.intervals import wilson_interval
from seqhub.plots.style import BLUE, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.records import RunRecord

_LEAST = 10  # sequences of a length; fewer have no point


def counts_by_length(record: RunRecord) -> dict[int, tuple[int, int, bool]]:
    """Return number of steps -> right sequences, all sequences, and whether training had this length.

    The rows are those of the test split and of the test distributions; lengths with few rows are omitted. Empty if the
    target is not a sequence.
    """
    counts: dict[int, list[int]] = {}
    shortest, longest = record.evaluation.get("test", {}).get("length", (0, 0))
    for split, metrics in record.evaluation.items():
        if split == "test" or "@" in split:
            by_length: Mapping[str, Any] = metrics.get("by_length", {})
            for length, found in by_length.items():
                before = counts.setdefault(int(length), [0, 0])
                counts[int(length)] = [before[0] + found["correct"], before[1] + found["total"]]
    return {
        length: (right, total, shortest <= length <= longest)
        for length, (right, total) in sorted(counts.items())
        if total >= _LEAST
    }


def plot_exact_match(record: RunRecord, path: Path) -> None:
    """Draw the exact match for each number of steps of the source, with 95 % intervals.

    Args:
        record: Record of a run whose target is a sequence, after its evaluation.
        path: The PNG to write.

    Raises:
        InvalidInputError: The record has no counts by length.
        SaveError: The file cannot be written.
    """
    counts = counts_by_length(record)
    if not counts:
        raise InvalidInputError(f"no exact matches by length in run {record.name}; evaluate it again")
    figure = new_figure(3.4)
    axes = figure.subplots()
    figure.suptitle(f"{record.name}: exact match by length of the source", fontsize=TITLE, x=0.01, ha="left")
    for trained, color, label in ((True, VERMILION, "lengths of training"), (False, BLUE, "other lengths")):
        part = {length: (right, total) for length, (right, total, known) in counts.items() if known == trained}
        if not part:
            continue
        shares = [right / total for right, total in part.values()]
        bounds = [wilson_interval(right, total) for right, total in part.values()]
        below = [max(0.0, share - low) for share, (low, _) in zip(shares, bounds, strict=True)]
        above = [max(0.0, high - share) for share, (_, high) in zip(shares, bounds, strict=True)]
        axes.errorbar(
            list(part), shares, yerr=[below, above], color=color, marker="o", markersize=4, linewidth=1.2, capsize=2,
            label=label,
        )  # fmt: skip
    axes.set_xlabel("steps of the source", fontsize=LABEL)
    axes.set_ylabel("test exact match, 95 % interval", fontsize=LABEL)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(-0.02, 1.04)
    tidy(axes)
    axes.legend(loc="best", fontsize=SMALL, frameon=False)
    save(figure, path)

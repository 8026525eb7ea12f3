"""Confusion matrix as a heat map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.plots.style import LABEL, SMALL, TITLE, WIDTH, class_names, legible, new_figure, save

_MOST_NUMBERS = 20  # classes up to which the counts are written
_MOST_NAMES = 60  # classes up to which they are named


def plot_confusion(confusion: Sequence[Sequence[int]], labels: Sequence[str], path: Path, *, title: str) -> None:
    """Draw how often each class was predicted, as shares of the rows of each target.

    Counts are written for up to 20 classes, and names for up to 60.

    Args:
        confusion: (C, C), counts by target and by prediction.
        labels: C class names.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        InvalidInputError: Another shape.
        SaveError: The file cannot be written.
    """
    counts, size = np.array(confusion, np.int64), len(labels)
    if counts.shape != (size, size) or not size:
        raise InvalidInputError(f"confusion matrix of shape {counts.shape} for {size} labels; must be square")
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    height = min(8.0, 2.2 + 0.3 * size)
    figure = new_figure(height, min(WIDTH, height + 2.6))
    figure.suptitle(legible(title), fontsize=TITLE, x=0.01, ha="left")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if size <= _MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=SMALL - 1)
    size_of_names = SMALL if size <= _MOST_NUMBERS else max(4.5, SMALL - (size - _MOST_NUMBERS) / 8)
    names = class_names(labels) if size <= _MOST_NAMES else []
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size_of_names)
    axes.set_yticks(range(len(names)), names, fontsize=size_of_names)
    axes.set_xlabel("predicted", fontsize=LABEL)
    axes.set_ylabel("target", fontsize=LABEL)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("share of the target", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    save(figure, path)

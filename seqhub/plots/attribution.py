"""Attribution of an output to the values of a series: gradient times input, by channel and step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.plots.style import BLUE, LABEL, SMALL, TITLE, VERMILION, class_names, legible, new_figure, save, tidy

_MOST_CHANNELS = 30  # named
_MOST_STEPS = 500  # longer series are cut off with a mark

Floats = NDArray[np.floating[Any]]


def plot_attribution(
    values: Floats, gradient: Floats, channels: Sequence[str], path: Path, *, title: str, output: str
) -> None:
    """Draw gradient times input of each value as a heat map, and its sum over the steps for each channel.

    The product is the change of the output, to first order, that replacing the value by 0 would undo; after scaling, 0
    is the mean of the channel in the training rows.

    Args:
        values: (T, F), the series that the model reads.
        gradient: (T, F), gradient of the output with respect to each value, see `plots.trace.Trace`.
        channels: F names.
        path: The PNG to write.
        title: One line above the figure.
        output: Name of the output.

    Raises:
        InvalidInputError: Shapes that differ.
        SaveError: The file cannot be written.
    """
    if values.shape != gradient.shape or values.ndim != 2 or values.shape[1] != len(channels):
        raise InvalidInputError(f"values {values.shape}, gradient {gradient.shape} and {len(channels)} channels")
    product = values * gradient
    sums, total, steps = product.sum(axis=0), len(values), min(len(values), _MOST_STEPS)
    product = product[:steps]
    limit = float(np.abs(product).max()) or 1.0
    rows = len(channels)
    figure = new_figure(2.0 + min(6.0, max(1.0, 0.22 * rows)))
    figure.suptitle(legible(title), fontsize=TITLE, x=0.01, ha="left")
    heat, bars = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    image = heat.imshow(product.T, aspect="auto", cmap="PuOr_r", vmin=-limit, vmax=limit, interpolation="nearest",
                        extent=(-0.5, steps - 0.5, rows - 0.5, -0.5))  # fmt: skip
    if rows <= _MOST_CHANNELS:
        heat.set_yticks(range(rows), class_names(channels))
    heat.set_ylabel("channel", fontsize=LABEL)
    cut = f" (the first {steps:,} of {total:,} …)" if total > steps else ""
    heat.set_xlabel(f"step{cut}", fontsize=LABEL)
    heat.set_title(f"gradient × input, {legible(output)}", fontsize=SMALL, loc="left")
    bar = figure.colorbar(image, ax=heat, location="bottom", aspect=40, pad=0.02)
    bar.ax.tick_params(labelsize=SMALL)
    bars.barh(range(rows), sums, color=[VERMILION if value > 0 else BLUE for value in sums])
    bars.axvline(0, color="black", linewidth=0.8)
    bars.set_xlabel("sum over steps", fontsize=LABEL)
    bars.locator_params(axis="x", nbins=3)
    for axes in (heat, bars):
        tidy(axes, grid=False)
    bars.tick_params(axis="y", left=False, labelleft=False)
    save(figure, path)

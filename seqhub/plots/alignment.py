"""Figure of the attention of an encoder-decoder: source steps against the symbols that it generates."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from seqhub.errors import InvalidInputError
from seqhub.plots.style import LABEL, SMALL, TITLE, new_figure, save, shorten, tidy
from seqhub.plots.trace import Floats

_LETTERS = 8  # of a symbol on an axis
_MOST_NAMED = 60  # source symbols; of more, only their numbers are shown


def plot_alignment(
    source: Sequence[str] | Floats, target: Sequence[str], weights: Floats, path: Path, *, title: str
) -> None:
    """Draw the attention weights as a heat map: a row for each generated symbol, a column for each step of the source.

    Args:
        source: Symbols of the source, T of them; or real values (T, F), drawn above the map as an image.
        target: Generated symbols with the end, S of them.
        weights: (S, T), attention of each generated symbol; rows sum to 1.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        InvalidInputError: Weights of another shape, or no generated symbol.
        SaveError: The file cannot be written.
    """
    if weights.shape != (len(target), len(source)) or not len(target):
        raise InvalidInputError(f"weights {weights.shape} for {len(target)} symbols and {len(source)} steps")
    values = source if isinstance(source, np.ndarray) else None
    height = 1.5 + max(1.0, 0.24 * len(target))
    if values is None:
        figure = new_figure(height)
        below: Axes = figure.subplots()
    else:
        figure = new_figure(height + 1.0)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, height - 1.0))
        above.imshow(values.T, cmap="gray_r", aspect="auto", interpolation="nearest")
        above.set_ylabel("source", fontsize=LABEL)
        tidy(above, grid=False)
        above.set_yticks([])
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    image = below.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    below.set_yticks(range(len(target)), [shorten(_shown(symbol), 2 * _LETTERS) for symbol in target])
    if values is None and len(source) <= _MOST_NAMED:
        names = [shorten(_shown(str(symbol)), _LETTERS) for symbol in source]
        upright = max(map(len, names)) * len(names) > 2 * _MOST_NAMED
        below.set_xticks(range(len(names)), names, rotation=90 if upright else 0)
    below.set_xlabel("step of the source", fontsize=LABEL)
    below.set_ylabel("generated symbol", fontsize=LABEL)
    tidy(below, grid=False)
    bar = figure.colorbar(image, ax=below, pad=0.01, aspect=20, ticks=[0, 0.5, 1])
    bar.set_label("attention", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    save(figure, path)


def _shown(symbol: str) -> str:
    """Return a symbol for an axis; a space would be invisible."""
    return "␣" if symbol == " " else symbol

"""Figure of the hidden states of a network over the steps of one sequence."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.plots.style import CYCLE, LABEL, SMALL, TITLE, class_names, legible, new_figure, save, tidy

_LEGIBLE = 120  # letters that fit into the width of a card
_INCHES_PER_UNIT, _MOST_INCHES = 0.16, 5.0
_IN_BAR_COLUMN = 4  # letters of a name that fit into the column of the colour bars
_MOST_LINES = 8  # beyond this number, features or classes are drawn as a heat map: lines would be indistinguishable
_MOST_NAMES = 30  # rows of a heat map that are named
_MOST_STEPS = 500  # longer sequences are cut off with a mark

Floats = NDArray[np.floating[Any]]


def plot_states(
    inputs: Sequence[str] | Floats,
    states: Mapping[str, Floats],
    path: Path,
    *,
    title: str,
    readout: Floats | None,
    labels: Sequence[str],
    marked: Collection[int] = (),
) -> None:
    """Draw each state as a heat map over time, one unit a row, with the input above and the readout below.

    Symbols are written out up to 120 letters; of longer sequences only the first, the last and the marked ones. Real
    values are lines, or a heat map where there are more than 8 at a step. Of more than 500 steps, the first 500 are
    drawn, with a mark at the end.

    Args:
        inputs: The sequence: T symbols, or values (T, F).
        states: Name -> (T, H), value of each unit after each step; each map has its own colour scale around 0.
        path: The PNG to write.
        title: One line above the figure.
        readout: (T, C) probabilities, or (T, 1) estimates of a number, see `plots.trace.Trace`; None omits it.
        labels: C class names; empty for a number.
        marked: Steps, counted from 0, whose symbols decide the class.

    Raises:
        InvalidInputError: Lengths that differ, or steps outside the sequence.
        SaveError: The file cannot be written.
    """
    _check(inputs, states, readout, labels, marked)
    total, T = len(inputs), min(len(inputs), _MOST_STEPS)
    inputs, states = inputs[:T], {name: state[:T] for name, state in states.items()}
    readout = None if readout is None else readout[:T]
    marked = [step for step in sorted(marked) if step < T]
    values = inputs if isinstance(inputs, np.ndarray) else None
    heights = [
        _height(values),
        *(min(_MOST_INCHES, max(1.0, _INCHES_PER_UNIT * each.shape[1])) for each in states.values()),
    ]
    if readout is not None:
        heights.append(max(1.3, _height(readout, named=bool(labels))))
    figure = new_figure(sum(heights) + 0.9)
    figure.suptitle(legible(title), fontsize=TITLE, x=0.01, ha="left")
    panels: list[Axes] = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[
        :, 0
    ].tolist()

    if values is None:
        _write_symbols(panels[0], list(inputs), marked)
    else:
        _draw_values(panels[0], values, [""] * values.shape[1], "input")
    for axes, (name, state) in zip(panels[1:], states.items(), strict=False):
        limit = float(np.abs(state).max()) or 1.0
        image = axes.imshow(
            state.T, aspect="auto", cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest",
            extent=(-0.5, T - 0.5, state.shape[1] + 0.5, 0.5),
        )  # fmt: skip
        axes.set_ylabel(f"{name} unit", fontsize=LABEL)
        axes.set_yticks([1, state.shape[1]] if state.shape[1] > 1 else [1])
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12, ticks=[-limit, 0, limit])
        bar.ax.set_yticklabels([f"{-limit:.2g}", "0", f"{limit:.2g}"], fontsize=SMALL)
        bar.outline.set_visible(False)
    if readout is not None:
        _draw_values(panels[-1], readout, labels or [""], "probability" if labels else "estimate")
        if labels and not panels[-1].images:
            panels[-1].set_ylim(-0.03, 1.03)
    for axes in panels[0 if values is not None else 1 :]:
        tidy(axes, grid=False)
        if len(axes.get_yticks()) > _MOST_LINES and axes.images:
            axes.tick_params(axis="y", labelsize=SMALL - 2)
        halo = [withStroke(linewidth=2.2, foreground="white")] if axes.images else []  # visible on any colour
        for step in marked:
            axes.axvline(step, color="black", linewidth=0.8, path_effects=halo)
    cut = f" (the first {T:,} of {total:,})" if total > T else ""
    panels[-1].set_xlabel(f"step{cut}", fontsize=LABEL)
    if cut:
        for axes in (panels[0], panels[-1]):  # the others have colour bars there
            mark = axes.annotate(
                "…", (1, 0.5), xycoords="axes fraction", xytext=(2, 0), textcoords="offset points", ha="left",
                va="center", fontsize=TITLE, annotation_clip=False,
            )  # fmt: skip
            mark.set_in_layout(False)
    panels[-1].set_xlim(-0.5, T - 0.5)
    save(figure, path)


def _check(
    inputs: Sequence[str] | Floats,
    states: Mapping[str, Floats],
    readout: Floats | None,
    labels: Sequence[str],
    marked: Collection[int],
) -> None:
    T = len(inputs)
    for name, state in states.items():
        if state.ndim != 2 or len(state) != T:
            raise InvalidInputError(f"state {name!r} of shape {state.shape} for {T} steps; must be ({T}, units)")
    if readout is not None and readout.shape != (T, len(labels) or 1):
        raise InvalidInputError(f"readout {readout.shape} for {T} steps and {len(labels)} labels")
    outside = [step for step in marked if not 0 <= step < T]
    if not states or outside:
        wrong = f"marked steps {outside} of {T}" if outside else "no states"
        raise InvalidInputError(f"{wrong}; must have at least one state, and marked steps from 0 to {T - 1}")


def _height(values: Floats | None, *, named: bool = False) -> float:
    """Return the height of the input or the readout in inches; rows with names are as high as these."""
    if values is None:
        return 0.35
    rows: int = values.shape[1]
    if rows <= _MOST_LINES:
        return 1.0
    return 0.13 * rows if named and rows <= _MOST_NAMES else max(1.0, min(3.0, 0.06 * rows))


def _write_symbols(axes: Axes, symbols: Sequence[str], marked: Sequence[int]) -> None:
    """Write the sequence as text; marked symbols are raised and boxed."""
    axes.set_axis_off()
    symbols = [legible(symbol) for symbol in symbols]
    letters = len(symbols) * max(map(len, symbols))  # all symbols take the width of the widest one
    readable = letters <= _LEGIBLE
    size = min(10.0, 760 / letters) if readable else 10.0  # points: as wide as a step, and no larger than 10
    for step, symbol in enumerate(symbols):
        if step in marked:
            axes.text(
                step, 0.75, symbol, ha="center", va="center", family="monospace", size=10, weight="bold", color="white",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "black", "edgecolor": "none"},
            )  # fmt: skip
            axes.plot([step, step], [-0.5, 0.4], color="black", linewidth=0.8, clip_on=False)
        elif readable or step in (0, len(symbols) - 1):
            axes.text(step, 0.0, symbol, ha="center", va="center", family="monospace", size=size)
    axes.set_ylim(-0.5, 1)


def _draw_values(axes: Axes, values: Floats, names: Sequence[str], what: str) -> None:
    """Draw values (T, C) over time as lines, or as a heat map where there are many."""
    axes.set_ylabel(what, fontsize=LABEL)
    if values.shape[1] > _MOST_LINES:
        axes.imshow(values.T, aspect="auto", cmap="Greys", interpolation="nearest",
                    extent=(-0.5, len(values) - 0.5, values.shape[1] + 0.5, 0.5))  # fmt: skip
        if any(names) and len(names) <= _MOST_NAMES:
            axes.set_yticks(range(1, len(names) + 1), class_names(names))
        else:
            axes.set_yticks([1, values.shape[1]])
        return
    shown = class_names(names) if any(names) else list(names)
    for number, name in enumerate(shown):
        dashed = "-" if number < len(CYCLE) else (0, (2, 1))  # there are more lines than colours
        color = CYCLE[number % len(CYCLE)]
        axes.plot(values[:, number], color=color, linestyle=dashed, linewidth=1.5, label=name)
    if any(names):
        legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL, frameon=False, handlelength=1)
        fits = max(map(len, shown)) <= _IN_BAR_COLUMN
        legend.set_in_layout(not fits)  # short names share the column of the colour bars, and must not widen it

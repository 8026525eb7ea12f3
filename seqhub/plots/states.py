"""What a network holds in mind: its states over the steps of one sequence."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.plots.canvas import CYCLE, LABEL, SMALL, TITLE, new_figure, save, tidy

_LEGIBLE_STEPS = 120  # more letters than this do not fit into the width of a card
_INCHES_PER_UNIT = 0.16


def plot_states(
    symbols: str,
    states: Mapping[str, NDArray[np.floating[Any]]],
    path: Path,
    *,
    title: str,
    probabilities: NDArray[np.floating[Any]] | None,
    labels: Sequence[str],
    marked: Collection[int] = (),
) -> None:
    """Draw each state as a heat map over time, units by row, the symbols above and the class probabilities below.

    Up to 120 steps every symbol is written out; of longer sequences only the first, the last and the marked ones.

    Args:
        symbols: The sequence, T characters.
        states: Name -> (T, H), value of each unit after each step; each map has its own colour scale around 0.
        path: The PNG to write.
        title: One line above the figure.
        probabilities: (T, C), what the classifier would say if the sequence ended at each step; None leaves it out.
        labels: C class names.
        marked: Steps, counted from 0, whose symbols decide the class.

    Raises:
        InvalidInputError: Lengths that differ, or steps outside the sequence.
        SaveError: The file cannot be written.
    """
    _check(symbols, states, probabilities, labels, marked)
    marked = sorted(marked)
    heights = [0.35, *(max(1.0, _INCHES_PER_UNIT * state.shape[1]) for state in states.values())]
    if probabilities is not None:
        heights.append(1.3)
    figure = new_figure(sum(heights) + 0.9)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels: list[Axes] = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[
        :, 0
    ].tolist()

    _write_symbols(panels[0], symbols, marked)
    for axes, (name, state) in zip(panels[1:], states.items(), strict=False):
        limit = float(np.abs(state).max()) or 1.0
        image = axes.imshow(
            state.T, aspect="auto", cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest",
            extent=(-0.5, len(symbols) - 0.5, state.shape[1] + 0.5, 0.5),
        )  # fmt: skip
        axes.set_ylabel(f"{name} unit", fontsize=LABEL)
        axes.set_yticks([1, state.shape[1]] if state.shape[1] > 1 else [1])
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12, ticks=[-limit, 0, limit])
        bar.ax.set_yticklabels([f"{-limit:.2g}", "0", f"{limit:.2g}"], fontsize=SMALL)
        bar.outline.set_visible(False)
    if probabilities is not None:
        _draw_probabilities(panels[-1], probabilities, labels)
    for axes in panels[1:]:
        tidy(axes, grid=False)
        halo = [withStroke(linewidth=2.2, foreground="white")] if axes.images else []  # to be seen on any colour
        for step in marked:
            axes.axvline(step, color="black", linewidth=0.8, path_effects=halo)
    panels[-1].set_xlabel("step", fontsize=LABEL)
    panels[-1].set_xlim(-0.5, len(symbols) - 0.5)
    save(figure, path)


def _check(
    symbols: str,
    states: Mapping[str, NDArray[np.floating[Any]]],
    probabilities: NDArray[np.floating[Any]] | None,
    labels: Sequence[str],
    marked: Collection[int],
) -> None:
    T = len(symbols)
    for name, state in states.items():
        if state.ndim != 2 or len(state) != T:
            raise InvalidInputError(f"state {name!r} of shape {state.shape} for {T} symbols; need ({T}, units)")
    if probabilities is not None and probabilities.shape != (T, len(labels)):
        raise InvalidInputError(f"probabilities {probabilities.shape} for {T} symbols and {len(labels)} labels")
    outside = [step for step in marked if not 0 <= step < T]
    if not states or outside:
        wrong = f"marked steps {outside} of {T}" if outside else "no states"
        raise InvalidInputError(f"{wrong}; need a state or more and marked steps from 0 to {T - 1}")


def _write_symbols(axes: Axes, symbols: str, marked: Sequence[int]) -> None:
    """The sequence as text; marked symbols stand raised in a box of their own."""
    axes.set_axis_off()
    legible = len(symbols) <= _LEGIBLE_STEPS
    size = min(10.0, 760 / len(symbols)) if legible else 10.0  # points: as wide as a step, and no larger than 10
    for step, symbol in enumerate(symbols):
        if step in marked:
            axes.text(
                step, 0.75, symbol, ha="center", va="center", family="monospace", size=10, weight="bold", color="white",
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "black", "edgecolor": "none"},
            )  # fmt: skip
            axes.plot([step, step], [-0.5, 0.4], color="black", linewidth=0.8, clip_on=False)
        elif legible or step in (0, len(symbols) - 1):
            axes.text(step, 0.0, symbol, ha="center", va="center", family="monospace", size=size)
    axes.set_ylim(-0.5, 1)


def _draw_probabilities(axes: Axes, probabilities: NDArray[np.floating[Any]], labels: Sequence[str]) -> None:
    for number, name in enumerate(labels):
        axes.plot(probabilities[:, number], color=CYCLE[number % len(CYCLE)], linewidth=1.5, label=name)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("probability", fontsize=LABEL)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=SMALL, frameon=False, handlelength=1)
    legend.set_in_layout(False)  # it has the column of the colour bars, and must not widen it

"""Figures of `ramps`: originals and reconstructions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqhub.plots.style import CYCLE, LABEL, SMALL, TITLE, new_figure, save, tidy
from seqhub.plots.trace import Floats, Watch
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split

_LINES, _FILMS = 6, 3  # sequences drawn


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw the first test rows as lines, or as films where a step is an image."""
    rows = Split(record.task, "test")
    (height, *width) = rows.schema.step_shape
    draw, most = (_draw_films, _FILMS) if width else (_draw_lines, _LINES)
    count = min(most, rows.size or most)
    traces = [watch(rows[i].inputs) for i in range(count)]
    path = folder / "reconstructions.png"
    shape = (height, *width)
    pairs = [tuple(values.reshape(-1, *shape) for values in (trace.inputs, trace.logits)) for trace in traces]
    draw([(one, other) for one, other in pairs], path, title=f"{record.task}, {record.model}, seed {record.seed}")
    return [path]


def _draw_lines(pairs: Sequence[tuple[Floats, Floats]], path: Path, *, title: str) -> None:
    """Draw originals (T, F) as lines and reconstructions as dots, one colour for each of the F values."""
    columns = min(3, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = new_figure(0.6 + 1.9 * rows)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, (original, reconstruction) in zip(panels.flat, pairs, strict=True):
        for feature, color in zip(range(original.shape[1]), CYCLE, strict=False):
            axes.plot(original[:, feature], color=color, linewidth=1.5)
            axes.plot(reconstruction[:, feature], "o", color=color, markersize=5, fillstyle="none")
        axes.set_title(_error(original, reconstruction), fontsize=SMALL)
        tidy(axes)
    for axes in panels[-1]:
        axes.set_xlabel("step", fontsize=LABEL)
    panels[0, 0].plot([], [], color="black", linewidth=1.5, label="original")
    panels[0, 0].plot([], [], "o", color="black", markersize=5, fillstyle="none", label="reconstruction")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right", ncols=2, fontsize=SMALL, frameon=False)
    save(figure, path)


def _draw_films(pairs: Sequence[tuple[Floats, Floats]], path: Path, *, title: str) -> None:
    """Draw originals (T, height, width) above their reconstructions, with one grey scale for each pair."""
    longest = max(len(original) for original, _ in pairs)
    figure = new_figure(0.6 + 2.0 * len(pairs))
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(2 * len(pairs), longest, squeeze=False)
    for number, pair in enumerate(pairs):
        low, high = float(pair[0].min()), float(pair[0].max())
        for row, (name, film) in enumerate(zip(("original", "reconstructed"), pair, strict=True), start=2 * number):
            for step, axes in enumerate(panels[row]):
                axes.set_axis_off()
                if step < len(film):
                    axes.imshow(film[step], cmap="Greys_r", vmin=low, vmax=high, interpolation="nearest")
            panels[row, 0].set_axis_on()
            panels[row, 0].set(xticks=[], yticks=[])
            panels[row, 0].spines[:].set_visible(False)
            panels[row, 0].set_ylabel(name, fontsize=SMALL, rotation=0, ha="right", va="center")
        panels[2 * number, 0].set_title(_error(*pair), fontsize=SMALL, loc="left")
    save(figure, path)


def _error(original: Floats, reconstruction: Floats) -> str:
    return f"mean squared error {np.square(original - reconstruction).mean():.1e}"

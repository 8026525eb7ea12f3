"""Figures of `square`: directions, noise-free sequences, data, and the path of a hidden state.

After the figures of D. Voigt Godoy (2021), "Deep Learning with PyTorch Step-by-Step", chapter 8.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from seqhub.plots.style import BLUE, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, save_animation, tidy
from seqhub.plots.trace import Floats, Watch
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split
from seqhub.tasks.square import CORNERS, TASK

_COLORS = {name: color for name, color in zip(TASK.labels, (VERMILION, BLUE), strict=True)}
# Tints of the two colours; only few, since a GIF compresses large areas of one colour well
_SURFACE = LinearSegmentedColormap.from_list("surface", ["#f6c9ad", "white", "#b3d4ea"], N=11)
_BACKWARDS, _FORWARDS = TASK.labels
_FRAMES_PER_STEP = 6


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw all figures; the state only if it has two units and the head reads it at every step."""
    examples = [Split(record.task, "test")[number] for number in range(10)]
    written = [folder / name for name in ("directions.png", "eight-sequences.png", "noisy-sequences.png")]
    draw_directions(written[0])
    draw_sequences(written[1])
    draw_data([example.inputs for example in examples], [example.target for example in examples], written[2])
    traces = [watch(sequence) for sequence, _ in canonical_sequences()]
    states = np.array([trace.states["hidden"] for trace in traces]) if traces[0].states else None
    if states is not None and states.shape[2] == 2 and traces[0].readout is not None:
        readout = np.array([trace.readout for trace in traces])
        written += [folder / "hidden-states-step-by-step.png", folder / "hidden-states-step-by-step.gif"]
        draw_states(states, readout, written[-2])
        animate_states(states, readout, written[-1])
    return written


def canonical_sequences() -> list[tuple[Floats, str]]:
    """Return the eight noise-free sequences and their classes: clockwise ones first, from corner A on."""
    turns = ((_FORWARDS, 1), (_BACKWARDS, -1))
    return [(CORNERS[(base + turn * np.arange(4)) % 4], name) for name, turn in turns for base in range(4)]


def draw_directions(path: Path) -> None:
    """Draw both directions from A on: first the order as numbers only, then with arrows.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(2.4)
    kinds = [(name, turn, arrows) for arrows in (False, True) for name, turn in ((_BACKWARDS, -1), (_FORWARDS, 1))]
    for axes, (name, turn, arrows) in zip(figure.subplots(1, 4), kinds, strict=True):
        axes.set_title(name, color=_COLORS[name], fontsize=LABEL)
        _draw_points(axes, CORNERS[turn * np.arange(4) % 4], _COLORS[name], arrows=arrows, size=14)
    save(figure, path)


def draw_sequences(path: Path) -> None:
    """Draw the eight noise-free sequences, each with its start."""
    figure = new_figure(4.6)
    panels = figure.subplots(2, 4)
    for axes, (points, name) in zip(panels.flat, canonical_sequences(), strict=True):
        axes.set_title("".join("ABCD"[_corner(point)] for point in points), color=_COLORS[name], fontsize=TITLE)
        _draw_points(axes, points, _COLORS[name], arrows=True, size=14)
    for axes, name in zip(panels[:, 0], (_FORWARDS, _BACKWARDS), strict=True):
        axes.set_ylabel(name, color=_COLORS[name], fontsize=LABEL)
    save(figure, path)


def draw_data(sequences: Sequence[Floats], names: Sequence[str], path: Path) -> None:
    """Draw ten rows of data in two rows of five: numbered points, with the direction above.

    Args:
        sequences: Ten sequences (T, 2).
        names: Their classes.
        path: The PNG to write.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(4.0)
    for axes, points, name in zip(figure.subplots(2, 5).flat, sequences, names, strict=True):
        axes.set_title(name, color=_COLORS[name], fontsize=SMALL)
        _draw_points(axes, points, _COLORS[name], arrows=True, size=11, letters=False)
    save(figure, path)


def draw_states(states: Floats, readout: Floats, path: Path) -> None:
    """Draw the states of the eight sequences after each step, on the decision surface of the head.

    Args:
        states: (8, T, 2), for `canonical_sequences`.
        readout: (8, T, 2), probabilities of both classes at these states.
        path: The PNG to write.

    Raises:
        SaveError: The file cannot be written.
    """
    steps = states.shape[1]
    figure = new_figure(2.2)
    figure.suptitle("hidden state of the eight sequences, step by step", fontsize=TITLE, x=0.01, ha="left")
    weights = _head(states, readout)
    for done, axes in enumerate(figure.subplots(1, steps + 1, sharex=True, sharey=True)):
        _draw_surface(axes, weights, states)
        _draw_paths(axes, states, float(done))
        axes.set_title("before" if not done else f"after point {done}", fontsize=LABEL)
    save(figure, path)


def animate_states(states: Floats, readout: Floats, path: Path) -> None:
    """Animate the states of each sequence; arguments as in `draw_states`."""
    steps = states.shape[1]
    figure = new_figure(4.5, width=4.5)
    axes = figure.subplots()
    weights = _head(states, readout)
    times = [step + part / _FRAMES_PER_STEP for step in range(steps) for part in range(_FRAMES_PER_STEP)]
    moments = [0.0] * _FRAMES_PER_STEP + times + [float(steps)] * 2 * _FRAMES_PER_STEP  # a pause at both ends

    def draw(figure: Figure, frame: int) -> None:
        axes.clear()
        _draw_surface(axes, weights, states)
        _draw_paths(axes, states, moments[frame])
        done = int(moments[frame])
        axes.set_title(
            f"hidden state, {'before the first point' if not done else f'after point {done} of {steps}'}",
            fontsize=TITLE,
        )
        axes.set_xlabel("unit 1", fontsize=LABEL)
        axes.set_ylabel("unit 2", fontsize=LABEL)

    save_animation(figure, draw, len(moments), path)


def _corner(point: Floats) -> int:
    return int(np.square(CORNERS - point).sum(axis=1).argmin())


def _draw_points(axes: Axes, points: Floats, color: str, *, arrows: bool, size: float, letters: bool = True) -> None:
    """Draw points numbered in their order, over the corners and their letters in grey."""
    axes.set_aspect("equal")
    axes.set_xlim(-1.75, 1.75)
    axes.set_ylim(-1.75, 1.75)
    axes.set_xticks([-1, 1])
    axes.set_yticks([-1, 1])
    tidy(axes)
    if letters:
        for letter, corner in zip("ABCD", CORNERS, strict=True):
            axes.annotate(letter, corner * 1.45, ha="center", va="center", color=GREY, fontsize=SMALL)
    if arrows:
        for one, other in pairwise(points):
            axes.annotate(
                "", other, one,
                arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.4, "shrinkA": size / 2,
                            "shrinkB": size / 2},
            )  # fmt: skip
    axes.scatter(points[:, 0], points[:, 1], s=size**2, color=color, zorder=3)
    for number, point in enumerate(points, start=1):
        axes.annotate(
            str(number), point, ha="center", va="center", color="white", fontsize=min(LABEL, size * 0.7), zorder=4
        )


def _head(states: Floats, readout: Floats) -> Floats:
    """Return weights (2,) and bias of the head, which is linear in the state, from its scores at the states."""
    points = np.column_stack([states.reshape(-1, 2), np.ones(states[..., 0].size)]).astype(np.float64)
    likely = np.log(np.maximum(readout.reshape(-1, 2).astype(np.float64), np.finfo(np.float32).tiny))
    weights: Floats = np.linalg.lstsq(points, likely[:, 1] - likely[:, 0], rcond=None)[0]
    return weights


def _draw_surface(axes: Axes, weights: Floats, states: Floats) -> None:
    """Draw the probability of `clockwise` at every state, and the line where it is one half."""
    limit = max(1.0, float(np.abs(states).max())) * 1.12
    grid = np.linspace(-limit, limit, 301)
    scores = weights[0] * grid[None, :] + weights[1] * grid[:, None] + weights[2]
    probability = 1 / (1 + np.exp(-np.clip(scores, -50, 50)))
    extent = (-limit, limit, -limit, limit)
    axes.imshow(probability, origin="lower", extent=extent, cmap=_SURFACE, vmin=0, vmax=1, interpolation="nearest")
    if probability.min() < 0.5 < probability.max():
        axes.contour(grid, grid, probability, levels=[0.5], colors=[GREY], linewidths=1, linestyles="dashed")
    axes.set_aspect("equal")
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    tidy(axes, grid=False)


def _draw_paths(axes: Axes, states: Floats, time: float) -> None:
    """Draw straight paths from the zero state until `time`, in steps.

    Up to the first point they are grey, since one point does not determine the direction.
    """
    whole = np.concatenate([np.zeros_like(states[:, :1]), states], axis=1)
    done = int(time)
    for path, (_, name) in zip(whole, canonical_sequences(), strict=True):
        line = path[: done + 1]
        if time > done:
            line = np.vstack([line, path[done] + (time - done) * (path[done + 1] - path[done])])
        axes.plot(*line[:2].T, color=GREY, linewidth=1.0, alpha=0.4)
        axes.plot(*line[1:].T, color=_COLORS[name], linewidth=1.0, alpha=0.6)
        axes.plot(
            *line[-1], color=_COLORS[name] if time > 1 else GREY, marker="o", markersize=5, markeredgecolor="white"
        )

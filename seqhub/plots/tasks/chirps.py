"""Figures of `chirps`: spectrograms, and below each the saliency of its steps."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from seqhub.plots.style import BLUE, GREEN, LABEL, SMALL, TITLE, new_figure, save, tidy
from seqhub.plots.trace import Trace, Watch
from seqhub.records import RunRecord
from seqhub.tasks.chirps import BINS, HOP, RATE
from seqhub.tasks.schema import Example
from seqhub.tasks.splits import Split

_STEP = HOP / RATE  # seconds
_BIN = RATE / (2 * BINS)  # Hz


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw two test rows: one of each direction, or an early and a late onset."""
    rows = sorted((Split(record.task, "test")[i] for i in range(8)), key=lambda row: row.target)
    examples = [rows[0], rows[-1]]
    path = folder / "spectrograms-with-saliency.png"
    draw_saliency(examples, [watch(row.inputs) for row in examples], path, title=f"{record.task}, {record.model}")
    return [path]


def draw_saliency(examples: list[Example], traces: list[Trace], path: Path, *, title: str) -> None:
    """Draw spectrograms side by side, each above the saliency of its steps.

    The saliency is the sum over frequency of the absolute gradient of the output (the score of the most probable class,
    or the estimated number) with respect to the input. The true and the estimated onset are marked.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(4.2)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(2, len(examples), sharex="col", sharey="row", height_ratios=(2.4, 1))
    for column, (example, trace) in enumerate(zip(examples, traces, strict=True)):
        above, below = panels[:, column]
        ends = (-_STEP / 2, (len(example.inputs) - 0.5) * _STEP)
        above.imshow(
            example.inputs.T, origin="lower", aspect="auto", cmap="magma", interpolation="nearest",
            extent=(*ends, _BIN / 2, (BINS + 0.5) * _BIN),
        )  # fmt: skip
        above.set_title(_caption(example, trace), fontsize=LABEL)
        saliency = np.zeros(len(example.inputs)) if trace.saliency is None else np.abs(trace.saliency).sum(axis=1)
        below.bar(np.arange(len(saliency)) * _STEP, saliency, width=0.9 * _STEP, color=BLUE)
        below.set_xlabel("start of the window, s", fontsize=LABEL)
        below.set_xlim(*ends)
        tidy(above, grid=False)
        tidy(below)
        if not isinstance(example.target, str):
            _mark(above, example.target, float(trace.logits[0]))
    panels[0, 0].set_ylabel("frequency, Hz", fontsize=LABEL)
    panels[1, 0].set_ylabel("saliency", fontsize=LABEL)
    save(figure, path)


def _caption(example: Example, trace: Trace) -> str:
    if isinstance(example.target, str):
        return example.target
    return f"onset at {example.target:.3f} s, estimate {float(trace.logits[0]):.3f} s"


def _mark(axes: Axes, onset: float, estimate: float) -> None:
    """Draw lines at the true onset (white) and at the estimate."""
    axes.axvline(onset, color="white", linewidth=1.5, label="onset")
    axes.axvline(estimate, color=GREEN, linewidth=1.5, linestyle=(0, (3, 2)), label="estimate")
    axes.legend(loc="upper right", fontsize=SMALL, facecolor="black", labelcolor="white", framealpha=0.5)

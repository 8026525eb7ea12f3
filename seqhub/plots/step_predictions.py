"""Figure of a model's predictions at each step of a sequence of numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqhub.plots.style import BLUE, GREEN, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.plots.trace import Trace
from seqhub.tasks.schema import Example


def draw_predictions(
    examples: Sequence[Example], traces: Sequence[Trace], marked: Sequence[Sequence[int]], path: Path, *, title: str
) -> None:
    """Draw sequences side by side, each above the predictions.

    Args:
        examples: Examples with a number as target, or with a class; then the probability of the last class is drawn,
            whatever its index in `Trace.readout`.
        traces: Traces of the same sequences; the first of the values at each step is drawn.
        marked: For each sequence, the steps that decide the answer.
        path: PNG file to write.
        title: Title of the figure.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(4.2)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(2, len(examples), sharex="col", sharey="row", squeeze=False)
    for column, (example, trace, decisive) in enumerate(zip(examples, traces, marked, strict=True)):
        above, below = panels[:, column]
        numbers, steps = np.asarray(trace.inputs)[:, 0], np.arange(len(trace.inputs))
        above.vlines(steps, 0, numbers, color=GREY, linewidth=0.8)
        above.vlines(decisive, 0, numbers[list(decisive)], color=VERMILION, linewidth=2.5, label="decides the answer")
        below.set_ylim(-0.05, 1.05)
        if trace.readout is not None:
            below.plot(steps, trace.readout[:, -1], color=BLUE, linewidth=1.5, label="answer at each step")
        if isinstance(example.target, str):
            above.set_title(example.target, fontsize=LABEL)
        else:
            above.set_title(f"target {example.target:.3f}", fontsize=LABEL)
            below.axhline(example.target, color=GREEN, linewidth=1.5, linestyle=(0, (3, 2)), label="target")
            below.set_ylim(auto=True)
        below.set_xlabel("step", fontsize=LABEL)
        tidy(above)
        tidy(below)
    panels[0, 0].set_ylabel("number", fontsize=LABEL)
    of_class = isinstance(examples[0].target, str)
    panels[1, 0].set_ylabel(f"probability of {examples[-1].target}" if of_class else "answer", fontsize=LABEL)
    panels[0, -1].legend(loc="upper right", fontsize=SMALL)
    panels[1, -1].legend(loc="lower right", fontsize=SMALL)
    save(figure, path)

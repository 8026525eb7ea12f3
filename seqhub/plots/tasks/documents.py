"""Figures of `documents`: the topics of the chunks, and below them the prediction after each chunk."""

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from seqhub.plots.style import BLUE, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.plots.trace import Trace, Watch
from seqhub.records import RunRecord
from seqhub.tasks.documents import ANSWER, QUESTION, TASK, TOPICS, topic_vectors, topics_of
from seqhub.tasks.schema import Example
from seqhub.tasks.splits import Split

_NAMES = ["question", "answer", *(f"topic {number}" for number in range(3, TOPICS + 1))]
_COLORS = {QUESTION: BLUE, ANSWER: VERMILION}


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw two test documents of each class; none for a run on custom texts, which have no topics."""
    if record.task.is_custom:
        return []
    rows = [Split(record.task, "test")[number] for number in range(16)]
    examples = [row for name in TASK.labels for row in [each for each in rows if each.target == name][:2]]
    path = folder / "chunks-and-answer.png"
    draw_documents(examples, [watch(row.inputs) for row in examples], path, title=f"{record.task}, {record.model}")
    return [path]


def draw_documents(examples: list[Example], traces: list[Trace], path: Path, *, title: str) -> None:
    """Draw documents side by side: chunks by topics with the planted ones framed, and the prediction.

    The prediction is the probability of the first class after each chunk if the head reads single steps, else the norm
    of the gradient of its output with respect to each chunk.

    Args:
        examples: Documents (T, F) with their classes.
        traces: Traces of the model on them.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(4.2)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(2, len(examples), sharex="col", sharey="row", height_ratios=(1.6, 1), squeeze=False)
    for column, (example, trace) in enumerate(zip(examples, traces, strict=True)):
        above, below = panels[:, column]
        vectors = topic_vectors(example.inputs.shape[1])
        near = example.inputs @ vectors.T / np.square(vectors[0]).sum()
        above.imshow(near.T, cmap="Greys", vmin=0, vmax=1.2, aspect="auto", interpolation="nearest")
        above.set_title(example.target, fontsize=LABEL)
        above.set_yticks(range(TOPICS), _NAMES, fontsize=SMALL)
        for step, topic in enumerate(topics_of(example.inputs)):
            if topic in _COLORS:
                above.add_patch(_frame(step, topic))
                below.axvline(step, color=_COLORS[topic], linewidth=1, linestyle="dashed")
        steps = np.arange(len(example.inputs))
        if trace.readout is not None:
            below.plot(steps, trace.readout[:, 0], color="black", marker="o", markersize=3, linewidth=1)
            below.set_ylim(-0.05, 1.05)
        elif trace.saliency is not None:
            below.bar(steps, np.linalg.norm(trace.saliency, axis=1), color=GREY)
        below.set_xlabel("chunk", fontsize=LABEL)
        below.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        tidy(above, grid=False)
        tidy(below)
    panels[1, 0].set_ylabel(f"P({TASK.labels[0]})" if traces[0].readout is not None else "saliency", fontsize=LABEL)
    save(figure, path)


def _frame(step: int, topic: int) -> Rectangle:
    return Rectangle((step - 0.5, topic - 0.5), 1, 1, fill=False, edgecolor=_COLORS[topic], linewidth=2)

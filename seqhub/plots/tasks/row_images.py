"""Figures of `row_images`: test images, and beside each the prediction after each row."""

from pathlib import Path

import numpy as np

from seqhub.plots.style import GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.plots.trace import Trace, Watch
from seqhub.records import RunRecord
from seqhub.tasks.schema import Example
from seqhub.tasks.splits import Split

_ACROSS, _DOWN = 4, 2


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw the first test image of eight digits; none for a run on custom images."""
    if record.task.is_custom:
        return []
    split = Split(record.task, "test")
    assert split.size is not None
    first: dict[str, Example] = {}
    for example in (split[number] for number in range(split.size)):
        first.setdefault(example.target, example)
    examples = [first[name] for name in sorted(first)][: _ACROSS * _DOWN]
    traces = [watch(example.inputs) for example in examples]
    path = folder / "digits-row-by-row.png"
    draw_digits(examples, traces, split.schema.labels, path, title=f"{record.task}, {record.model}")
    return [path]


def draw_digits(
    examples: list[Example], traces: list[Trace], labels: tuple[str, ...], path: Path, *, title: str
) -> None:
    """Draw each image and the probabilities of all classes after each of its rows.

    If the head does not read single steps, the gradient of its output with respect to each pixel is drawn instead.

    Args:
        examples: Up to eight images (T, F) with their classes.
        traces: Traces of the model on them.
        labels: Names of the classes.
        path: The PNG to write.
        title: One line above the figure.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(5.0)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    panels = figure.subplots(_DOWN, 2 * _ACROSS)
    for axes in panels.flat:
        axes.axis("off")
    for number, (example, trace) in enumerate(zip(examples, traces, strict=True)):
        left, right = panels[number // _ACROSS, 2 * (number % _ACROSS) :][:2]
        left.imshow(example.inputs, cmap="gray_r", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        predicted = labels[int(np.argmax(trace.logits))]
        right_answer = predicted == example.target
        left.set_title(
            f"{example.target}, predicted {predicted}", fontsize=LABEL, color="black" if right_answer else VERMILION
        )
        if trace.readout is not None:
            right.imshow(trace.readout, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            right.set_xticks(range(len(labels)), labels, fontsize=SMALL)
            right.set_title("after each row", fontsize=SMALL, color=GREY)
        elif trace.saliency is not None:
            right.imshow(np.abs(trace.saliency), cmap="Blues", aspect="auto", interpolation="nearest")
            right.set_xticks([])
            right.set_title("saliency", fontsize=SMALL, color=GREY)
        for axes in (left, right):
            axes.axis("on")
            tidy(axes, grid=False)
            axes.set_yticks([])
        left.set_xticks([])
        right.tick_params(labelsize=6, length=2)
    save(figure, path)

"""Figures of `adding` and `multiplication`: the prediction at each step."""

from pathlib import Path

import numpy as np

from seqhub.plots.step_predictions import draw_predictions
from seqhub.plots.trace import Watch
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw the two of the first test rows with the least and the largest target."""
    rows = sorted((Split(record.task, "test")[i] for i in range(8)), key=lambda row: row.target)
    examples = [rows[0], rows[-1]]
    marked = [np.flatnonzero(example.inputs[:, 1] == 1).tolist() for example in examples]
    path = folder / "answer-at-each-step.png"
    traces = [watch(example.inputs) for example in examples]
    draw_predictions(examples, traces, marked, path, title=f"{record.task}, {record.model}, seed {record.seed}")
    return [path]

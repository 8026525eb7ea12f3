"""Figures of `two_sequence`: the prediction at each step of the noise."""

from pathlib import Path
from typing import cast

from seqhub.plots.step_predictions import draw_predictions
from seqhub.plots.trace import Watch
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split
from seqhub.tasks.two_sequence import TwoSequenceConfig


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw two of the first test rows, one of each class."""
    split = Split(record.task, "test")
    rows = sorted((split[i] for i in range(16)), key=lambda row: row.target)
    examples = [rows[0], rows[-1]]
    signal = list(range(cast(TwoSequenceConfig, split.config).signal))
    path = folder / "answer-at-each-step.png"
    traces = [watch(example.inputs) for example in examples]
    title = f"{record.task}, {record.model}, seed {record.seed}"
    draw_predictions(examples, traces, [signal, signal], path, title=title)
    return [path]

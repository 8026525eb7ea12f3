"""Figures of single tasks. The folder is the registry: module `seqhub.plots.tasks.NAME` draws for task NAME.

Such a module defines

    def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]

`folder` exists and receives the PNG files, made with `style.new_figure` and `style.save`; their paths are returned.
`record` has the measurements, `watch(inputs)` runs the trained model on one sequence, and example rows come from
`Split(record.task, "test")`. The name of a file is its caption: `input-and-output.png` becomes "Input and output" on
the card. The names `curves`, `lengths` and `states` are reserved. `seqhub plot` finds the module without further edits.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from seqhub.plots.trace import Watch
from seqhub.records import RunRecord


def draw_task_figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw the figures of the task of a run and return their paths; none if the task has no such module."""
    module = f"{__name__}.{record.task.definition.name}"
    if find_spec(module) is None:
        return []
    written: list[Path] = import_module(module).figures(folder, record, watch)
    return written

"""Pictures that only one task has. The folder is the registry: module `seqhub.plots.tasks.NAME` draws for task NAME.

Such a module defines

    def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]

`folder` is there and takes the PNG files, made by `canvas.new_figure` and `canvas.save`; their paths are returned.
`record` has what was measured, `watch(inputs)` runs the trained model over one sequence, and rows to look at come from
`Split(record.address, "test")`. A file's name is its caption: `input-and-output.png` stands on the card as "Input and
output". The names `curves`, `lengths` and `states` are taken. `seqhub plot` finds the module; nothing else is edited.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from seqhub.plots.trace import Watch
from seqhub.records import RunRecord


def draw_own(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw what the task of a run has of its own; nothing where it has no such module."""
    module = f"{__name__}.{record.task.definition.name}"
    if find_spec(module) is None:
        return []
    written: list[Path] = import_module(module).figures(folder, record, watch)
    return written

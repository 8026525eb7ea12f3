"""Selection of tasks on the command line of a release."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from seqhub.cli.output import stderr
from seqhub.tasks.registry import get_task, list_tasks

FOLDER = Path("build/datasets")
CARDS = Path(__file__).parent / "cards"

TaskNames = Annotated[
    list[str] | None, typer.Argument(metavar="TASK", help="Names of tasks, as in qrsu", show_default="all")
]


def selected(names: Sequence[str] | None) -> list[str]:
    """Return the named tasks, or all if none is named.

    Raises:
        UnknownNameError: A task does not exist; the message lists those that do.
    """
    return [get_task(name).name for name in names] if names else list(list_tasks())


def with_progress(verb: str, tasks: Sequence[str]) -> Iterator[str]:
    """Yield tasks one by one; the current one and its number are on standard error."""
    for number, task in enumerate(tasks, 1):
        stderr().print(f"{verb} {task} ({number} of {len(tasks)})")
        yield task

"""Step 2 of a release: upload the built folders.

HF_ENDPOINT names the Hub; the token is the one that huggingface_hub finds.
"""

from pathlib import Path
from typing import Annotated

import typer

from dataset_scripts.selection import FOLDER, TaskNames, selected, with_progress
from seqhub.hub.push import push


def publish_command(
    namespace: Annotated[str, typer.Option(help="Namespace of the repositories")],
    tasks: TaskNames = None,
    folder: Annotated[Path, typer.Option(help="Folder with a folder for each task")] = FOLDER,
) -> None:
    """Upload built tasks to a Hub."""
    for task in with_progress("publishing", selected(tasks)):
        pushed = push(folder / task, f"{namespace}/{task}", message=f"Release of {task}")
        print(f"{namespace}/{task}: {pushed.commit_url or 'nothing changed'}")

"""Step 2 of a data release: upload what step 1 built.

    python -m dataset_scripts.publish NAMESPACE [TASK ...] [--folder FOLDER]

HF_ENDPOINT names the Hub; the token comes from where huggingface_hub always looks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dataset_scripts.build import FOLDER, chosen
from seqhub.cli.errors import script
from seqhub.hub.push import push


def publish(namespace: str, folder: Path, tasks: Sequence[str]) -> None:
    """Push tasks below `folder` to `namespace/<task>`."""
    for task in tasks:
        pushed = push(folder / task, f"{namespace}/{task}", message=f"Release of {task}")
        print(f"{namespace}/{task}: {pushed.commit_url or 'nothing had changed'}")


def main(
    namespace: Annotated[str, typer.Argument(help="namespace of the repositories.")],
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="tasks; all by default.")] = None,
    folder: Annotated[Path, typer.Option(help="where the folders of the tasks are.")] = FOLDER,
) -> None:
    """Upload what was built."""
    publish(namespace, folder, chosen(tasks))


if __name__ == "__main__":
    script(main)

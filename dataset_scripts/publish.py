"""Step 2 of a data release: upload what step 1 built.

    python -m dataset_scripts.publish NAMESPACE [FOLDER [TASK ...]]

HF_ENDPOINT names the Hub; the token comes from where huggingface_hub always looks.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from dataset_scripts.build import FOLDER
from seqhub.hub.push import push
from seqhub.tasks.registry import list_tasks


def publish(namespace: str, folder: Path, tasks: Sequence[str]) -> None:
    """Push tasks below `folder` to `namespace/<task>`."""
    for task in tasks:
        pushed = push(folder / task, f"{namespace}/{task}", message=f"Release of {task}")
        print(f"{namespace}/{task}: {pushed.commit_url or 'nothing had changed'}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m dataset_scripts.publish NAMESPACE [FOLDER [TASK ...]]")
    publish(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER, sys.argv[3:] or list_tasks())

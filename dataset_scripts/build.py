"""Step 1 of a data release: write every task, or those named, as a folder with its card.

    python -m dataset_scripts.build [FOLDER [TASK ...]]

Writes FOLDER/<task> (FOLDER is `build/datasets` unless given) and keeps record and card in `dataset_scripts/cards`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from seqhub.cards.folder import write_card
from seqhub.data.export import write_folder
from seqhub.tasks.registry import list_tasks

FOLDER = Path("build/datasets")
CARDS = Path(__file__).parent / "cards"


def build(folder: Path, tasks: Sequence[str]) -> None:
    """Write tasks below `folder`."""
    for task in tasks:
        record = write_folder(task, folder / task, overwrite=True)
        write_card(folder / task)
        CARDS.mkdir(exist_ok=True)
        (CARDS / f"{task}.json").write_bytes((folder / task / record.FILE_NAME).read_bytes())
        (CARDS / f"{task}.md").write_bytes((folder / task / "README.md").read_bytes())
        rows = sum(split["rows"] for config in record.configs.values() for split in config["splits"].values())
        print(f"{folder / task}: {rows:,} rows of {len(record.configs)} configs in {record.seconds:.1f} s")


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, sys.argv[2:] or list_tasks())

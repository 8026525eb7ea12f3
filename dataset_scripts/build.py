"""Step 1 of a data release: write every task, or those named, as a folder with its card.

    python -m dataset_scripts.build [TASK ...] [--folder FOLDER]

Writes FOLDER/<task> (FOLDER is `build/datasets` unless given) and keeps record and card in `dataset_scripts/cards`.
What guessing weights comes to is measured here, in minutes for the longest tasks of the paper; `seqhub data export`
leaves it out.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from seqhub.baselines.random_search import random_guessing
from seqhub.baselines.random_weights import RANGE, UNITS
from seqhub.cards import dataset_card
from seqhub.cards.write import write_card
from seqhub.cli.errors import script
from seqhub.data.parquet import write_folder
from seqhub.records import DatasetRecord
from seqhub.tasks.registry import get_task, list_tasks

FOLDER = Path("build/datasets")
CARDS = Path(__file__).parent / "cards"
SEEDS = range(5)  # of the guessing
TRIALS = 10_000  # for each of them


def build(folder: Path, tasks: Sequence[str]) -> None:
    """Write tasks below `folder`."""
    for task in tasks:
        record = write_folder(task, folder / task, overwrite=True)
        started = time.perf_counter()
        guess(record)
        guessing = time.perf_counter() - started
        record.save(folder / task)
        write_card(folder / task)
        CARDS.mkdir(exist_ok=True)
        (CARDS / f"{task}.json").write_bytes((folder / task / record.FILE_NAME).read_bytes())
        card = dataset_card.render(record, folder=f"{FOLDER}/{task}")
        (CARDS / f"{task}.md").write_text(card, encoding="utf-8")
        rows = sum(split["rows"] for config in record.configs.values() for split in config["splits"].values())
        print(f"{folder / task}: {rows:,} rows of {len(record.configs)} configs in {record.seconds:.1f} s", end="")
        print(f", guessing in {guessing:.1f} s" if record.guessing else "")


def guess(record: DatasetRecord) -> None:
    """Add to a record what guessing weights comes to, for each config whose source says what a success is."""
    task = get_task(record.task)
    for config in task.configs:
        if task.stopping_rule(config) is not None:
            task = f"{task.name}/{config.name}"
            record.configs[config.name]["guessing"] = {
                "units": UNITS,
                "range": RANGE,
                "trials": TRIALS,
                "seeds": list(SEEDS),
                "guesses": [random_guessing(task, seed, TRIALS) for seed in SEEDS],
            }


def chosen(tasks: Sequence[str] | None) -> Sequence[str]:
    """The tasks of a command line, all where none is named.

    Raises:
        UnknownNameError: No such task; the message lists those there are.
    """
    return [get_task(task).name for task in tasks] if tasks else list_tasks()


def main(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="[TASK]...", help="tasks; all by default.")] = None,
    folder: Annotated[Path, typer.Option(help="where the folders of the tasks go.")] = FOLDER,
) -> None:
    """Build every task, or those named, and keep records and cards in the repository."""
    build(folder, chosen(tasks))


if __name__ == "__main__":
    script(main)

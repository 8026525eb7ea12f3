"""Step 1 of a release: write tasks as folders with record and card.

A release also measures the baseline of random weight guessing, which takes minutes for the longest tasks of the paper;
`seqhub data build` does not. Records and cards are copied to `dataset_scripts/cards`.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from dataset_scripts.selection import CARDS, FOLDER, TaskNames, selected, with_progress
from seqhub.baselines.random_search import random_guessing
from seqhub.baselines.random_weights import RANGE, UNITS
from seqhub.cards import dataset_card
from seqhub.cards.write import write_card
from seqhub.data.parquet import write_folder
from seqhub.records import DatasetRecord
from seqhub.tasks.registry import get_task

SEEDS = range(5)  # of random guessing
TRIALS = 10_000  # for each seed


def build_command(
    tasks: TaskNames = None,
    folder: Annotated[Path, typer.Option(help="Folder that receives a folder for each task")] = FOLDER,
) -> None:
    """Build tasks, and keep their records and cards in the repository."""
    for task in with_progress("building", selected(tasks)):
        print(build(task, folder))


def build(task: str, folder: Path) -> str:
    """Write a task to a folder below `folder`, and return a summary of one line."""
    record = write_folder(task, folder / task, overwrite=True)
    started = time.perf_counter()
    measure_guessing(record)
    guessing = time.perf_counter() - started
    record.save(folder / task)
    write_card(folder / task)
    CARDS.mkdir(exist_ok=True)
    (CARDS / f"{task}.json").write_bytes((folder / task / record.FILE_NAME).read_bytes())
    card = dataset_card.render(record, folder=f"{FOLDER}/{task}")
    (CARDS / f"{task}.md").write_text(card, encoding="utf-8")
    rows = sum(split["rows"] for config in record.configs.values() for split in config["splits"].values())
    line = f"{folder / task}: {rows:,} rows of {len(record.configs)} configs in {record.seconds:.1f} s"
    return f"{line}, guessing in {guessing:.1f} s" if record.guessing else line


def measure_guessing(record: DatasetRecord) -> None:
    """Add the results of random weight guessing to a record, for each config with a stopping rule."""
    task = get_task(record.task)
    for config in task.configs:
        if task.stopping_rule(config) is not None:
            record.configs[config.name]["guessing"] = {
                "units": UNITS,
                "range": RANGE,
                "trials": TRIALS,
                "seeds": list(SEEDS),
                "guesses": [random_guessing(f"{task.name}/{config.name}", seed, TRIALS) for seed in SEEDS],
            }

"""Train, measure and verify what is released: the shipped recipe on every config, or on those named, seed 0.

    python -m model_cards.release [ADDRESS ...] [--folder FOLDER]

Each config gets the model that its recipe is made for. Model folders go to FOLDER (`build/models` unless given), ready
for `seqhub push`; records and cards are kept here.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from model_cards.render import FOLDER, HERE, LICENSE, write
from seqhub.cards.write import write_card
from seqhub.cli.errors import script
from seqhub.errors import UnknownNameError
from seqhub.evaluation.evaluate import evaluate
from seqhub.tasks.registry import get_task, list_tasks, resolve
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import verify


def release(task: str, folder: Path) -> None:
    """Make one model folder, and keep its record here."""
    settings = recipe(task)
    name = f"{task.replace('/', '-')}-{settings['model']}"
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    task, _ = resolve(task)
    if task.paper_sequences:  # its own stopping rule stands beside ours
        settings = {"stop_at": "both", **settings}
    train(TrainConfig(task=task, output_dir=folder / name, **settings))
    record = evaluate(folder / name)
    write_card(folder / name, license=LICENSE)
    wrong = [finding.what for finding in verify(folder / name, alone=True) if not finding.agrees]
    if wrong:
        raise SystemExit(f"{folder / name} differs from its record in: {', '.join(wrong)}")
    (HERE / name).mkdir(exist_ok=True)
    record.save(HERE / name)
    print(f"{name}: {record.evaluation['test']['accuracy']:.4f} on test, {record.criteria}", flush=True)


def main(
    task_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="task/config; all by default.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="where the model folders go.")] = FOLDER,
) -> None:
    """Train, measure and verify the released models, and keep their records and cards in the repository."""
    every = [f"{task}/{config.name}" for task in list_tasks() for config in get_task(task).configs]
    for task in task_ids or ():
        if task not in every:
            raise UnknownNameError.of("released config", task, every)
    for task in task_ids or every:
        release(task, folder)
    write()


if __name__ == "__main__":
    script(main)

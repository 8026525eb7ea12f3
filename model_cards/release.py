"""Training, evaluation and verification of the released models: the shipped recipe of a config, with seed 0.

Each config gets the model that its recipe is for. Model folders are ready for `seqhub push`; their records and cards
are copied to `model_cards`.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from model_cards.render import FOLDER, HERE, LICENSE, write
from seqhub.cards.write import write_card
from seqhub.cli.output import stderr
from seqhub.errors import UnknownNameError, VerificationError
from seqhub.evaluation.evaluate import evaluate
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import verify


def release_command(
    task_ids: Annotated[
        list[str] | None, typer.Argument(metavar="TASK", help="Task ids, as in qrsu/hard", show_default="all")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Folder that receives the model folders")] = FOLDER,
) -> None:
    """Train, evaluate and verify released models, and keep their records and cards in the repository."""
    known = [f"{task}/{config.name}" for task in list_tasks() for config in get_task(task).configs]
    for task_id in task_ids or ():
        if task_id not in known:
            raise UnknownNameError.of("released config", task_id, known)
    chosen = task_ids or known
    for number, task_id in enumerate(chosen, 1):
        stderr().print(f"training {task_id} ({number} of {len(chosen)})")
        print(release(TaskRef.parse(task_id), folder), flush=True)
    write()


def release(ref: TaskRef, folder: Path) -> str:
    """Make one model folder, keep its record in `model_cards`, and return a summary of one line.

    Raises:
        VerificationError: The loaded model differs from its record.
    """
    settings = recipe(str(ref))
    name = f"{ref.name}-{ref.config_name}-{settings['model']}"
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    if ref.definition.paper_sequences:  # record the criterion of the paper, too
        settings = {"stop_at": "both", **settings}
    train(TrainConfig(task=ref, output_dir=folder / name, **settings))
    record = evaluate(folder / name)
    write_card(folder / name, license=LICENSE)
    wrong = [finding.what for finding in verify(folder / name, isolated=True) if not finding.agrees]
    if wrong:
        raise VerificationError(f"{folder / name} differs from its record in: {', '.join(wrong)}")
    (HERE / name).mkdir(exist_ok=True)
    record.save(HERE / name)
    return f"{name}: {record.evaluation['test']['accuracy']:.4f} on test, {record.criteria}"

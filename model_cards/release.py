"""Training, evaluation and verification of the released models: the shipped recipe of a config, with seed 0.

Each config gets the model that its recipe is for; `SMALLER` has exceptions. Model folders are ready for `seqhub push`.
All their files except the modelling code are copied into the package, for `seqhub.pretrained`.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from model_cards.render import released, write
from seqhub.cards.write import write_card
from seqhub.cli.output import stderr
from seqhub.errors import UnknownNameError, VerificationError
from seqhub.evaluation.evaluate import evaluate
from seqhub.models.pretrained import FOLDER, LICENSE
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train
from seqhub.verification.verify import verify

BUILD = Path("build/models")
SMALLER = {"date_translation": {"hidden_size": 56}}  # than in the recipe, so that all weights stay below 5 MB


def release_command(
    task_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK", help="Task ids, as in qrsu/hard", show_default="those of the released models"),
    ] = None,
    folder: Annotated[Path, typer.Option(help="Folder that receives the complete model folders")] = BUILD,
) -> None:
    """Train, evaluate and verify released models, and copy them into the package."""
    known = [f"{task}/{config.name}" for task in list_tasks() for config in get_task(task).configs]
    for task_id in task_ids or ():
        if task_id not in known:
            raise UnknownNameError.of("released config", task_id, known)
    chosen = task_ids or [str(record.task) for record in released().values()]
    for number, task_id in enumerate(chosen, 1):
        stderr().print(f"training {task_id} ({number} of {len(chosen)})")
        print(release(TaskRef.parse(task_id), folder), flush=True)
    write()


def release(ref: TaskRef, folder: Path) -> str:
    """Make one model folder, copy the model into the package, and return a summary of one line.

    Raises:
        VerificationError: The loaded model differs from its record.
    """
    settings = recipe(str(ref)) | SMALLER.get(ref.name, {})
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
    keep(folder / name)
    return f"{name}: {record.evaluation['test']['accuracy']:.4f} on test, {record.criteria}"


def keep(folder: Path) -> None:
    """Copy weights, config, tokenizer, history and record of a model folder into the package, without modelling code.

    The record lists only the files that are copied. `render.write` adds the card.
    """
    record = RunRecord.load(folder)
    record.files = {name: digest for name, digest in record.files.items() if not name.endswith(".py")}
    to = FOLDER / folder.name
    if to.exists():
        shutil.rmtree(to)
    to.mkdir()
    for name in (*record.files, *(path.name for path in folder.glob("history.jsonl"))):
        shutil.copyfile(folder / name, to / name)
    record.save(to)

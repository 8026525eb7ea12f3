"""Train, measure and verify what is released: the shipped recipe on every config, seed 0.

    python -m model_cards.release [FOLDER] [ADDRESS ...]

Model folders go to FOLDER (`build/models` unless given), ready for `seqhub push`; records and cards are kept here.
"""

import shutil
import sys
from pathlib import Path

from model_cards.render import HERE, write
from seqhub.cards.folder import write_card
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.verify import verify
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

FOLDER = Path("build/models")
MODEL = "lstm"


def release(address: str, folder: Path) -> None:
    """Make one model folder, and keep its record here."""
    name = f"{address.replace('/', '-')}-{MODEL}"
    if (folder / name).exists():
        shutil.rmtree(folder / name)
    settings = {"stop_at": "both", **recipe(address, MODEL)}
    train(TrainConfig(address=address, model=MODEL, output_dir=folder / name, **settings))
    record = evaluate(folder / name)
    write_card(folder / name)
    wrong = [finding.what for finding in verify(folder / name, alone=True) if not finding.agrees]
    if wrong:
        raise SystemExit(f"{folder / name} differs from its record in: {', '.join(wrong)}")
    (HERE / name).mkdir(exist_ok=True)
    record.save(HERE / name)
    print(f"{name}: {record.evaluation['test']['accuracy']:.4f} on test, {record.criteria}")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    every = [f"{task}/{config.name}" for task in list_tasks() for config in get_task(task).configs]
    for each in sys.argv[2:] or every:
        release(each, target)
    write()

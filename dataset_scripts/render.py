"""Rendering of the cards of released datasets from their records, as in `make cards`."""

from collections.abc import Sequence

from dataset_scripts.selection import CARDS, FOLDER, TaskNames, selected
from seqhub.cards import dataset_card
from seqhub.records import DatasetRecord


def render_command(tasks: TaskNames = None) -> None:
    """Render the cards of released tasks from their records."""
    for name, card in rendered(selected(tasks)).items():
        (CARDS / name).write_text(card, encoding="utf-8")


def rendered(tasks: Sequence[str]) -> dict[str, str]:
    """Return the card of each task by its file name in `cards/`."""
    return {
        f"{task}.md": dataset_card.render(DatasetRecord.read(CARDS / f"{task}.json"), folder=f"{FOLDER}/{task}")
        for task in tasks
    }

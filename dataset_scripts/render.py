"""Render the cards of what has been released again, from their records: `make cards`."""

from dataset_scripts.build import CARDS
from seqhub.cards import dataset_card
from seqhub.records import DatasetRecord


def rendered() -> dict[str, str]:
    """Name in `cards/` -> what should stand there."""
    return {f"{path.stem}.md": dataset_card.render(DatasetRecord.read(path)) for path in sorted(CARDS.glob("*.json"))}


if __name__ == "__main__":
    for name, text in rendered().items():
        (CARDS / name).write_text(text, encoding="utf-8")

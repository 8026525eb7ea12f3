"""Render the cards of what has been released again, from their records: `make cards`."""

from dataset_scripts.build import CARDS, FOLDER
from seqhub.cards import dataset_card
from seqhub.cli.errors import script
from seqhub.records import DatasetRecord


def rendered() -> dict[str, str]:
    """Name in `cards/` -> its text, whose code loads what `dataset_scripts.build` made."""
    return {
        f"{path.stem}.md": dataset_card.render(DatasetRecord.read(path), folder=f"{FOLDER}/{path.stem}")
        for path in sorted(CARDS.glob("*.json"))
    }


def main() -> None:
    """Render the cards of the released datasets again."""
    for name, text in rendered().items():
        (CARDS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    script(main)

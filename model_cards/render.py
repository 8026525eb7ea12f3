"""Render the cards of what has been released, and the leaderboard, again from the records: `make cards`."""

from pathlib import Path

from seqhub.cards import leaderboard, model_card
from seqhub.cli.errors import script
from seqhub.experiments.hs97 import card
from seqhub.records import PaperRecord, RunRecord

HERE = Path(__file__).parent
FOLDER = Path("build/models")  # where `model_cards.release` makes the models, which the code on the cards loads
LICENSE = "apache-2.0"  # of the released models, as of the repository
PAPER = "hs97.md"
PICTURE = "hs97.png"  # of the same record


def rendered() -> dict[str, str]:
    """Path in this folder -> what should stand there."""
    records = {path.parent.name: RunRecord.load(path.parent) for path in sorted(HERE.glob(f"*/{RunRecord.FILE_NAME}"))}
    cards = {
        f"{name}/README.md": model_card.render(record, folder=f"{FOLDER}/{name}", license=LICENSE)
        for name, record in records.items()
    }
    pages = {"README.md": leaderboard.render(list(records.values())), PAPER: card.render(PaperRecord.load(HERE))}
    return cards | pages


def write() -> None:
    """Put everything that is rendered into its file."""
    from seqhub.experiments.hs97.figure import plot_paper

    for name, text in rendered().items():
        (HERE / name).write_text(text, encoding="utf-8")
    plot_paper(PaperRecord.load(HERE), HERE / PICTURE)


if __name__ == "__main__":
    script(write)

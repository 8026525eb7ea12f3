"""Rendering of the cards of released models, the leaderboard and the table of the paper from their records."""

from pathlib import Path
from typing import Annotated

import typer

from seqhub.cards import leaderboard, model_card
from seqhub.errors import UnknownNameError
from seqhub.experiments.hs97 import card
from seqhub.records import PaperRecord, RunRecord

HERE = Path(__file__).parent
FOLDER = Path("build/models")  # folder of the models that the code on the cards loads
LICENSE = "apache-2.0"  # of the released models, as of the repository
PAPER = "hs97.md"
PICTURE = "hs97.png"  # figure of the same record


def render_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names of models, as in qrsu-hard-lstm", show_default="all"),
    ] = None,
) -> None:
    """Render the cards of released models; without names also the leaderboard and the table of the paper."""
    if not names:
        write()
        return
    cards = model_pages(released())
    for name in names:
        if f"{name}/README.md" not in cards:
            raise UnknownNameError.of("released model", name, released())
    for name in names:
        (HERE / name / "README.md").write_text(cards[f"{name}/README.md"], encoding="utf-8")


def released() -> dict[str, RunRecord]:
    """Return the records of all released models by name."""
    return {path.parent.name: RunRecord.load(path.parent) for path in sorted(HERE.glob(f"*/{RunRecord.FILE_NAME}"))}


def model_pages(records: dict[str, RunRecord]) -> dict[str, str]:
    """Return the cards of models by path in this folder."""
    return {
        f"{name}/README.md": model_card.render(record, folder=f"{FOLDER}/{name}", license=LICENSE)
        for name, record in records.items()
    }


def rendered() -> dict[str, str]:
    """Return all rendered pages by path in this folder."""
    records = released()
    pages = {"README.md": leaderboard.render(list(records.values())), PAPER: card.render(PaperRecord.load(HERE))}
    return model_pages(records) | pages


def write() -> None:
    """Write all rendered pages and the figure of the paper's table."""
    from seqhub.experiments.hs97.figure import plot_paper

    for name, text in rendered().items():
        (HERE / name).write_text(text, encoding="utf-8")
    plot_paper(PaperRecord.load(HERE), HERE / PICTURE)

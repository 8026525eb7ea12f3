"""Rendering of the cards of released models, the leaderboard and the table of the paper from their records."""

from pathlib import Path
from typing import Annotated

import typer

from seqhub.cards import leaderboard, model_card
from seqhub.experiments.hs97 import card
from seqhub.models.pretrained import FOLDER, LICENSE, list_pretrained, pretrained
from seqhub.records import PaperRecord, RunRecord

HERE = Path(__file__).parent
ROOT = HERE.parent
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
    folders = {name: pretrained(name) for name in names}
    for name, page in model_pages({name: RunRecord.load(folder) for name, folder in folders.items()}).items():
        (ROOT / name).write_text(page, encoding="utf-8")


def released() -> dict[str, RunRecord]:
    """Return the records of all released models by name."""
    return {name: RunRecord.load(pretrained(name)) for name in list_pretrained()}


def model_pages(records: dict[str, RunRecord]) -> dict[str, str]:
    """Return the cards of models by path in the repository. Their code loads the folders of the package."""
    folders = {name: str(pretrained(name).relative_to(ROOT)) for name in records}
    return {
        f"{folder}/README.md": model_card.render(records[name], folder=folder, license=LICENSE)
        for name, folder in folders.items()
    }


def rendered() -> dict[str, str]:
    """Return all rendered pages by path in the repository."""
    records = released()
    board = leaderboard.render(list(records.values()), folder=f"../{FOLDER.relative_to(ROOT)}")
    here = HERE.name
    return model_pages(records) | {f"{here}/README.md": board, f"{here}/{PAPER}": card.render(PaperRecord.load(HERE))}


def write() -> None:
    """Write all rendered pages and the figure of the paper's table."""
    from seqhub.experiments.hs97.figure import plot_paper

    for name, text in rendered().items():
        (ROOT / name).write_text(text, encoding="utf-8")
    plot_paper(PaperRecord.load(HERE), HERE / PICTURE)

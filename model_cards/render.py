"""Render the cards of what has been released, and the leaderboard, again from the records: `make cards`."""

from pathlib import Path

from seqhub.cards import leaderboard, model_card
from seqhub.records import RunRecord

HERE = Path(__file__).parent


def rendered() -> dict[str, str]:
    """Path in this folder -> what should stand there."""
    records = {path.parent.name: RunRecord.load(path.parent) for path in sorted(HERE.glob(f"*/{RunRecord.FILE_NAME}"))}
    cards = {f"{name}/README.md": model_card.render(record) for name, record in records.items()}
    return cards | {"README.md": leaderboard.render(list(records.values()))}


def write() -> None:
    """Put everything that is rendered into its file."""
    for name, text in rendered().items():
        (HERE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()

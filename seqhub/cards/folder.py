"""The card of a folder, whichever kind it is: its record in, its README.md out."""

from pathlib import Path

from seqhub.cards import dataset_card, model_card
from seqhub.cards.validate import validate
from seqhub.hub.client import check_repo_id
from seqhub.records import DatasetRecord, RunRecord, write_atomically


def write_card(folder: Path, repo_id: str | None = None) -> list[Path]:
    """Render the card of a run or dataset folder from its record, and write it there.

    Args:
        folder: Holds run.json or dataset.json; pictures in its `figures` are shown on the card.
        repo_id: Where the folder is, or will be, published.

    Returns:
        The files written: README.md and, of a run with test results, .eval_results/seqhub.yaml.

    Raises:
        FileNotFoundError: The folder has no record.
        InvalidInputError: `repo_id` is no name of a repository.
        SaveError: A file cannot be written.
    """
    if repo_id is not None:
        check_repo_id(repo_id)
    readme = folder / "README.md"
    if (folder / DatasetRecord.FILE_NAME).exists():
        card = dataset_card.render(DatasetRecord.load(folder), repo_id=repo_id)
        validate(card, "dataset")
        write_atomically(readme, card)
        return [readme]
    record = RunRecord.load(folder)
    figures = [str(path.relative_to(folder)) for path in sorted((folder / "figures").glob("*.png"))]
    card = model_card.render(record, repo_id=repo_id, figures=figures)
    validate(card, "model")
    write_atomically(readme, card)
    if "test" not in record.evaluation:
        return [readme]
    results = folder / ".eval_results" / "seqhub.yaml"
    results.parent.mkdir(exist_ok=True)
    write_atomically(results, model_card.render_eval_results(record, repo_id=repo_id))
    return [readme, results]

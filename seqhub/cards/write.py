"""Writing the card of a run or dataset folder."""

from pathlib import Path

from seqhub.cards import dataset_card, model_card
from seqhub.cards.validate import LICENSES, validate
from seqhub.errors import UnknownNameError
from seqhub.hub.client import check_repo_id
from seqhub.io import write_atomically
from seqhub.records import DatasetRecord, RunRecord


def write_card(
    folder: Path | str, repo_id: str | None = None, *, dataset_id: str | None = None, license: str | None = None
) -> list[Path]:
    """Render the card of a run or dataset folder from its record, and write it there.

    Args:
        folder: Folder with run.json or dataset.json; the images in its `figures` are shown on the card.
        repo_id: Repository that the folder is or will be published as; None for a card that names the folder itself,
            which `push` changes to the repository.
        dataset_id: Repository of the dataset of a run, if there is one.
        license: Licence of the model of a run, if one was given.

    Returns:
        The files written: README.md and, of a run with test results and a `dataset_id`, .eval_results/seqhub.yaml.

    Raises:
        FileNotFoundError: The folder has no record.
        InvalidInputError: `repo_id` or `dataset_id` is not the name of a repository.
        UnknownNameError: The licence is not one of LICENSES.
        SaveError: A file cannot be written.
    """
    for given in (repo_id, dataset_id):
        if given is not None:
            check_repo_id(given)
    if license is not None and license not in LICENSES:
        raise UnknownNameError.of("licence", license, LICENSES)
    folder = Path(folder)
    readme = folder / "README.md"
    if (folder / DatasetRecord.FILE_NAME).exists():
        built = DatasetRecord.load(folder)
        card = dataset_card.render(built, repo_id=repo_id, folder=f"./{folder.resolve().name}")
        validate(card, "dataset")
        write_atomically(readme, card)
        return [readme]
    record = RunRecord.load(folder)
    here = f"./{folder.resolve().name}"
    figures = [path.relative_to(folder).as_posix() for path in sorted((folder / "figures").glob("*.png"))]
    card = model_card.render(
        record, repo_id=repo_id, folder=here, dataset_id=dataset_id, license=license, figures=figures
    )
    validate(card, "model")
    write_atomically(readme, card)
    results = folder / ".eval_results" / "seqhub.yaml"
    if "test" not in record.evaluation or dataset_id is None:
        results.unlink(missing_ok=True)  # of an earlier card
        return [readme]
    results.parent.mkdir(exist_ok=True)
    write_atomically(results, model_card.render_eval_results(record, dataset_id=dataset_id))
    return [readme, results]

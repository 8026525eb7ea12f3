"""What is rendered equals a fresh rendering: `make cards` would change nothing."""

from pathlib import Path

import dataset_scripts.render
import docs.render
import model_cards.render
from seqhub.cards.validate import validate
from seqhub.records import DatasetRecord, PaperRecord, RunRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.training.recipes import recipe

ROOT = Path(__file__).parent.parent


def test_dataset_cards() -> None:
    cards = dataset_scripts.render.rendered()
    assert cards.keys() >= {f"{name}.md" for name in list_tasks()}
    for name, fresh in cards.items():
        text = (ROOT / "dataset_scripts" / "cards" / name).read_text(encoding="utf-8")
        assert text == fresh, name
        validate(text, "dataset")


def test_model_cards_and_leaderboard() -> None:
    cards = model_cards.render.rendered()
    records = (ROOT / "model_cards").glob("*/run.json")
    assert cards.keys() >= {"README.md", *(f"{path.parent.name}/README.md" for path in records)}
    for name, fresh in cards.items():
        text = (ROOT / "model_cards" / name).read_text(encoding="utf-8")
        assert text == fresh, name
        if name.endswith("/README.md"):
            validate(text, "model")


def test_the_picture_of_the_papers_rows_is_that_of_their_record() -> None:
    from PIL import Image

    from seqhub.experiments.hs97.figure import fingerprint

    folder = ROOT / "model_cards"
    with Image.open(folder / model_cards.render.PICTURE) as picture:
        assert picture.info["Source"] == fingerprint(PaperRecord.load(folder))


def test_pages_with_rendered_parts() -> None:
    for name, fresh in docs.render.rendered().items():
        assert (ROOT / name).read_text(encoding="utf-8") == fresh, name


def test_every_task_has_been_released_with_its_present_rows() -> None:
    for name in list_tasks():
        record = DatasetRecord.read(ROOT / "dataset_scripts" / "cards" / f"{name}.json")
        task = get_task(name)
        assert record.task_version == task.version
        assert list(record.configs) == [config.name for config in task.configs]


def test_released_rows_are_the_rows_that_are_drawn_now() -> None:
    from seqhub.data.arrow import rows_table
    from seqhub.data.digest import digest
    from seqhub.tasks.splits import Split

    for name in list_tasks():
        record = DatasetRecord.read(ROOT / "dataset_scripts" / "cards" / f"{name}.json")
        for config, facts in record.configs.items():
            for split in ("validation", "test"):
                recorded = facts["splits"][split]
                drawn = rows_table(Split(f"{name}/{config}", split, record.seed), 0, recorded["rows"])
                assert digest(drawn) == recorded["digest"], f"{name}/{config} {split}"


def test_released_models_were_measured_on_released_rows() -> None:
    """Every config has one; of the tasks with numbers of a paper, whose rows are swept over many seeds, a few do."""
    released = {record.task: record for record in map(RunRecord.read, (ROOT / "model_cards").glob("*/run.json"))}
    for name in list_tasks():
        data = DatasetRecord.read(ROOT / "dataset_scripts" / "cards" / f"{name}.json")
        task = get_task(name)
        for config in task.configs:
            run = released.get(f"{name}/{config.name}")
            if run is None and task.paper_sequences:
                continue
            assert run is not None, f"{name}/{config.name}"
            assert run.model == recipe(run.task)["model"]
            for split in ("validation", "test"):
                assert run.evaluation[split]["digest"] == data.configs[config.name]["splits"][split]["digest"]

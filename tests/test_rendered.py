"""Rendered files, which equal a new rendering: `make cards` would change nothing."""

import tomllib
from pathlib import Path

import pytest

import dataset_scripts.render
import docs.render
import model_cards.render
from seqhub.cards.validate import validate
from seqhub.experiments.bench.page import render as render_bench
from seqhub.models.pretrained import list_pretrained, pretrained
from seqhub.records import BenchRecord, DatasetRecord, PaperRecord, RunRecord
from seqhub.tasks.registry import get_task, list_tasks
from seqhub.training.recipes import recipe, solve

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "dataset_scripts" / "cards"
RELEASED = [name for name in list_tasks() if (RECORDS / f"{name}.json").is_file()]  # `test_releases` has all tasks


def outdated(rendered: dict[str, str], folder: Path) -> list[str]:
    """Return the files whose content differs from a new rendering."""
    return [name for name, text in rendered.items() if (folder / name).read_text(encoding="utf-8") != text]


def test_dataset_cards() -> None:
    cards = dataset_scripts.render.rendered(RELEASED)
    for card in cards.values():
        validate(card, "dataset")
    assert not outdated(cards, RECORDS)


def test_model_cards_and_leaderboard() -> None:
    pages = model_cards.render.rendered()
    cards = {f"seqhub/pretrained_models/{name}/README.md" for name in list_pretrained()}
    assert len(cards) > 30
    assert pages.keys() == cards | {"model_cards/README.md", "model_cards/hs97.md"}
    for name in cards:
        validate(pages[name], "model")
    assert not outdated(pages, ROOT)


def test_the_figure_of_the_papers_rows_is_drawn_from_their_record() -> None:
    from PIL import Image

    from seqhub.experiments.hs97.figure import fingerprint

    folder = ROOT / "model_cards"
    with Image.open(folder / model_cards.render.PICTURE) as picture:
        assert picture.info["Source"] == fingerprint(PaperRecord.load(folder))


@pytest.mark.parametrize("name", ["bench", "bench/flip_flop", "cells"])
def test_the_pages_of_published_benchmarks(name: str) -> None:
    folder = ROOT / "model_cards" / name
    record = BenchRecord.load(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == render_bench(record)
    grid = tomllib.loads((folder / "grid.toml").read_text(encoding="utf-8"))
    for name in ("models", "tasks", "seeds", "rows"):
        assert record.grid[name] == grid[name]
    assert not [cell for cell in record.cells if cell["status"] not in ("finished", "diverged")]


def test_pages_with_rendered_parts() -> None:
    assert not outdated(docs.render.rendered(), ROOT)


def test_the_current_version_of_each_task_is_released() -> None:
    for name in RELEASED:
        record = DatasetRecord.read(RECORDS / f"{name}.json")
        task = get_task(name)
        assert record.task_version == task.version
        assert list(record.configs) == [config.name for config in task.configs]


def test_released_rows_equal_newly_generated_ones() -> None:
    from seqhub.data.arrow import rows_table
    from seqhub.data.digest import digest
    from seqhub.tasks.splits import Split

    different = []
    for name in RELEASED:
        record = DatasetRecord.read(RECORDS / f"{name}.json")
        for config, facts in record.configs.items():
            for split in ("validation", "test"):
                recorded = facts["splits"][split]
                rows = rows_table(Split(f"{name}/{config}", split, record.seed), 0, recorded["rows"])
                if digest(rows) != recorded["digest"]:
                    different.append(f"{name}/{config} {split}")
    assert not different


def test_released_models_were_evaluated_on_released_rows() -> None:
    """Every config with a recipe of its own has a model; tasks with numbers of a paper are trained from many seeds."""
    runs = [RunRecord.load(pretrained(name)) for name in list_pretrained()]
    released = {str(record.task): record for record in runs}
    faults = []
    for name in RELEASED:
        data = DatasetRecord.read(RECORDS / f"{name}.json")
        task = get_task(name)
        for config in task.configs:
            run = released.get(f"{name}/{config.name}")
            if run is None and (task.paper_sequences or not hasattr(solve, name)):
                continue
            if run is None or run.model != recipe(run.task)["model"]:
                faults.append(f"{name}/{config.name}: no model of its recipe")
                continue
            splits = data.configs[config.name]["splits"]
            faults += [
                f"{name}/{config.name}: other rows of {split}"
                for split in ("validation", "test")
                if run.evaluation[split]["digest"] != splits[split]["digest"]
            ]
    assert not faults, "\n".join(faults)

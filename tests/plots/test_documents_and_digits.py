"""Figures of row_images and documents, from small runs of heads that do or do not read single steps."""

from pathlib import Path

import pytest
from PIL import Image

from seqhub.cli.results import draw
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gru", "cnn"])
@pytest.mark.parametrize(
    ("task_id", "name"),
    [("row_images/digits8", "digits-row-by-row.png"), ("documents/width64", "chunks-and-answer.png")],
)
def test_the_figure_is_drawn(task_id: str, name: str, model: str, tmp_path: Path) -> None:
    settings = recipe(task_id, "gru") | {"max_sequences": 160, "evaluate_size": 64, "hidden_size": 8}
    if model == "cnn":
        settings = {each: value for each, value in settings.items() if "hidden" not in each}
    train(TrainConfig(task=task_id, model=model, output_dir=tmp_path / "run", cpu=True, **settings))
    drawn = {path.name: path for path in draw(tmp_path / "run")}
    with Image.open(drawn[name]) as image:
        assert image.width == 1600
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20

"""The figure of the rows of a paper."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from PIL import Image

from seqhub.errors import InvalidInputError
from seqhub.experiments.hs97.figure import fingerprint, plot_paper
from seqhub.plots.style import BLUE, VERMILION
from seqhub.records import PaperRecord
from tests.helpers.hs97_record import paper_record


def pixels(path: Path, colour: str) -> int:
    """Return the number of pixels that have nearly this colour."""
    return int((np.abs(imread(path)[..., :3] - to_rgb(colour)).max(axis=2) < 0.02).sum())


def test_the_figure_is_deterministic_and_identifies_its_record(tmp_path: Path) -> None:
    record = paper_record()
    for name in ("one.png", "two.png"):
        plot_paper(record, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.info["Source"] == fingerprint(record)
    record.rows["2c-q50-p50"]["results"]["lstm"]["paper"]["sequences"] = [0, 179]
    assert picture.info["Source"] != fingerprint(record)


def test_the_runs_of_each_model_are_drawn(tmp_path: Path) -> None:
    record = paper_record()
    plot_paper(record, tmp_path / "both.png")
    for row in record.rows.values():
        row["results"] = {"lstm": row["results"]["lstm"]}
    plot_paper(record, tmp_path / "ours.png")
    assert pixels(tmp_path / "both.png", VERMILION) > 0 == pixels(tmp_path / "ours.png", VERMILION)
    assert pixels(tmp_path / "ours.png", BLUE) > 0
    for row in record.rows.values():
        row["results"]["lstm"] = {"strict": row["results"]["lstm"]["paper"]}
    plot_paper(record, tmp_path / "theirs.png")
    assert pixels(tmp_path / "theirs.png", BLUE) == 0


def test_a_record_without_rows_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="0 rows; must have at least 1"):
        plot_paper(PaperRecord(rows={}), tmp_path / "none.png")
    assert not any(tmp_path.iterdir())

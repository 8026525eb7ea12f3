"""Figures of encoder-decoders: attention, and exact match by length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seqhub.cli.results import draw
from seqhub.errors import InvalidInputError
from seqhub.evaluation.by_length import exact_match_by_length
from seqhub.evaluation.evaluate import evaluate
from seqhub.evaluation.introspect import load_tracer
from seqhub.plots.alignment import plot_alignment
from seqhub.plots.exact_match_by_length import plot_exact_match
from seqhub.records import RunRecord
from tests.helpers.example_configs import small_run


def dark(path: Path) -> np.ndarray[Any, Any]:
    """Return the share of dark pixels in each column of a picture."""
    return (np.asarray(Image.open(path).convert("L")) < 100).mean(axis=0)


@pytest.mark.parametrize("source", [list("abcdef"), np.eye(6)], ids=["symbols", "values"])
def test_a_weight_of_one_is_a_black_cell(source: Any, tmp_path: Path) -> None:
    """All weights on the last step darken the right side of the map."""
    target = ["x", " ", "end"]
    first, last = np.zeros((3, 6)), np.zeros((3, 6))
    first[:, 0], last[:, 5] = 1, 1
    for name, weights in (("first", first), ("last", last)):
        plot_alignment(source, target, weights, tmp_path / f"{name}.png", title="a title")
    one, other = dark(tmp_path / "first.png"), dark(tmp_path / "last.png")
    left, right = slice(150, 400), slice(-450, -200)
    assert one[left].mean() > other[left].mean() + 0.2
    assert other[right].mean() > one[right].mean() + 0.2


def test_weights_of_another_shape_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"weights \(2, 3\) for 2 symbols and 4 steps"):
        plot_alignment(list("abcd"), ["x", "y"], np.zeros((2, 3)), tmp_path / "a.png", title="")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("task_id", ["reverse_words/short", "digit_captions/several"])
def test_a_run_has_both_figures(task_id: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    small_run(task_id, folder)
    assert "lengths.png" not in {path.name for path in draw(folder)}
    record = evaluate(folder, num_examples=300, sibling_examples=100)
    assert {"alignment.png", "lengths.png"} <= {path.name for path in draw(folder)}
    found = exact_match_by_length(record)
    by_length = record.evaluation["test"]["by_length"]
    assert sum(count["total"] for count in by_length.values()) == 300
    for length, each in found.items():
        if each.trained:
            assert each.share == by_length[str(length)]["correct"] / by_length[str(length)]["total"]
        assert 0 <= each.low <= each.share <= each.high <= 1
    assert {each.trained for each in found.values()} == {True, False}
    trace = load_tracer(folder)(record.probes[0])
    assert trace.attention is not None
    assert trace.attention.shape == (len(trace.generated), len(record.probes[0].split(" ")) if "reverse" in task_id else
                                     len(record.probes[0]))  # fmt: skip
    np.testing.assert_allclose(trace.attention.sum(axis=1), 1, atol=1e-5)


def test_a_run_before_its_evaluation_has_no_exact_matches(tmp_path: Path) -> None:
    small_run("reverse_words/short", tmp_path / "run")
    found = exact_match_by_length(RunRecord.load(tmp_path / "run"))
    with pytest.raises(InvalidInputError, match="no exact matches by length"):
        plot_exact_match(found, tmp_path / "a.png", title="")

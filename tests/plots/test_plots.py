"""The figures: same input, same bytes; what they must show is there; wrong input is told in one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from seqhub.errors import InvalidInputError, SaveError
from seqhub.evaluation.metrics import wilson_interval
from seqhub.plots.canvas import GREEN, VERMILION
from seqhub.plots.curves import plot_curves
from seqhub.plots.lengths import plot_lengths
from seqhub.plots.states import plot_states
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split

HISTORY = [
    {
        "sequences": 96 * i,
        "loss": 1.386 / i,
        "accuracy": min(1.0, 0.25 + i / 40),
        "validation_accuracy": min(1.0, 0.24 + i / 40) if i % 4 == 0 else None,
    }
    for i in range(1, 41)
]


def metrics(correct: int, length: list[int], total: int = 2_560) -> dict[str, object]:
    return {
        "examples": total,
        "accuracy": correct / total,
        "interval": list(wilson_interval(correct, total)),
        "length": length,
        "mean_length": sum(length) / 2,
    }


def run(evaluation: dict[str, dict[str, object]]) -> RunRecord:
    return RunRecord(
        address="qrsu/hard", model="lstm", model_config={}, num_parameters=244, seed=7, training={}, data={},
        sequences_seen=5_000, optimizer_steps=157, processes=1, criteria={}, evaluation=evaluation,
    )  # fmt: skip


def curves(path: Path, met: int | None = 2_560) -> None:
    plot_curves(HISTORY, path, title="a run", criteria={"accuracy>=0.999": met, "st3": None}, chance=0.25)


def states(path: Path, address: str = "qrsu/hard") -> None:
    text = Split(address, "test")[0].inputs
    random = np.random.default_rng(0)
    cell = random.normal(size=(len(text), 8)).cumsum(0)
    probabilities = random.dirichlet(np.ones(4), len(text))
    marked = {step for step, symbol in enumerate(text) if symbol in "XY"}
    plot_states(
        text, {"hidden": np.tanh(cell), "cell": cell}, path, title="a sequence", probabilities=probabilities,
        labels="QRSU", marked=marked,
    )  # fmt: skip


def lengths(path: Path) -> None:
    evaluation = {
        "validation": metrics(2_559, [100, 110]),
        "test": metrics(2_560, [100, 110]),
        "easy/test": metrics(700, [7, 8]),
        "nightmare/test": metrics(1_200, [300, 500]),
    }
    plot_lengths(run(evaluation), path)


DRAWINGS: list[Callable[[Path], None]] = [curves, states, lengths]


def pixels_of(path: Path, color: str) -> int:
    """How many pixels have exactly this colour."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    picture = (imread(path)[..., :3] * 255).round().astype(int)
    return int((picture == wanted).all(axis=-1).sum())


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
def test_same_input_gives_same_bytes_of_card_width(draw: Callable[[Path], None], tmp_path: Path) -> None:
    settings = dict(mpl.rcParams)
    draw(tmp_path / "one.png")
    draw(tmp_path / "two.png")
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    assert b"matplotlib" not in content.lower()
    assert b"tEXt" not in content
    assert b"tIME" not in content
    assert imread(tmp_path / "one.png").shape[1] == 1600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.png", "two.png"]
    assert dict(mpl.rcParams) == settings


def test_no_figure_needs_pyplot() -> None:
    code = (
        "import sys, seqhub.plots.curves, seqhub.plots.states, seqhub.plots.lengths\n"
        "assert not {'matplotlib.pyplot', 'torch', 'datasets', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_criterion_is_marked_where_it_was_met_and_only_then(tmp_path: Path) -> None:
    curves(tmp_path / "met.png")
    curves(tmp_path / "missed.png", met=None)
    assert pixels_of(tmp_path / "met.png", GREEN) > 500
    assert pixels_of(tmp_path / "missed.png", GREEN) == 0


def test_curves_without_validation_or_of_one_row_are_drawn(tmp_path: Path) -> None:
    rows = [{"sequences": 32, "loss": 0.0, "accuracy": 1.0, "validation_accuracy": None}]
    with pytest.raises(InvalidInputError, match=r"no rows of history for .*curves\.png"):
        plot_curves([], tmp_path / "curves.png", title="", criteria={}, chance=0.25)
    plot_curves(rows, tmp_path / "curves.png", title="", criteria={}, chance=0.25)
    assert pixels_of(tmp_path / "curves.png", VERMILION) == 0


@pytest.mark.parametrize("address", ["qrsu/easy", "qrsu/nightmare"])
def test_sequences_of_any_length_are_drawn(address: str, tmp_path: Path) -> None:
    states(tmp_path / "states.png", address)
    assert imread(tmp_path / "states.png").shape[0] < 1600  # no taller than wide


def test_a_state_that_never_moved_is_drawn(tmp_path: Path) -> None:
    plot_states("B", {"hidden": np.zeros((1, 1))}, tmp_path / "s.png", title="", probabilities=None, labels="")
    assert (tmp_path / "s.png").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("shapes", "marked", "message"),
    [
        ({"hidden": (5, 2)}, (), r"state 'hidden' of shape \(5, 2\) for 4 symbols; need \(4, units\)"),
        ({"hidden": (4, 2)}, (1, 4), r"marked steps \[4\] of 4; need a state or more and marked steps from 0 to 3"),
        ({}, (), "no states; need a state or more"),
    ],
)
def test_states_that_do_not_fit_their_sequence_are_refused(
    shapes: dict[str, tuple[int, int]], marked: tuple[int, ...], message: str, tmp_path: Path
) -> None:
    given = {name: np.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(InvalidInputError, match=message):
        plot_states("BXYE", given, tmp_path / "s.png", title="", probabilities=None, labels="QRSU", marked=marked)


def test_probabilities_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"probabilities \(4, 3\) for 4 symbols and 4 labels"):
        plot_states(
            "BXYE", {"h": np.zeros((4, 2))}, tmp_path / "s.png", title="", probabilities=np.ones((4, 3)), labels="QRSU"
        )


def test_the_trained_level_stands_out(tmp_path: Path) -> None:
    lengths(tmp_path / "all.png")
    plot_lengths(run({"easy/test": metrics(700, [7, 8])}), tmp_path / "other.png")
    assert pixels_of(tmp_path / "all.png", VERMILION) > 50
    assert pixels_of(tmp_path / "other.png", VERMILION) == 0


def test_lengths_need_a_test_result(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match="no test results in run qrsu-hard-lstm; its evaluation needs 'test' or"
    ):
        plot_lengths(run({"validation": metrics(2_559, [100, 110])}), tmp_path / "l.png")


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"cannot write .*no-such/l\.png: No such file or directory"):
        lengths(tmp_path / "no-such" / "l.png")

"""Figures: equal input gives equal bytes, required elements are drawn, and wrong input is an error of one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from seqhub.errors import InvalidInputError, SaveError
from seqhub.metrics.intervals import wilson_interval
from seqhub.plots import tasks as task_figures
from seqhub.plots.accuracy_by_length import levels, plot_lengths
from seqhub.plots.curves import plot_curves
from seqhub.plots.lr_range import plot_rates
from seqhub.plots.states import plot_states
from seqhub.plots.style import BLUE, GREEN, VERMILION
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
        task="qrsu/hard", model="lstm", model_config={}, num_parameters=244, seed=7, training={}, data={},
        sequences_seen=5_000, optimizer_steps=157, processes=1, criteria={}, evaluation=evaluation,
    )  # fmt: skip


def curves(path: Path, met: int | None = 2_560) -> None:
    plot_curves(HISTORY, path, title="a run", criteria={"accuracy>=0.999": met, "st3": None}, chance=0.25)


def states(path: Path, task_id: str = "qrsu/hard") -> None:
    text = Split(task_id, "test")[0].inputs
    random = np.random.default_rng(0)
    cell = random.normal(size=(len(text), 8)).cumsum(0)
    probabilities = random.dirichlet(np.ones(4), len(text))
    marked = {step for step, symbol in enumerate(text) if symbol in "XY"}
    plot_states(
        text, {"hidden": np.tanh(cell), "cell": cell}, path, title="a sequence", readout=probabilities,
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


def rates(path: Path) -> None:
    steps = np.geomspace(1e-5, 1, 100)
    losses = 1.4 - np.exp(-np.square(np.log10(steps) + 2)) + 1e3 * (steps > 0.9)
    plot_rates(steps.tolist(), losses.tolist(), losses.tolist(), path, title="a test", loss_unit="nats", marked=5e-3)


DRAWINGS: list[Callable[[Path], None]] = [curves, states, lengths, rates]


def pixels_of(path: Path, color: str) -> int:
    """Return the number of pixels of exactly this colour."""
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
        "import sys, seqhub.plots.curves, seqhub.plots.states, seqhub.plots.accuracy_by_length\n"
        "assert not {'matplotlib.pyplot', 'torch', 'datasets', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_only_criteria_that_were_met_are_marked(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("task_id", ["qrsu/easy", "qrsu/nightmare"])
def test_sequences_of_any_length_are_drawn(task_id: str, tmp_path: Path) -> None:
    states(tmp_path / "states.png", task_id)
    assert imread(tmp_path / "states.png").shape[0] < 1600  # no taller than wide


def test_a_constant_state_is_drawn(tmp_path: Path) -> None:
    plot_states("B", {"hidden": np.zeros((1, 1))}, tmp_path / "s.png", title="", readout=None, labels="")
    assert (tmp_path / "s.png").stat().st_size > 1_000


def test_states_that_do_not_fit_their_sequence_are_an_error(tmp_path: Path) -> None:
    wrong: tuple[tuple[dict[str, tuple[int, int]], tuple[int, ...], str], ...] = (
        ({"hidden": (5, 2)}, (), r"'hidden' of shape \(5, 2\) for 4 steps.* \(4, units\)"),
        ({"hidden": (4, 2)}, (1, 4), r"marked steps \[4\] of 4.* from 0 to 3"),
        ({}, (), "no states"),
    )
    for shapes, marked, message in wrong:
        states = {name: np.zeros(shape) for name, shape in shapes.items()}
        with pytest.raises(InvalidInputError, match=message):
            plot_states("BXYE", states, tmp_path / "s.png", title="", readout=None, labels="QRSU", marked=marked)


@pytest.mark.parametrize(("features", "classes"), [(1, 0), (2, 3), (28, 10)])
def test_real_values_are_drawn_above_the_states(features: int, classes: int, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(20, features))
    readout = random.dirichlet(np.ones(classes), 20) if classes else values[:, :1]
    plot_states(
        values, {"hidden": np.tanh(values)}, tmp_path / "s.png", title="", readout=readout,
        labels=[str(number) for number in range(classes)],
    )  # fmt: skip
    assert pixels_of(tmp_path / "s.png", BLUE) > 500 or (features > 8 and classes > 8)
    with pytest.raises(InvalidInputError, match=r"state 'hidden' of shape \(20, \d+\) for 19 steps"):
        plot_states(values[1:], {"hidden": values}, tmp_path / "t.png", title="", readout=None, labels=())


def test_words_are_written_if_they_fit(tmp_path: Path) -> None:
    words = ["good", "bad"] * 5
    for number, symbols in enumerate((words, words * 30)):
        path = tmp_path / f"{number}.png"
        plot_states(symbols, {"h": np.ones((len(symbols), 2))}, path, title="", readout=None, labels=(), marked=[3])
    assert (tmp_path / "0.png").stat().st_size > (tmp_path / "1.png").stat().st_size


def test_only_levels_of_different_lengths_are_compared(tmp_path: Path) -> None:
    alike = {"test": metrics(2_560, [100, 110]), "nightmare/test": metrics(2_000, [100, 110])}
    assert levels(run({"test": metrics(2_560, [100, 110])})) == {}
    assert levels(run(alike)) == {}
    steps = {"test": metrics(2_560, [100, 110]), "easy/test": metrics(700, [7, 8])}
    assert list(levels(run(steps))) == ["easy", "hard"]
    for each in steps.values():
        del each["interval"]  # classes per step have none
    plot_lengths(run(steps), tmp_path / "l.png")
    assert pixels_of(tmp_path / "l.png", VERMILION) > 50


CUSTOM = """
from pathlib import Path
from seqhub.plots.style import new_figure, save

def figures(folder, record, watch):
    figure = new_figure(1.0)
    figure.subplots().plot(watch("ab"))
    save(figure, folder / "input-and-output.png")
    return [folder / "input-and-output.png"]
"""


def test_a_module_with_the_name_of_the_task_draws_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "qrsu.py").write_text(CUSTOM)
    monkeypatch.setattr(task_figures, "__path__", [str(tmp_path / "modules")])
    watched = []

    def watch(inputs: str) -> list[int]:
        watched.append(inputs)
        return [1, 2]

    try:
        assert task_figures.draw_task_figures(tmp_path, run({}), watch) == [tmp_path / "input-and-output.png"]  # type: ignore[arg-type]
    finally:
        sys.modules.pop(f"{task_figures.__name__}.qrsu", None)
    assert watched == ["ab"]
    assert (tmp_path / "input-and-output.png").stat().st_size > 1_000


def test_a_readout_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"readout \(4, 3\) for 4 steps and 4 labels"):
        plot_states(
            "BXYE", {"h": np.zeros((4, 2))}, tmp_path / "s.png", title="", readout=np.ones((4, 3)), labels="QRSU"
        )


def test_the_trained_level_is_highlighted(tmp_path: Path) -> None:
    lengths(tmp_path / "all.png")
    plot_lengths(run({"easy/test": metrics(700, [7, 8])}), tmp_path / "other.png")
    assert pixels_of(tmp_path / "all.png", VERMILION) > 50
    assert pixels_of(tmp_path / "other.png", VERMILION) == 0


def test_lengths_need_a_test_result(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match="no test results in run qrsu-hard-lstm; its evaluation needs 'test' or"
    ):
        plot_lengths(run({"validation": metrics(2_559, [100, 110])}), tmp_path / "l.png")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match=r"cannot write .*no-such/l\.png: No such file or directory"):
        lengths(tmp_path / "no-such" / "l.png")

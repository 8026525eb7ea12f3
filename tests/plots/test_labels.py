"""Labels, legends and ticks of figures: inside the picture, apart from each other, with round numbers."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from seqhub.errors import InvalidInputError
from seqhub.plots import accuracy_by_length, confusion, curves, states
from seqhub.tasks.ref import TaskRef

NAMES = ["very positive review", "negative", "neutral", "mixed", "off topic", "spam", "a foreign language", "none"]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Callable[[], None]], Figure]:
    """Return a function that returns the figure that a module draws, instead of saving it."""

    def draw(module: Any, call: Callable[[], None]) -> Figure:
        found: list[Figure] = []
        monkeypatch.setattr(module, "save", lambda figure, path: found.append(figure))
        call()
        found[0].draw_without_rendering()
        return found[0]

    return draw


def boxes(figure: Figure, texts: Any) -> list[Bbox]:
    return [text.get_window_extent() for text in texts if text.get_text()]


def test_labels_of_levels_with_equal_lengths_do_not_collide(drawn: Any) -> None:
    ref = TaskRef.parse("qrsu/easy")
    evaluation = {
        "test" if config.name == "easy" else f"{config.name}/test": {
            "length": list(config.length), "mean_length": sum(config.length) / 2, "accuracy": 0.9,
        }
        for config in ref.definition.configs
    }  # fmt: skip
    record = SimpleNamespace(task=ref, evaluation=evaluation, name="qrsu-easy-lstm")
    figure = drawn(accuracy_by_length, lambda: accuracy_by_length.plot_lengths(record, Path("lengths.png")))  # type: ignore[arg-type]
    names = [text for text in figure.axes[0].texts if text.get_text() != "chance"]
    assert len(names) == len(evaluation)
    found = [*boxes(figure, names), *boxes(figure, [figure._suptitle])]
    assert not [pair for pair in combinations(found, 2) if Bbox.intersection(*pair) is not None]
    assert all(figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1) for box in found)


def test_the_legend_of_long_names_is_in_the_picture_and_lines_differ(drawn: Any) -> None:
    readout = np.full((30, len(NAMES)), 1 / len(NAMES))
    figure = drawn(
        states,
        lambda: states.plot_states(
            ["w"] * 30, {"hidden": np.ones((30, 4))}, Path("states.png"), title="x", readout=readout, labels=NAMES
        ),
    )
    panel = next(axes for axes in figure.axes if axes.get_legend())
    box = panel.get_legend().get_window_extent()
    assert figure.bbox.contains(box.x0, box.y0)
    assert figure.bbox.contains(box.x1, box.y1)
    styles = {(line.get_color(), line.get_linestyle()) for line in panel.lines}
    assert len(styles) == len(NAMES)


@pytest.mark.parametrize("losses", [[1.9, 1.8, 1.4], [2.0, 1.0, 0.3], [2.0, 0.1, 1e-3, 1e-5], [0.0, 0.0]])
def test_ticks_of_losses_are_plain_numbers(losses: list[float], drawn: Any) -> None:
    history = [{"sequences": n, "loss": loss, "accuracy": 0.5} for n, loss in enumerate(losses)]
    figure = drawn(curves, lambda: curves.plot_curves(history, Path("curves.png"), title="x", criteria={}, chance=None))
    low, high = figure.axes[0].get_ylim()
    ticks = zip(figure.axes[0].get_yticks(), figure.axes[0].get_yticklabels(), strict=True)
    shown = [label.get_text() for at, label in ticks if low <= at <= high]
    assert len(shown) >= 2
    assert all("10^" not in text and text for text in shown)
    assert not [text.get_text() for text in figure.axes[0].get_yticklabels(minor=True) if text.get_text()]


def test_a_confusion_matrix_has_names_and_counts_in_the_picture(drawn: Any) -> None:
    counts = np.arange(64).reshape(8, 8).tolist()
    figure = drawn(confusion, lambda: confusion.plot_confusion(counts, NAMES, Path("confusion.png"), title="x"))
    axes = figure.axes[0]
    assert [int(text.get_text()) for text in axes.texts] == list(range(64))
    labels = boxes(figure, [*axes.get_xticklabels(), *axes.get_yticklabels()])
    assert all(figure.bbox.contains(box.x0, box.y0) and figure.bbox.contains(box.x1, box.y1) for box in labels)
    with pytest.raises(InvalidInputError, match=r"^confusion matrix of shape \(8, 8\) for 2 labels; must be square$"):
        confusion.plot_confusion(counts, NAMES[:2], Path("confusion.png"), title="x")


def test_the_title_of_a_benchmark_with_many_budgets_is_in_the_picture(drawn: Any) -> None:
    """Regression: the title was one line, cut at the right end of the picture."""
    from seqhub.experiments.bench.summary import compared_distributions, groups
    from seqhub.plots import bench
    from seqhub.records import BenchRecord

    record = BenchRecord.load(Path(__file__).parents[2] / "model_cards" / "bench")
    ((group, rows),) = groups(record.rows).items()
    assert len(str(group)) > 150
    for call in (
        lambda: bench.plot_heat_map(rows, compared_distributions(rows), Path("bench.png"), title=str(group)),
        lambda: bench.plot_bench_lengths(rows, Path("lengths.png"), title=str(group)),
    ):
        figure = drawn(bench, call)
        (box,) = boxes(figure, [figure._suptitle])
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)

"""Labels, legends and ticks of figures: inside the picture, apart from each other, with round numbers."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from seqhub.errors import InvalidInputError
from seqhub.metrics.calibration import Calibration
from seqhub.plots import accuracy_by_length, attribution, calibration, confusion, curves, states
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


def test_points_of_many_models_are_in_the_picture(drawn: Any) -> None:
    """Regression: each model moved the points by two percent of their length, 44 models out of the picture."""
    from seqhub.experiments.bench.summary import groups
    from seqhub.plots import bench
    from seqhub.records import BenchRecord

    record = BenchRecord.load(Path(__file__).parents[2] / "model_cards" / "cells")
    ((group, rows),) = groups(record.rows).items()
    assert len({row["model"] for row in rows}) == 44
    figure = drawn(bench, lambda: bench.plot_bench_lengths(rows, Path("lengths.png"), title=str(group)))
    for axes in figure.axes:
        left, right = axes.get_xlim()
        # lines to the edge, such as that of chance, are in units of the axes
        lengths = [x for line in axes.lines if line.get_transform() == axes.transData for x in line.get_xdata()]
        assert all(left <= x <= right for x in lengths)
        assert len(lengths) >= 44 or not axes.get_visible()


LONG = [f"not recommended at all, number {n}" for n in range(30)]
CHINESE = ["正面", "负面", "中性", "不相关", "垃圾"] * 6


def outside(figure: Figure) -> list[str]:
    """Return the texts that leave the picture."""
    undrawn = {  # labels of ticks beyond the ends of an axis
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and id(text) not in undrawn]
    found = [(text, text.get_window_extent()) for text in texts]
    shown = [(text, box) for text, box in found if text.get_visible() and box.width and box.height]
    room = figure.bbox.padded(1.0)  # of rounding
    return [
        text.get_text() for text, box in shown if not (room.contains(box.x0, box.y0) and room.contains(box.x1, box.y1))
    ]


def collisions(figure: Figure, texts: Any) -> list[Any]:
    found = [box.padded(-1.0) for box in boxes(figure, texts)]
    return [pair for pair in combinations(found, 2) if Bbox.intersection(*pair) is not None]


@pytest.mark.parametrize("names", [LONG, CHINESE], ids=["long", "Chinese"])
@pytest.mark.parametrize("classes", [2, 8, 30])
def test_figures_of_any_number_of_classes(classes: int, names: list[str], drawn: Any) -> None:
    random = np.random.default_rng(classes)
    labels, counts = names[:classes], random.integers(0, 999, (classes, classes)).tolist()
    figure = drawn(
        confusion, lambda: confusion.plot_confusion(counts, labels, Path("confusion.png"), title="评论.csv: test rows")
    )
    assert not outside(figure)
    axes = figure.axes[0]
    assert not collisions(figure, axes.get_xticklabels())
    assert not collisions(figure, axes.get_yticklabels())
    assert len({text.get_text() for text in axes.get_yticklabels()}) == classes
    readout = random.dirichlet(np.ones(classes), 40)
    figure = drawn(
        states,
        lambda: states.plot_states(
            list("很好ab" * 10), {"hidden": np.ones((40, 4))}, Path("states.png"), title="x", readout=readout,
            labels=labels,
        ),
    )  # fmt: skip
    assert not outside(figure)
    panel = next(axes for axes in figure.axes if axes.get_ylabel() == "probability")
    shown = panel.get_legend().get_texts() if panel.get_legend() else panel.get_yticklabels()
    assert len({text.get_text() for text in shown}) == classes
    assert not collisions(figure, shown)


def test_long_sequences_are_cut_with_a_mark(drawn: Any) -> None:
    steps = 1_234
    figure = drawn(
        states,
        lambda: states.plot_states(
            ["w"] * steps, {"hidden": np.ones((steps, 4))}, Path("states.png"), title="x", readout=None, labels=[],
            marked=[3, 900],
        ),
    )  # fmt: skip
    assert figure.axes[1].get_xlim() == (-0.5, 499.5)
    assert "the first 500 of 1,234" in figure.axes[1].get_xlabel()
    assert any(text.get_text() == "…" for text in figure.axes[0].texts)
    assert not outside(figure)


@pytest.mark.parametrize("channels", [1, 30, 80])
def test_attribution_has_a_row_and_a_sum_for_each_channel(channels: int, drawn: Any) -> None:
    random = np.random.default_rng(channels)
    values, gradient = random.normal(size=(2, 600, channels))
    names = [f"a long name of a channel {n}" for n in range(channels)]
    figure = drawn(
        attribution,
        lambda: attribution.plot_attribution(values, gradient, names, Path("a.png"), title="x", output="score"),
    )
    assert not outside(figure)
    heat, bars = figure.axes[:2]
    assert np.allclose([bar.get_width() for bar in bars.patches], (values * gradient).sum(axis=0))
    assert np.allclose(heat.images[0].get_array(), (values * gradient)[:500].T)
    assert "500 of 600" in heat.get_xlabel()


def test_a_reliability_diagram_shows_the_bins(drawn: Any) -> None:
    found = Calibration()
    found.add(np.array([[0.95, 0.05], [0.45, 0.55], [0.2, 0.8]]), np.array([0, 0, 1]))
    metrics = found.metrics()
    assert metrics["error"] == pytest.approx((0.05 + 0.55 + 0.2) / 3)
    figure = drawn(calibration, lambda: calibration.plot_calibration(metrics, Path("c.png"), title="x"))
    assert not outside(figure)
    upper, lower = figure.axes
    assert [bar.get_height() for bar in upper.patches] == [0, 1, 1]
    assert sum(bar.get_height() for bar in lower.patches) == 3
    assert "26.7%" in upper.get_title(loc="left")
    with pytest.raises(InvalidInputError, match="no predictions"):
        calibration.plot_calibration(Calibration().metrics(), Path("c.png"), title="x")

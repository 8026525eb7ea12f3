"""Figures of square from a small run: their names, the decision surface and the animation."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from seqhub.cli.results import draw
from seqhub.evaluation.introspect import load_tracer
from seqhub.plots.tasks import square
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

STILL = ["directions.png", "eight-sequences.png", "noisy-sequences.png"]


def run(folder: Path, task_id: str, model: str, **settings: object) -> Path:
    config = recipe(task_id, model, "tutorial") | {"max_sequences": 160, "evaluate_size": 64} | settings
    train(TrainConfig(task=task_id, model=model, output_dir=folder, **config))
    return folder


@pytest.fixture(scope="module")
def two_units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "two", "square/tutorial", "rnn_tanh")


@pytest.mark.slow
def test_all_figures_are_drawn(two_units: Path) -> None:
    names = {path.name for path in draw(two_units)}
    states = "hidden-states-step-by-step"
    assert names == {*STILL, f"{states}.png", f"{states}.gif", "states.png", "curves.png"}
    for path in (two_units / "figures").glob("*.png"):
        with Image.open(path) as image:
            assert image.width == 1600
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20
    with Image.open(two_units / "figures" / f"{states}.gif") as image:
        frames = []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.array(image.convert("RGB"), dtype=int))
    moved = [int(np.abs(one - other).max()) > 100 for one, other in pairwise(frames)]
    assert sum(moved) >= 4 * 5  # on the way through four steps, with rests at either end
    assert np.abs(frames[0] - frames[-1]).max() > 100


def test_the_surface_is_that_of_the_head(two_units: Path) -> None:
    watch = load_tracer(two_units)
    traces = [watch(sequence) for sequence, _ in square.canonical_sequences()]
    found = square._head(np.array([trace.states["hidden"] for trace in traces]), np.array([t.readout for t in traces]))
    weights = load_file(two_units / "model.safetensors")
    expected = [*weights["classifier.weight"][0].tolist(), *weights["classifier.bias"].tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_eight_sequences_follow_the_definition() -> None:
    sequences = square.canonical_sequences()
    assert len({points.tobytes() for points, _ in sequences}) == 8
    assert square.TASK.solve_batch([points for points, _ in sequences]) == [name for _, name in sequences]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "settings"), [("lstm", {"hidden_size": 3}), ("cnn", {})])
def test_states_with_other_than_two_units_are_omitted(tmp_path: Path, model: str, settings: dict[str, object]) -> None:
    folder = run(tmp_path / "run", "square/variable", model, **settings)
    assert {path.name for path in draw(folder)} >= set(STILL)
    assert not (folder / "figures" / "hidden-states-step-by-step.png").exists()

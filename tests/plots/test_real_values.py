"""Figures of chirps, windows and ramps from models trained on few sequences; and saliency."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from seqhub.cli.results import draw
from seqhub.evaluation.introspect import load_tracer
from seqhub.evaluation.load import load_model
from seqhub.plots.tasks import draw_task_figures
from seqhub.plots.tasks.windows import draw_weights, hidden_weights
from seqhub.records import RunRecord
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe
from seqhub.training.train import train

CUSTOM = {
    "chirps/direction": "spectrograms-with-saliency.png",
    "chirps/onset": "spectrograms-with-saliency.png",
    "windows/k4-n8": "weights.png",
    "two_sequence/3a-t100-n3": "answer-at-each-step.png",
    "two_sequence/3c-t100-n3": "answer-at-each-step.png",
    "adding/hs97-t100": "answer-at-each-step.png",
    "multiplication/hs97-t100": "answer-at-each-step.png",
    "ramps/pair": "reconstructions.png",
    "ramps/image": "reconstructions.png",
    "ramps/tutorial": "reconstructions.png",
}


def trained(folder: Path, task_id: str, model: str | None = None) -> Path:
    short = {"max_sequences": 64, "evaluate_every": 32, "evaluate_size": 32, "stop_at": "none"}
    settings = recipe(task_id, model) | ({} if model is None else {"model": model})
    train(TrainConfig(task=task_id, output_dir=folder / "run", **settings | short))
    return folder / "run"


@pytest.mark.fast_cases("windows/k4-n8", "ramps/scalar")
@pytest.mark.parametrize("task_id", CUSTOM)
def test_figures_of_tasks_are_drawn_reproducibly(task_id: str, tmp_path: Path) -> None:
    run = trained(tmp_path, task_id)
    (own,) = (path for path in draw(run) if path.name not in ("states.png", "curves.png"))
    assert own.name == CUSTOM[task_id]
    first = own.read_bytes()
    own.unlink()
    assert draw_task_figures(own.parent, RunRecord.load(run), load_tracer(run)) == [own]
    assert own.read_bytes() == first
    picture = imread(own)[..., :3]
    assert picture.shape[1] == 1600
    assert picture.std() > 0.05


def test_other_models_of_windows_have_no_figure_of_weights(tmp_path: Path) -> None:
    run = trained(tmp_path, "windows/k4-n8", "cnn")
    assert "weights.png" not in {path.name for path in draw(run)}


def test_drawn_weights_are_those_of_the_model(tmp_path: Path) -> None:
    layers = {}
    for model in ("locally_connected", "fully_connected"):
        run = trained(tmp_path / model, "windows/k4-n8", model)
        hidden, layers[model] = load_model(run).model.hidden, hidden_weights(run)
        with torch.inference_mode():
            effect = hidden(torch.eye(32)) - hidden(torch.zeros(32, 32))
        np.testing.assert_allclose(effect.flatten(1).numpy().T, layers[model], atol=1e-6)
    assert np.count_nonzero(layers["locally_connected"]) * 8 == np.count_nonzero(layers["fully_connected"]) == 2048
    draw_weights(layers, tmp_path / "weights.png", title="both")
    assert imread(tmp_path / "weights.png").shape[1] == 1600


def test_saliency_is_the_gradient_of_the_output(tmp_path: Path) -> None:
    watch = load_tracer(trained(tmp_path, "windows/k4-n8"))
    values = Split("windows/k4-n8", "test")[0].inputs
    trace, step = watch(values), 1e-3
    assert trace.saliency is not None
    assert trace.saliency.shape == values.shape
    best = trace.logits.argmax()
    slopes = []
    for place in range(len(values)):
        moved = values.copy()
        moved[place] += step
        slopes.append((watch(moved).logits[best] - trace.logits[best]) / step)
    np.testing.assert_allclose(trace.saliency[:, 0], slopes, atol=5e-3)


def test_texts_have_no_saliency(tmp_path: Path) -> None:
    assert load_tracer(trained(tmp_path, "qrsu/easy"))("BaXbYdE").saliency is None


@pytest.mark.parametrize("task_id", ["two_sequence/3c-t100-n3", "adding/hs97-t100"])
def test_the_drawn_prediction_at_the_last_step_is_that_of_the_model(task_id: str, tmp_path: Path) -> None:
    run = trained(tmp_path, task_id)
    trace = load_tracer(run)(Split(task_id, "test")[0].inputs)
    answer = float(trace.logits[0])
    logistic = task_id.startswith("two_sequence")
    assert trace.readout is not None
    assert float(trace.readout[-1, 0]) == pytest.approx(1 / (1 + np.exp(-answer)) if logistic else answer, abs=1e-6)

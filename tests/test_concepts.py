"""The figures of docs/concepts.md: drawn from their numbers, which are measured on real gradients."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from docs import concepts
from seqhub.tasks.splits import Split
from seqhub.training.model_setup import create_model

NUMBERS = json.loads(concepts.NUMBERS.read_text(encoding="utf-8"))


def test_the_figures_show_these_numbers(tmp_path: Path) -> None:
    concepts.draw(NUMBERS, tmp_path / "gradients.png", tmp_path / "shapes.png")
    for committed, name in ((concepts.GRADIENTS, "gradients"), (concepts.SHAPES, "shapes")):
        difference = np.abs(imread(committed) - imread(tmp_path / f"{name}.png"))
        assert (difference > 0.2).mean() < 0.002  # fonts may differ on other machines


def test_the_numbers_have_the_settings_of_the_script() -> None:
    assert NUMBERS["address"] == concepts.TASK_ID
    assert NUMBERS["seeds"] == list(concepts.SEEDS)
    assert (NUMBERS["steps"], NUMBERS["rows"]) == (concepts.STEPS, concepts.ROWS)
    assert NUMBERS["sequences"] == concepts.SEQUENCES
    assert list(NUMBERS["networks"]) == list(concepts.NETWORKS)


@pytest.mark.parametrize("network", concepts.NETWORKS)
def test_gradients_of_initial_weights_are_reproducible(network: str, tmp_path: Path) -> None:
    config = concepts.settings(network, 0, tmp_path)
    with torch.random.fork_rng():
        model = create_model(config, Split(concepts.TASK_ID).schema)
    measured = concepts.gradient_by_lag(model, *concepts.rows())
    np.testing.assert_allclose(measured[:60], NUMBERS["networks"][network]["first"][0][:60], rtol=1e-2)


def test_gradient_by_the_state_is_that_of_finite_differences(tmp_path: Path) -> None:
    """Compare with a tanh recurrence, h' = tanh(W h + x), whose Jacobians are multiplied explicitly."""
    config = concepts.settings("rnn_tanh", 1, tmp_path)
    with torch.random.fork_rng():
        model = create_model(config, Split(concepts.TASK_ID).schema).double()
    ids, labels = (each[:1] for each in concepts.rows())
    measured = concepts.gradient_by_lag(model, ids, labels)
    with torch.no_grad():
        states = model.model(ids).last_hidden_state[0]
        recurrence = model.model.layers[0].recurrence
        scores = model.classifier(states[-1])
        gradient = model.classifier.weight.T @ (scores.softmax(-1) - torch.nn.functional.one_hot(labels[0], 4))
        norms = [gradient.norm()]
        for step in range(1, 40):
            gradient = recurrence.weight_hh_l0.T @ ((1 - states[-step].square()) * gradient)
            norms.append(gradient.norm())
    np.testing.assert_allclose(measured[:40], [float(norm / norms[0]) for norm in norms], rtol=1e-6)


def test_only_the_chrono_gates_let_the_gradient_through() -> None:
    """The claim of the page at the important lags: the symbols are 40 to 100 steps before the end."""
    first = {name: np.median(found["first"], axis=0) for name, found in NUMBERS["networks"].items()}
    assert first["lstm, chrono"][100] > 1e-2
    assert first["lstm"][50] < 1e-6
    assert first["rnn_tanh"][50] < 1e-6

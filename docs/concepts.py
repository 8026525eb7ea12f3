"""Figures and numbers of docs/concepts.md: `python -m docs.concepts` measures and draws them.

The gradients are from real runs: networks of width 8 on `qrsu/hard` with their recipes, measured before the first
training sequence and after the last.
"""

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from seqhub.cli.errors import script
from seqhub.data.collate import collate_batch, to_tensors
from seqhub.evaluation.load import load_model
from seqhub.io import write_atomically
from seqhub.plots.style import BLUE, GREEN, GREY, LABEL, SMALL, TITLE, VERMILION, new_figure, save, tidy
from seqhub.records import environment
from seqhub.tasks.splits import Split
from seqhub.training.config import TrainConfig
from seqhub.training.history import read_history
from seqhub.training.model_setup import create_model
from seqhub.training.recipes import recipe
from seqhub.training.train import train

HERE = Path(__file__).parent
NUMBERS = HERE / "concepts.json"
SHAPES, GRADIENTS = HERE / "images" / "concepts-shapes.png", HERE / "images" / "concepts-gradients.png"

TASK_ID, STEPS, ROWS = "qrsu/hard", 105, 64  # test sequences of one length
SEEDS, SEQUENCES = range(5), 5_120
NETWORKS: dict[str, dict[str, Any]] = {
    "rnn_tanh": {"model": "rnn_tanh"},
    "lstm": {"model": "lstm", "initialization": "default", "chrono_max_steps": None},
    "lstm, chrono": {"model": "lstm"},
}
COLORS = {"rnn_tanh": VERMILION, "lstm": GREY, "lstm, chrono": BLUE}


def settings(network: str, seed: int, folder: Path) -> TrainConfig:
    """Return the settings of the run of one network."""
    chosen = NETWORKS[network]
    length = {"max_sequences": SEQUENCES, "evaluate_every": SEQUENCES, "stop_at": "none"}
    own = recipe(TASK_ID, chosen["model"]) | chosen | length
    return TrainConfig(task=TASK_ID, output_dir=folder, seed=seed, cpu=True, **own)


def rows() -> tuple[Tensor, Tensor]:
    """Return ids (ROWS, STEPS) and labels (ROWS,) of the first test sequences with STEPS steps."""
    split = Split(TASK_ID, "test")
    batch = next(split.batches(0, 4_096))
    batch = batch[np.flatnonzero(batch.lengths == STEPS)[:ROWS]]
    found = to_tensors(collate_batch(batch, split.schema), STEPS)
    return found["input_ids"], found["labels"]


def gradient_by_lag(model: PreTrainedModel, ids: Tensor, labels: Tensor) -> list[float]:
    """Return the gradient of the loss with respect to earlier states, relative to that of the last state.

    The sequences are read step by step, each step from the previous state, so that autograd has the gradient of the
    loss with respect to every state: the hidden state and, for an LSTM, the cell state.

    Args:
        model: A recurrent classifier with a head on the last state.
        ids: (B, T).
        labels: (B,).

    Returns:
        T numbers, from lag 0 on: the norm of the gradient with respect to the state at that lag, divided by that at
        lag 0, as the median over the sequences.
    """
    model = model.double().eval()
    state, states = None, []
    for step in range(ids.size(1)):
        state = model.model(ids[:, step : step + 1], past_key_values=state, use_cache=True).past_key_values
        parts = [part for part in (state.hidden, state.cell) if part is not None]
        for part in parts:
            part.retain_grad()
        states.append(parts)
    F.cross_entropy(model.classifier(state.hidden[-1]), labels, reduction="sum").backward()
    norms = torch.stack(
        [torch.cat([_gradient(part) for part in parts], dim=-1).norm(dim=(0, 2)) for parts in reversed(states)]
    )
    return (norms / norms[0]).median(dim=1).values.tolist()


def _gradient(state: Tensor) -> Tensor:
    return torch.zeros_like(state) if state.grad is None else state.grad  # the last cell state is not used


def measure() -> dict[str, Any]:
    """Return all numbers of the figure, by network and seed."""
    ids, labels = rows()
    networks: dict[str, Any] = {}
    for network in NETWORKS:
        found: dict[str, list[Any]] = {"first": [], "trained": [], "accuracy": []}
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                config = settings(network, seed, Path(folder) / "run")
                with torch.random.fork_rng():
                    first = create_model(config, Split(TASK_ID).schema)
                train(config)
                found["accuracy"].append(read_history(config.output_dir)[-1]["validation_accuracy"])
                for name, model in (("first", first), ("trained", load_model(config.output_dir))):
                    found[name].append([float(f"{value:.4g}") for value in gradient_by_lag(model, ids, labels)])
        networks[network] = found
    sizes = {"address": TASK_ID, "steps": STEPS, "rows": ROWS, "seeds": list(SEEDS), "sequences": SEQUENCES}
    return {**sizes, "environment": environment(), "networks": networks}


def draw_gradients(numbers: dict[str, Any], path: Path) -> None:
    """Draw gradients against lag, a thin line for each seed and a thick median, before and after training."""
    figure = new_figure(3.9)
    panels = figure.subplots(1, 2, sharey=True)
    figure.suptitle("Gradient of the loss against lag", fontsize=TITLE, x=0.01, ha="left")
    when = {"first": "initial weights", "trained": f"after {numbers['sequences']:,} sequences"}
    for axes, (name, title) in zip(panels, when.items(), strict=True):
        for network, found in numbers["networks"].items():
            color = COLORS[network]
            for gradients in found[name]:
                axes.plot(gradients, color=color, linewidth=0.6, alpha=0.35)
            middle = [median(values) for values in zip(*found[name], strict=True)]
            solved = sum(accuracy > 0.99 for accuracy in found["accuracy"])
            label = network if name == "first" else f"{network}: {solved} of {len(numbers['seeds'])} seeds solved"
            axes.plot(middle, color=color, linewidth=2, label=label)
        axes.set_yscale("log")
        axes.set_ylim(1e-12, 3)
        axes.set_xlim(0, numbers["steps"] - 1)
        axes.set_title(title, fontsize=LABEL, loc="left")
        axes.set_xlabel("lag: steps before the last", fontsize=LABEL)
        tidy(axes)
        axes.legend(loc="center right", fontsize=SMALL, frameon=False)
    panels[0].set_ylabel("gradient with respect to the state, relative", fontsize=LABEL)
    save(figure, path)


_INPUT, _STATE, _OUTPUT = 0, 1, 2  # rows of boxes, from the bottom
_KINDS: tuple[tuple[str, str, tuple[int, ...], tuple[int, ...], int], ...] = (
    # title, example here, steps with an input, steps with an output, steps
    ("one to one", "no recurrence:\nwindows", (0,), (0,), 1),
    ("one to many", "generate() from\none character", (0,), (0, 1, 2), 3),
    ("many to one", "qrsu, square,\nsentiment, chirps", (0, 1, 2), (2,), 3),
    ("many to many", "echo,\nchar_completion", (0, 1, 2), (0, 1, 2), 3),
    ("many to many, later", "ramps:\nencode, then decode", (0, 1), (2, 3), 4),
)


def draw_shapes(path: Path) -> None:
    """Draw the five combinations of one or many inputs and outputs, with tasks for each."""
    figure = new_figure(2.25)
    widths = [steps + 0.6 for *_, steps in _KINDS]
    panels = figure.subplots(1, len(_KINDS), width_ratios=widths)
    for axes, (title, example, given, answered, steps) in zip(panels, _KINDS, strict=True):
        for step in range(steps):
            _box(axes, step, _STATE, GREEN)
            if step:
                _arrow(axes, (step - 1, _STATE), (step, _STATE))
            if step in given:
                _box(axes, step, _INPUT, VERMILION)
                _arrow(axes, (step, _INPUT), (step, _STATE))
            if step in answered:
                _box(axes, step, _OUTPUT, BLUE)
                _arrow(axes, (step, _STATE), (step, _OUTPUT))
        axes.set_xlim(-0.8, steps - 0.2)
        axes.set_ylim(-0.5, 2.5)
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(title, fontsize=LABEL)
        axes.text((steps - 1) / 2, -0.75, example, ha="center", va="top", fontsize=SMALL, color=GREY)
    for row, name, color in ((_OUTPUT, "output", BLUE), (_STATE, "state", GREEN), (_INPUT, "input", VERMILION)):
        panels[0].text(-0.7, row, name, ha="right", va="center", fontsize=SMALL, color=color)
    save(figure, path)


def _box(axes: Axes, x: float, y: float, color: str) -> None:
    axes.add_patch(
        FancyBboxPatch((x - 0.22, y - 0.22), 0.44, 0.44, boxstyle="round,pad=0.03", facecolor=color, edgecolor="none")
    )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=8, shrinkA=9, shrinkB=9, color="#333333", linewidth=1
        )
    )


def draw(numbers: dict[str, Any], gradients: Path = GRADIENTS, shapes: Path = SHAPES) -> None:
    """Draw both figures; equal numbers give equal bytes."""
    draw_gradients(numbers, gradients)
    draw_shapes(shapes)


def main() -> None:
    """Measure the numbers of the page and draw its figures."""
    torch.set_num_threads(1)
    write_atomically(NUMBERS, (json.dumps(measure()) + "\n").encode())
    draw(json.loads(NUMBERS.read_text(encoding="utf-8")))


if __name__ == "__main__":
    script(main)

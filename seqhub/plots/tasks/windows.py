"""Figures of `windows`: the weights of each hidden value."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from seqhub.plots.style import LABEL, SMALL, TITLE, new_figure, save, tidy
from seqhub.plots.trace import Floats, Watch
from seqhub.records import RunRecord


def figures(folder: Path, record: RunRecord, watch: Watch) -> list[Path]:
    """Draw the weights of the hidden layer, if the model family has one."""
    run = folder.parent
    if "connectivity" not in json.loads((run / "config.json").read_text(encoding="utf-8")):
        return []
    path = folder / "weights.png"
    draw_weights({record.model: hidden_weights(run)}, path, title=f"{record.task}, seed {record.seed}")
    return [path]


def hidden_weights(run: Path) -> Floats:
    """Return the weight matrix of the hidden layer of a locally connected or fully connected model.

    Args:
        run: Folder of the model.

    Returns:
        Matrix (hidden values, values of a row); a locally connected layer has 0 outside each window.
    """
    weight: Floats = load_file(run / "model.safetensors")["model.hidden.weight"]
    if weight.ndim == 2:
        return weight
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    windows, size, each = weight.shape
    matrix = np.zeros((windows * each, config["num_steps"] * config["num_features"]), dtype=weight.dtype)
    for window, part in enumerate(weight):
        first = window * config["stride"] - config["padding"]
        reached = np.arange(max(first, 0), min(first + size, matrix.shape[1]))
        matrix[window * each : (window + 1) * each, reached] = part[reached - first].T
    return matrix


def draw_weights(layers: Mapping[str, Floats], path: Path, *, title: str) -> None:
    """Draw matrices (hidden values, values of a row) side by side on one colour scale.

    Raises:
        SaveError: The file cannot be written.
    """
    figure = new_figure(4.4)
    figure.suptitle(title, fontsize=TITLE, x=0.01, ha="left")
    limit = max(float(np.abs(matrix).max()) for matrix in layers.values()) or 1.0
    panels = figure.subplots(1, len(layers), squeeze=False)[0]
    for axes, (name, matrix) in zip(panels, layers.items(), strict=True):
        image = axes.imshow(matrix, aspect="auto", cmap="PuOr", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(f"{name}: {np.count_nonzero(matrix):,} weights", fontsize=LABEL)
        axes.set_xlabel("value of the row", fontsize=LABEL)
        tidy(axes, grid=False)
    panels[0].set_ylabel("hidden value", fontsize=LABEL)
    bar = figure.colorbar(image, ax=list(panels), pad=0.01, aspect=30, ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels([f"{-limit:.2g}", "0", f"{limit:.2g}"], fontsize=SMALL)
    bar.outline.set_visible(False)
    save(figure, path)

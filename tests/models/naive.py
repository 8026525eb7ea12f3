"""The recurrent models in plain NumPy, one sequence and one step at a time: what the tests trust."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Weights = dict[str, NDArray[np.float64]]


def sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def run_cell(cell: str, weights: Weights, prefix: str, inputs: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Hidden states and, of an LSTM, cell states of one direction of one layer."""
    weight_ih, weight_hh, bias_ih, bias_hh = (
        weights[f"{prefix}.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    hidden = memory = np.zeros(weight_hh.shape[1])
    states, cells = [], []
    for x in inputs:
        a, r = weight_ih @ x + bias_ih, weight_hh @ hidden + bias_hh
        if cell == "rnn_tanh":
            hidden = np.tanh(a + r)
        elif cell == "rnn_relu":
            hidden = np.maximum(a + r, 0)
        elif cell == "gru":
            (a_reset, a_keep, a_new), (r_reset, r_keep, r_new) = np.split(a, 3), np.split(r, 3)
            keep = sigmoid(a_keep + r_keep)
            new = np.tanh(a_new + sigmoid(a_reset + r_reset) * r_new)
            hidden = (1 - keep) * new + keep * hidden
        elif cell == "lstm":
            admit, keep, new, show = np.split(a + r, 4)
            memory = sigmoid(keep) * memory + sigmoid(admit) * np.tanh(new)
            hidden = sigmoid(show) * np.tanh(memory)
            cells.append(memory)
        states.append(hidden)
    return states, cells


def one_hot(ids: Sequence[int], vocab_size: int) -> list[Vector]:
    """Padding, id 0, has no column."""
    return [np.eye(vocab_size)[i][1:] for i in ids]


def run_layers(config, weights: Weights, inputs: Sequence[Vector]) -> list[tuple[list[Vector], list[Vector]]]:
    """Hidden and cell states of every layer, both directions side by side."""
    layers = []
    for index in range(config.num_hidden_layers):
        prefix = f"model.layers.{index}.recurrence"
        states, cells = run_cell(config.cell, weights, prefix, inputs)
        if config.bidirectional:
            back_states, back_cells = run_cell(config.cell, weights, f"{prefix}_reverse", inputs[::-1])
            states = [np.concatenate(pair) for pair in zip(states, back_states[::-1], strict=True)]
            cells = [np.concatenate(pair) for pair in zip(cells, back_cells[::-1], strict=True)]
        layers.append((states, cells))
        inputs = states
    return layers


def pool(config, states: Sequence[Vector]) -> Vector:
    if config.pooling == "mean":
        return np.mean(states, axis=0)
    if config.pooling == "max":
        return np.max(states, axis=0)
    size = config.hidden_size
    return np.concatenate([states[-1][:size], states[0][size:]])


def logits(config, weights: Weights, inputs: Sequence[Vector]) -> Vector:
    states, _ = run_layers(config, weights, inputs)[-1]
    return weights["classifier.weight"] @ pool(config, states) + weights["classifier.bias"]


def cross_entropy(logits: Vector, label: int) -> float:
    """In nats."""
    return float(np.log(np.exp(logits - logits.max()).sum()) - (logits[label] - logits.max()))

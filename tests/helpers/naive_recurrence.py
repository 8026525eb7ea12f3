"""Reference implementation of the recurrent models in NumPy, one sequence and one step at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Weights = dict[str, NDArray[np.float64]]


def sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


def run_cell(cell: str, weights: Weights, prefix: str, inputs: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Return hidden states, and cell states of an LSTM, of one direction of one layer."""
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


def gate_numbers(config) -> tuple[list[int], list[int] | None]:
    """Return the rows of the input gate and of the output gate of each memory cell among the units."""
    size, blocks = config.hidden_size, config.hidden_size // config.block_size
    admit = [size + cell // config.block_size for cell in range(size)]
    return admit, [number + blocks for number in admit] if config.output_gates else None


def run_blocks(config, weights: Weights, prefix: str, inputs: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Return outputs of the memory cells, and states and gate activations, of one direction of a layer."""
    steps = block_steps(config, weights, prefix, inputs)
    return [step["output"] for step in steps], [np.concatenate([step["state"], step["gates"]]) for step in steps]


def block_steps(config, weights: Weights, prefix: str, inputs: Sequence[Vector]) -> list[dict[str, Vector]]:
    """Compute all activations step by step, as in appendix A.1 of Hochreiter & Schmidhuber (1997)."""
    weight_ih, weight_hh, bias = (weights.get(f"{prefix}.{name}_l0") for name in ("weight_ih", "weight_hh", "bias"))
    size, units = config.hidden_size, len(weight_ih)
    admit, show = gate_numbers(config)
    state, before, steps = np.zeros(size), np.zeros(units), []
    for x in inputs:
        net = weight_ih @ x
        if weight_hh is not None:
            net += weight_hh @ before
        if bias is not None:
            net[units - len(bias) :] += bias
        active = sigmoid(net)
        new = active[:size] if config.squash_input == "g1" else 4 * active[:size] - 2
        state = state + active[admit] * new
        squashed = state if config.squash_output == "id" else 2 * sigmoid(state) - 1
        output = squashed if show is None else active[show] * squashed
        step = {"active": active, "new": new, "state": state, "squashed": squashed, "output": output}
        steps.append(step | {"gates": active[size:], "before": before})
        before = np.concatenate([output, active[size:]])
    return steps


def truncated_gradients(
    config, weights: Weights, prefix: str, inputs: Sequence[Vector], errors: Sequence[Vector]
) -> Weights:
    """Return gradients of the weights by the forward recursion of the appendix: errors stay in the cells.

    Args:
        config: Config of a model of `lstm_hs97`.
        weights: Weights of the model.
        prefix: Prefix of the names of weights in one direction of one layer.
        inputs: Inputs of all steps.
        errors: Derivatives of the loss with respect to the outputs of the cells, of all steps.
    """
    names = [f"{prefix}.{name}_l0" for name in ("weight_ih", "weight_hh", "bias")]
    size, admit_and_show = config.hidden_size, gate_numbers(config)
    admit, show = admit_and_show
    units = len(weights[names[0]])
    sources = len(inputs[0]) + units + 1  # the input, the units of the previous step, and the bias
    gradient = np.zeros((units, sources))
    of_cell, of_admit = np.zeros((size, sources)), np.zeros((size, sources))  # derivatives of the state
    for x, step, error in zip(inputs, block_steps(config, weights, prefix, inputs), errors, strict=True):
        source = np.concatenate([x, step["before"], [1.0]])
        slope = step["active"] * (1 - step["active"])
        for cell in range(size):
            slope_in = slope[cell] * (1 if config.squash_input == "g1" else 4)
            of_cell[cell] += step["active"][admit[cell]] * slope_in * source
            of_admit[cell] += step["new"][cell] * slope[admit[cell]] * source
            slope_out = 1 if config.squash_output == "id" else (1 - step["squashed"][cell] ** 2) / 2
            at_state = error[cell] * slope_out * (1 if show is None else step["active"][show[cell]])
            gradient[cell] += at_state * of_cell[cell]
            gradient[admit[cell]] += at_state * of_admit[cell]
            if show is not None:
                gradient[show[cell]] += error[cell] * step["squashed"][cell] * slope[show[cell]] * source
    width = len(inputs[0])
    parts = dict(zip(names, (gradient[:, :width], gradient[:, width:-1], gradient[:, -1]), strict=True))
    return {name: part[-len(weights[name]) :] for name, part in parts.items() if name in weights}


def one_hot(ids: Sequence[int], vocab_size: int) -> list[Vector]:
    """Return one-hot vectors; padding, id 0, has no column."""
    return [np.eye(vocab_size)[i][1:] for i in ids]


def run_direction(config, weights: Weights, prefix: str, inputs: Sequence[Vector]) -> tuple[list[Vector], list[Vector]]:
    """Return hidden and cell states of one direction of one layer."""
    if config.cell == "lstm_hs97":
        return run_blocks(config, weights, prefix, inputs)
    return run_cell(config.cell, weights, prefix, inputs)


def run_layers(config, weights: Weights, inputs: Sequence[Vector]) -> list[tuple[list[Vector], list[Vector]]]:
    """Return hidden and cell states of every layer, with both directions concatenated."""
    layers = []
    for index in range(config.num_hidden_layers):
        prefix = f"model.layers.{index}.recurrence"
        states, cells = run_direction(config, weights, prefix, inputs)
        if config.bidirectional:
            back_states, back_cells = run_direction(config, weights, f"{prefix}_reverse", inputs[::-1])
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
    if not config.bidirectional:
        return states[-1]
    size = config.hidden_size
    return np.concatenate([states[-1][:size], states[0][size:]])


def logits(config, weights: Weights, inputs: Sequence[Vector]) -> Vector:
    states, _ = run_layers(config, weights, inputs)[-1]
    if getattr(config, "connectivity", "full") == "below":
        states = [np.concatenate(pair) for pair in zip(states, inputs, strict=True)]
    scores = weights["classifier.weight"] @ pool(config, states)
    return scores + weights["classifier.bias"] if "classifier.bias" in weights else scores


def cross_entropy(logits: Vector, label: int) -> float:
    """Return the cross-entropy in nats."""
    return float(np.log(np.exp(logits - logits.max()).sum()) - (logits[label] - logits.max()))

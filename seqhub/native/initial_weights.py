"""Initial weights of recurrent models without torch, bit for bit those of the modelling files.

PyTorch's modules draw weights when they are created. Then `post_init` of transformers draws them again by the scheme of
the config, for the recurrences and for the readout when each of them is complete.

`initialization="identity"` is left to torch, whose normal distribution uses vector instructions that NumPy does not
reproduce.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqhub.native.loader import CELLS
from seqhub.native.model import HEADS
from seqhub.native.torch_random import TorchRandom

_BLOCKS = "seqhub_hs97"  # `model_type` of memory cell blocks


def initial_weights(
    config: Any, head: str, seed: int, weights_seed: int | None = None
) -> dict[str, NDArray[np.float32]] | None:
    """Return the initial weights of a model, by name and in the order of its parameters; None if torch is needed.

    Args:
        config: Config of one of the families `recurrent` and `hs97`.
        head: A key of `HEADS`.
        seed: Seed of the model, for `torch.manual_seed`.
        weights_seed: If not None, the weights are those of `reset_parameters` of all modules in order, after this seed.
    """
    if config.initialization == "identity" or config.inputs == "embedding":
        return None
    random = TorchRandom(seed)
    shapes = _recurrence_shapes(config)
    for shape in shapes.values():
        random.skip(math.prod(shape))
    weights = {name: _initialise(config, name, shape, random) for name, shape in shapes.items()}
    readout = _readout_shapes(config, head)
    for shape in readout.values():
        random.skip(math.prod(shape))
    scheme = config.model_type == _BLOCKS and config.initialization == "hs97"
    bound = config.init_range if scheme else 1 / math.sqrt(config.output_size)
    weights |= {name: random.uniform(shape, -bound, bound) for name, shape in readout.items()}
    if weights_seed is None:
        return weights
    random = TorchRandom(weights_seed)
    bounds = {name: 1 / math.sqrt(config.hidden_size) for name in shapes}
    bounds |= {name: 1 / math.sqrt(config.output_size) for name in readout}
    return {name: random.uniform(each.shape, -bounds[name], bounds[name]) for name, each in weights.items()}


def _recurrence_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of all layers and directions."""
    shapes: dict[str, tuple[int, ...]] = {}
    size = config.hidden_size
    for layer in range(config.num_hidden_layers):
        width = config.input_size if layer == 0 else size * (2 if config.bidirectional else 1)
        for direction in ("recurrence", "recurrence_reverse")[: 1 + config.bidirectional]:
            if config.model_type == _BLOCKS:
                units = size + config.num_gates
                biased = {"none": 0, "gates": config.num_gates}.get(config.biased_units, units)
                own: dict[str, tuple[int, ...]] = {"weight_ih_l0": (units, width)}
                if config.connectivity == "full":
                    own["weight_hh_l0"] = (units, units)
                if biased:
                    own["bias_l0"] = (biased,)
            else:
                rows = CELLS[config.cell] * size
                own = {"weight_ih_l0": (rows, width), "weight_hh_l0": (rows, size)}
                own |= {"bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
            shapes |= {f"model.layers.{layer}.{direction}.{name}": shape for name, shape in own.items()}
    return shapes


def _readout_shapes(config: Any, head: str) -> dict[str, tuple[int, ...]]:
    outputs = config.num_symbols if head == "causal" else config.num_labels
    shapes: dict[str, tuple[int, ...]] = {f"{HEADS[head]}.weight": (outputs, config.output_size)}
    if config.model_type != _BLOCKS or config.biased_units == "all":
        shapes[f"{HEADS[head]}.bias"] = (outputs,)
    return shapes


def _initialise(config: Any, path: str, shape: tuple[int, ...], random: TorchRandom) -> NDArray[np.float32]:
    """Return a weight of a recurrence; see `_init_weights` of the modelling files."""
    name, size = path.rpartition(".")[2], config.hidden_size
    if config.model_type == _BLOCKS:
        bound = config.init_range if config.initialization == "hs97" else 1 / math.sqrt(size)
        weight = random.uniform(shape, -bound, bound)
        if name == "bias_l0":
            gates = weight[-config.num_gates :]
            for part, value in (
                (gates[: config.num_blocks], config.input_gate_bias),
                (gates[config.num_blocks :], config.output_gate_bias),
            ):
                if value is not None:
                    part[:] = value
        return weight
    bound = 1 / math.sqrt(size)
    weight = random.uniform(shape, -bound, bound)
    scheme = config.initialization
    if name.startswith("bias") and scheme in ("forget_bias", "chrono"):
        keep = np.zeros(size, np.float32)
        if name == "bias_ih_l0" and scheme == "forget_bias":
            keep += np.float32(config.forget_bias)
        elif name == "bias_ih_l0":
            keep = random.uniform((size,), 1, config.chrono_max_steps - 1)
            keep = np.log(keep.astype(np.float64)).astype(np.float32)
        weight[size : 2 * size] = keep
        if scheme == "chrono" and config.cell == "lstm":
            weight[:size] = -keep
        elif config.input_gate_bias is not None:
            weight[:size] = config.input_gate_bias if name == "bias_ih_l0" else 0
    if config.latch and name == "weight_hh_l0":
        np.einsum("ii->i", weight[2 * size : 3 * size])[:] += np.float32(config.latch)
    return weight

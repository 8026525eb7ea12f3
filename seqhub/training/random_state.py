"""Random states of a process: those of the CPU and of its device, on which dropout depends."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqhub.tasks.rng import philox_key


def seed_process(seed: int, rank: int) -> None:
    """Give every process but the first random numbers of its own, so that no two draw the same dropout masks.

    Args:
        seed: Of the run; the first process goes on with the generators that drew the weights.
        rank: Number of this process.
    """
    if rank:
        words = np.random.Philox(key=philox_key({"masks": "process", "seed": seed, "rank": rank})).random_raw(1)
        torch.manual_seed(int(words[0]) >> 1)


def random_state(device: torch.device) -> dict[str, NDArray[np.uint8]]:
    """Return the state of every generator that a step of training draws from.

    Returns:
        Name -> state: "" for that of the CPU and, on another device, ".cuda" or the like for its own.
    """
    states = {"": torch.get_rng_state().numpy()}
    if (generator := _generator(device)) is not None:
        states[f".{device.type}"] = generator.get_rng_state().numpy()
    return states


def restore_random_state(tensors: dict[str, Tensor], name: str, device: torch.device) -> None:
    """Set the generators to the states that a checkpoint has.

    Args:
        tensors: Of the checkpoint.
        name: Before the names of `random_state`.
        device: Of this process. Its generator stays as it is where the checkpoint is one of another device.
    """
    torch.set_rng_state(tensors[name])
    state, generator = tensors.get(f"{name}.{device.type}"), _generator(device)
    if state is not None and generator is not None:
        generator.set_rng_state(state)


def _generator(device: torch.device) -> Any:
    """The module of a device, `torch.cuda` or the like, with the state of its generator."""
    return None if device.type == "cpu" else torch.get_device_module(device)

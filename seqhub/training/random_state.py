"""Random states of a process, of the CPU and of its device, which determine dropout masks."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqhub.tasks.rng import philox_key


def seed_process(seed: int, rank: int) -> None:
    """Seed the generator of each process except the first, so that all processes have different dropout masks.

    Args:
        seed: Seed of the run; the first process continues with the generators that initialised the weights.
        rank: Number of this process.
    """
    if rank:
        words = np.random.Philox(key=philox_key({"masks": "process", "seed": seed, "rank": rank})).random_raw(1)
        torch.manual_seed(int(words[0]) >> 1)


def random_state(device: torch.device) -> dict[str, NDArray[np.uint8]]:
    """Return the states of all generators that a training step uses.

    Returns:
        Name -> state: "" for the CPU and, on another device, its type with a dot, such as ".cuda".
    """
    states = {"": torch.get_rng_state().numpy()}
    if (generator := _generator(device)) is not None:
        states[f".{device.type}"] = generator.get_rng_state().numpy()
    return states


def restore_random_state(tensors: dict[str, Tensor], name: str, device: torch.device) -> None:
    """Set the generators to the states of a checkpoint.

    Args:
        tensors: Tensors of the checkpoint.
        name: Prefix of the names of `random_state`.
        device: Device of this process. Its generator is unchanged if the checkpoint is from another device.
    """
    torch.set_rng_state(tensors[name])
    state, generator = tensors.get(f"{name}.{device.type}"), _generator(device)
    if state is not None and generator is not None:
        generator.set_rng_state(state)


def _generator(device: torch.device) -> Any:
    """Return the module of a device, such as `torch.cuda`, which has the state of its generator; None for the CPU."""
    return None if device.type == "cpu" else torch.get_device_module(device)

"""Recipes of `qrsu`: the general one, and that of the course notebook."""

from typing import Any

from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes.general import solve

__all__ = ["solve", "tutorial"]


def tutorial(config: TaskConfig, model: str) -> dict[str, Any]:
    """Batches of 32, RMSprop at 1e-3, width 4, PyTorch's own initialisation (see `tasks.qrsu` for the course).

    Its epoch is 31 batches, 992 sequences, and after each it looks at as many others; after 100 epochs it ends, however
    well it does.
    """
    return {
        "hidden_size": 4,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "batch_size": 32,
        "max_grad_norm": None,
        "evaluate_every": 992,
        "evaluate_size": 992,
        "max_sequences": 99_200,
        "stop_at": "none",
    }

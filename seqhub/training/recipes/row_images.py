"""Recipes of `row_images`."""

from typing import Any

from seqhub.tasks.schema import CUSTOM, TaskConfig


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Two layers of 128, as in the course; the rows several times over, the rate falling to zero."""
    given: dict[str, Any] = {"epochs": 5, "max_sequences": 10_000_000} if config is CUSTOM else {"data": "splits"}
    return {
        "epochs": 20,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "batch_size": 32,
        "max_grad_norm": 1.0,
        "max_sequences": 100_000,
        "stop_at": "none",
        "evaluate_every": 3_200,
        "checkpoint_every": 16_000,
        **given,
    }

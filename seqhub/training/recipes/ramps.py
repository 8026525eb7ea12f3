"""Recipes of `ramps`: ours, and that of the example it comes from (see `tasks.ramps`)."""

from typing import Any

from seqhub.tasks.schema import TaskConfig

MODEL = "lstm_autoencoder"

_BY_HEART = {"data": "splits", "epochs": 2_000, "max_sequences": 4_000, "batch_size": 2, "evaluate_every": 20}


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Adam at 0.01, falling to zero; a wider state where there is more to remember than one start and one rise."""
    settings: dict[str, Any] = {"optimizer": "adam", "max_grad_norm": 1.0, "stop_at": "accuracy"}
    if config.name == "tutorial":
        return settings | _BY_HEART | {"hidden_size": 20, "learning_rate": 1e-2, "accuracy": 1.0}
    return settings | {
        "hidden_size": 32 if config.name == "scalar" else 64,
        "batch_size": 32,
        "learning_rate": 1e-2 if config.name == "scalar" else 5e-3,
        "schedule": "cosine",
        "max_sequences": 150_000,
        "accuracy": 0.95,
        "evaluate_every": 3_200,
        "evaluate_size": 2_000,
        "checkpoint_every": 16_000,
    }


def tutorial(config: TaskConfig, model: str) -> dict[str, Any]:
    """Width 20, Adam as it comes, both sequences in one batch; it ends where the example went on for ever."""
    settings = {"hidden_size": 20, "optimizer": "adam", "learning_rate": 1e-3, "max_grad_norm": None, "accuracy": 1.0}
    return settings | (_BY_HEART if config.name == "tutorial" else {"batch_size": 2})

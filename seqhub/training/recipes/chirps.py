"""Recipes of `chirps`: filters over frequency, then an LSTM over time."""

from typing import Any

from seqhub.tasks.schema import TaskConfig

MODEL = "cnn_lstm"


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """The largest of each state over time: what is read off the last one must be kept through noise from the start."""
    settings: dict[str, Any] = {
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "max_grad_norm": 1.0,
        "schedule": "cosine",
        "batch_size": 32,
        "max_sequences": 40_000,
        "accuracy": 0.99 if config.name == "direction" else 0.9,  # of the onsets; the others are near misses
        "evaluate_every": 1_600,
        "evaluate_size": 1_000,
    }
    if model.startswith("cnn_"):
        return settings | {"hidden_size": 32, "model_options": {"pooling": "max"}}
    return settings if model == "cnn" else settings | {"hidden_size": 32}

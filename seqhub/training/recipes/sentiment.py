"""Recipes of `sentiment`: embedded words and gates that stay open, and sentences of one's own."""

from typing import Any

from seqhub.tasks.schema import CUSTOM, TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Fresh sentences, embedded words, Adam at 0.01; gates opened for as long as a sentence lasts (see `general`).

    Sentences of a file are given, so they are seen again and again, in all epochs that were asked for.
    """
    if config is CUSTOM:
        return {
            "model_options": {"inputs": "embedding", "embedding_size": 32},
            "hidden_size": 32,
            "optimizer": "adam",
            "learning_rate": 3e-3,
            "epochs": 20,
            "max_sequences": 10_000_000,
            "batch_size": 16,
            "stop_at": "none",
            "evaluate_every": 1_600,
        }
    return general.solve(config, model) | {
        "model_options": {"inputs": "embedding", "embedding_size": 16},
        "hidden_size": 16,
        "learning_rate": 1e-2,
        "batch_size": 32,
    }

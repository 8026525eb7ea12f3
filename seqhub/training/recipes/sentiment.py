"""Recipes of `sentiment`: embedded words and gates that stay open, and sentences of one's own."""

from typing import Any

from seqhub.tasks.base import TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Fresh sentences, embedded words, Adam at 0.01; gates opened for as long as a sentence lasts (see `general`)."""
    return general.solve(config, model) | {
        "model_options": {"inputs": "embedding", "embedding_size": 16},
        "hidden_size": 16,
        "learning_rate": 1e-2,
        "batch_size": 32,
    }

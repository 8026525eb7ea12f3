"""Recipes of `documents`."""

from typing import Any

from seqhub.tasks.base import TaskConfig


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """One layer of 100, as RoBERT has it, on fresh documents, the rate falling to zero.

    A run goes on to its end although it soon makes no mistake among 2,048: to make none among many more.
    """
    return {
        "hidden_size": 100,
        "optimizer": "adam",
        "learning_rate": 4e-3,
        "schedule": "cosine",
        "batch_size": 32,
        "max_grad_norm": 1.0,
        "max_sequences": 8_192,
        "stop_at": "none",
        "accuracy": 1.0,
        "evaluate_every": 2_048,
        "evaluate_size": 2_048,
        "checkpoint_every": 8_192,
    }

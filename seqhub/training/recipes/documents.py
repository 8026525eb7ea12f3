"""Recipes of `documents`."""

from typing import Any

from seqhub.tasks.schema import CUSTOM, TaskConfig


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """One layer of 100, as RoBERT has it, on fresh documents, the rate falling to zero.

    A run goes on to its end although it soon makes no mistake among 2,048: to make none among many more. Documents of a
    file are given, so they are seen again and again.
    """
    if config is CUSTOM:
        return {
            "hidden_size": 100,
            "optimizer": "adam",
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "epochs": 40,
            "max_sequences": 10_000_000,
            "batch_size": 16,
            "max_grad_norm": 1.0,
            "stop_at": "none",
            "evaluate_every": 1_600,
        }
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

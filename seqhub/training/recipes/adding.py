"""Recipes of `adding`: small batches, and a learning rate that falls as the error does."""

from typing import Any, cast

from seqhub.tasks.adding import AddingConfig
from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """At a constant rate the last errors come and go: 2,000 right answers in a row need a rate that has fallen."""
    scaled = cast(AddingConfig, config).rules == "hs97"  # to a quarter of the sum
    settings = general.solve(config, model)
    if model == "lstm":
        settings |= {"batch_size": 4, "schedule": "error", "error_floor": 0.02}
        settings["chrono_max_steps"] = 3 * config.length[1]  # of 1,000 steps, 10 of 10 seeds instead of 8
        settings["error_reference"] = 0.03 if scaled else 0.06
    ends = {"stop_at": "paper"} if scaled else {"stop_at": "accuracy", "accuracy": 0.99}
    return settings | ends | {"evaluate_every": 2_000, "evaluate_size": 1_000, "max_sequences": 200_000}

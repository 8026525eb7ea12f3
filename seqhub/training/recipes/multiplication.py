"""Recipes of `multiplication`: those of `adding`, with a logistic output, as products lie in [0, 1)."""

from typing import Any

from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Batches of 8 up to fewer than 140 wrong answers of the last 2,000."""
    settings = general.solve(config, model) | {"model_options": {"logistic_outputs": True}}
    if model == "lstm":
        settings["chrono_max_steps"] = 3 * config.length[1]  # with 110 steps three of ten seeds stay at the constant
        settings |= {"batch_size": 8, "schedule": "error", "error_reference": 0.03, "error_floor": 0.02}
    return settings | {"stop_at": "paper", "evaluate_every": 2_000, "evaluate_size": 1_000, "max_sequences": 200_000}

"""Recipes of `square`: ours, and that of the book it comes from (see `tasks.square`)."""

from typing import Any

from seqhub.models.recurrent import PRESETS as RECURRENT
from seqhub.tasks.schema import TaskConfig

_TUTORIAL = {"data": "splits", "epochs": 100, "max_sequences": 12_800, "evaluate_every": 1_280}


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """One logit, Adam at 0.02 with clipping; fresh draws, or hundred passes where the rows are given."""
    settings: dict[str, Any] = {"single_logit": True, "batch_size": 16, "learning_rate": 2e-2, "max_grad_norm": 1.0}
    if model == "cnn":
        settings["model_options"] = {"channels": 8}
    elif model in RECURRENT:
        settings["hidden_size"] = 8
    return settings | (_TUTORIAL if config.name == "tutorial" else {})


def tutorial(config: TaskConfig, model: str) -> dict[str, Any]:
    """One logit, width 2, Adam at 0.01, and torch's own first weights and order, by the book's seeds 21 and 42."""
    settings: dict[str, Any] = {
        "single_logit": True,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "max_grad_norm": None,
        "weights_seed": 21,
        "stop_at": "none",
    }
    if model == "cnn":  # one filter over each pair of points, and a readout of the three pairs
        flat = {"pooling": "flatten", "num_steps": config.length[1]} if config.length[0] == config.length[1] else {}
        settings["model_options"] = {"channels": 1, **flat}
    elif model in RECURRENT:
        settings["hidden_size"] = 2
    return settings | (_TUTORIAL | {"order_seed": 42} if config.name == "tutorial" else {})

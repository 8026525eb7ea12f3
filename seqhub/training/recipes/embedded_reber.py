"""Recipes of `embedded_reber`: one string at a time, and gates that keep the second symbol."""

from typing import Any, cast

from seqhub.tasks.embedded_reber import EmbeddedReberConfig
from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Half of the symbols are drawn by lot, so no accuracy ends a run: `hs97` has the rule of its paper."""
    settings = general.solve(config, model)
    if model == "lstm":
        del settings["chrono_max_steps"]
        settings |= {"hidden_size": 32, "batch_size": 1, "learning_rate": 2e-2, "max_grad_norm": 0.3}
        settings |= {"initialization": "forget_bias", "forget_bias": 3.0, "model_options": {"input_gate_bias": -1.0}}
    given = {"data": "splits", "epochs": 100, "stop_at": "paper", "evaluate_size": 256}
    drawn = {"stop_at": "none", "evaluate_size": 1_024}
    ends = given if cast(EmbeddedReberConfig, config).fixed_rows else drawn
    return settings | ends | {"evaluate_every": 256, "max_sequences": 25_600}

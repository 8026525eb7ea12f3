"""Recipes of `long_lag`: one sequence at a time, by gates or a bias that fit the lag."""

from typing import Any, cast

from seqhub.tasks.long_lag import LongLagConfig
from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes import general


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Up to 10,000 right answers in a row, as in the paper.

    In 2a all steps but the last are easy, and the squares of their gradients would hold back that of the last for
    thousands of sequences: Adam forgets them soon, and the rate falls so that no late slip breaks the row.
    """
    variant = cast(LongLagConfig, config)
    settings = general.solve(config, model)
    if model == "lstm" and variant.kind == "2a":
        del settings["chrono_max_steps"]
        settings |= {"initialization": "forget_bias", "forget_bias": 6.0, "model_options": {"input_gate_bias": 0.0}}
        settings |= {"hidden_size": 32, "learning_rate": 1e-2, "beta1": 0.0, "beta2": 0.9}
        settings |= {"schedule": "error", "error_reference": 0.3, "error_floor": 0.01}
    elif model == "lstm" and variant.kind == "2b":
        settings |= {"hidden_size": 16, "learning_rate": 3e-2, "chrono_max_steps": 4 * variant.p}
    elif model == "lstm":
        settings |= {"learning_rate": 1e-2, "chrono_max_steps": variant.q + 14}
    ends = {"stop_at": "paper", "evaluate_every": 1_000, "evaluate_size": 256, "max_sequences": 60_000}
    return settings | {"batch_size": 1} | ends

"""Recipes of `windows`: a window of the model is a window of the task."""

from typing import Any, cast

from seqhub.tasks.schema import TaskConfig
from seqhub.tasks.windows import WindowsConfig

MODEL = "locally_connected"


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Two rectified values for each place of a window tell its peak from the rest, however high it is."""
    settings: dict[str, Any] = {"batch_size": 32, "optimizer": "adam", "learning_rate": 1e-2, "max_grad_norm": 1.0}
    if model in (MODEL, "fully_connected"):
        window = cast(WindowsConfig, config).window
        shape = {"num_steps": config.length[1], "kernel_size": window, "stride": window, "local_features": 2 * window}
        settings["model_options"] = shape
    elif model != "cnn":  # a filter that all windows share has no such width
        settings["hidden_size"] = 32
    return settings

"""Recipes of `echo`: chunks of steps with a carried state, ours and those of the course (see `tasks.echo`)."""

from typing import Any, cast

from seqhub.tasks.echo import EchoConfig
from seqhub.tasks.schema import TaskConfig


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Chunks four times as long as an echo takes, and at least ten steps, as an echo is learnt only within a chunk."""
    chunk_steps = max(10, 4 * cast(EchoConfig, config).echo_step)
    return {"chunk_steps": chunk_steps, "hidden_size": 32, "batch_size": 16, "learning_rate": 1e-2}


def tutorial(config: TaskConfig, model: str) -> dict[str, Any]:
    """Chunks of 20 steps, batches of 5, RMSprop at 1e-3, width 4, a single pass over what comes."""
    return {
        "chunk_steps": 20,
        "hidden_size": 4,
        "batch_size": 5,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "max_grad_norm": None,
    }

"""What tasks on long sequences of symbols have in common.

Gates that open for as long as a sequence lasts (chrono initialisation, Tallec & Ollivier, 2018, "Can recurrent neural
networks warp time?") decide everything at long lags: a default-initialised LSTM stays at chance on qrsu/hard. Small
batches, a high Adam rate and clipping make it fast.
"""

from typing import Any

from seqhub.tasks.schema import TaskConfig

_GATED = ("gru", "lstm")


def solve(config: TaskConfig, model: str) -> dict[str, Any]:
    """Fresh draws, batches of 16, Adam at 0.02 with clipping, chrono gates up to the longest sequence."""
    settings: dict[str, Any] = {
        "hidden_size": 8,
        "optimizer": "adam",
        "learning_rate": 2e-2,
        "batch_size": 16,
        "max_grad_norm": 1.0,
    }
    if model in _GATED:
        settings |= {"initialization": "chrono", "chrono_max_steps": max(3, config.length[1])}
    elif model == "rnn_relu":
        settings |= {"initialization": "identity", "learning_rate": 1e-3}
    else:
        settings |= {"learning_rate": 1e-3}
    return settings

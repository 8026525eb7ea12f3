"""What solves a task: settings found by search, shipped with every config.

`solve` is the recipe of this package. Gates that open for as long as a sequence lasts (chrono initialisation, Tallec
& Ollivier, 2018, "Can recurrent neural networks warp time?") decide everything at long lags: a default-initialised
LSTM stays at chance on qrsu/hard. Small batches, a high Adam rate and clipping make it fast.

`tutorial` is the recipe of the course notebook (see `tasks.qrsu`): batches of 32, RMSprop at 1e-3, width 4, PyTorch's
own initialisation.
"""

from typing import Any

from seqhub.errors import UnknownNameError

RECIPES = ("solve", "tutorial")

_GATED = ("gru", "lstm")


def recipe(address: str, model: str = "lstm", name: str = "solve") -> dict[str, Any]:
    """Settings of `TrainConfig` for one address and model.

    >>> recipe("qrsu/hard")["chrono_max_steps"]
    110
    """
    from seqhub.tasks.registry import resolve  # not above: it takes NumPy, which `--help` can do without

    if name not in RECIPES:
        raise UnknownNameError.of("recipe", name, RECIPES)
    _, config = resolve(address)
    if name == "tutorial":
        return {
            "hidden_size": 4,
            "optimizer": "rmsprop",
            "learning_rate": 1e-3,
            "batch_size": 32,
            "max_grad_norm": None,
            "evaluate_every": 992,
        }
    settings: dict[str, Any] = {
        "hidden_size": 8,
        "optimizer": "adam",
        "learning_rate": 2e-2,
        "batch_size": 16,
        "max_grad_norm": 1.0,
    }
    if model in _GATED:
        settings |= {"initialization": "chrono", "chrono_max_steps": config.length[1]}
    elif model == "rnn_relu":
        settings |= {"initialization": "identity", "learning_rate": 1e-3}
    else:
        settings |= {"learning_rate": 1e-3}
    return settings

"""Recipe `tutorial`: settings of the courses, the book and the example that tasks come from, as published.

The module of each task, such as `seqhub.tasks.qrsu`, names its source.
"""

from typing import TYPE_CHECKING, Any

from seqhub.models.recurrent import PRESETS as RECURRENT
from seqhub.tasks.schema import TaskConfig
from seqhub.training.recipes.solve import RAMPS_TUTORIAL, SQUARE_TUTORIAL

if TYPE_CHECKING:
    from seqhub.training.recipes import Recipe

Settings = dict[str, Any]


def qrsu(config: TaskConfig, model: str) -> Settings:
    """Return the settings of the course: batches of 32, RMSprop at 1e-3, width 4, PyTorch's own initialisation.

    An epoch of the course is 31 batches, 992 sequences, and is followed by a validation on 992 others. The run ends
    after 100 epochs, whatever the accuracy.
    """
    return {
        "hidden_size": 4,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "batch_size": 32,
        "max_grad_norm": None,
        "evaluate_every": 992,
        "evaluate_size": 992,
        "max_sequences": 99_200,
        "stop_at": "none",
    }


def echo(config: TaskConfig, model: str) -> Settings:
    """Return the settings of the course: segments of 20 steps, batches of 5, RMSprop at 1e-3, width 4, one pass."""
    return {
        "chunk_steps": 20,
        "hidden_size": 4,
        "batch_size": 5,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "max_grad_norm": None,
    }


def char_completion(config: TaskConfig, model: str) -> Settings:
    """Return the settings of the course: width 12, Adam at 0.01, all phrases in one batch, 100 epochs.

    They are made for `rnn_tanh`.
    As in the course, the loss is the mean over all 42 next characters, including the spaces of the padding. A
    validation follows each epoch, so that the history has the loss of each.
    """
    phrases = 3
    return {
        "data": "splits",
        "hidden_size": 12,
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "epochs": 100,
        "batch_size": phrases,
        "max_grad_norm": None,
        "stop_at": "none",
        "evaluate_every": phrases,
        "evaluate_size": phrases,
    }


def ramps(config: TaskConfig, model: str) -> Settings:
    """Return the settings of the example: width 20, Adam's default rate, both sequences in one batch.

    A run ends at full accuracy; the example trained without end.
    """
    settings = {"hidden_size": 20, "optimizer": "adam", "learning_rate": 1e-3, "max_grad_norm": None, "accuracy": 1.0}
    return settings | (RAMPS_TUTORIAL if config.name == "tutorial" else {"batch_size": 2})


def square(config: TaskConfig, model: str) -> Settings:
    """Return the settings of the book: one logit, width 2, Adam at 0.01.

    Initial weights and order are those of torch, by the seeds of the book, 21 and 42.
    """
    settings: Settings = {
        "single_logit": True,
        "batch_size": 16,
        "optimizer": "adam",
        "learning_rate": 1e-2,
        "max_grad_norm": None,
        "weights_seed": 21,
        "stop_at": "none",
    }
    if model == "cnn":  # one filter over each pair of points, and a linear layer over the three pairs
        flat = {"pooling": "flatten", "num_steps": config.length[1]} if config.length[0] == config.length[1] else {}
        settings["model_options"] = {"channels": 1, **flat}
    elif model in RECURRENT:
        settings["hidden_size"] = 2
    return settings | (SQUARE_TUTORIAL | {"order_seed": 42} if config.name == "tutorial" else {})


RECIPES: dict[str, "Recipe"] = {
    "char_completion": char_completion,
    "echo": echo,
    "qrsu": qrsu,
    "ramps": ramps,
    "square": square,
}
"""Recipes by name of the task; other tasks have none."""

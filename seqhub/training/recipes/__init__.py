"""Recipes: settings that solve a task, found by search, for every config and model.

Recipe `solve` is this package's own (see `recipes.solve`). Some tasks also have `tutorial`, the settings of the course,
book or example that they come from (see `recipes.tutorial`). A task without settings of its own, as every task from
outside seqhub, has the default settings of `solve`. All wrapped models, such as `transformers:mamba`, share one recipe.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seqhub.errors import UnknownNameError

if TYPE_CHECKING:
    from seqhub.tasks.ref import TaskRef

Recipe = Callable[[Any, str], dict[str, Any]]  # (TaskConfig, name of a model preset) -> settings of `TrainConfig`

RECIPES = ("solve", "tutorial")

_DEFAULT_MODELS = {"chirps": "cnn_lstm", "ramps": "lstm_autoencoder", "windows": "locally_connected"}


def recipe(task: "str | TaskRef", model: str | None = None, name: str = "solve") -> dict[str, Any]:
    """Return settings of `TrainConfig` for a task id and a model; without a model, with the task's default model.

    Raises:
        UnknownNameError: No such task or config, or it has no such recipe.

    >>> recipe("qrsu/hard", "lstm")["chrono_max_steps"]
    110
    >>> recipe("qrsu/hard")["model"], recipe("windows/k4-n8")["model"]
    ('lstm', 'locally_connected')
    """
    from seqhub.models.ids import ModelId
    from seqhub.tasks.ref import TaskRef
    from seqhub.training.recipes import solve, tutorial  # imported here because NumPy is slow to import for `--help`

    ref = TaskRef.parse(task)
    known: dict[str, Recipe] = {"solve": solve.RECIPES.get(ref.name, solve.default)}
    if ref.name in tutorial.RECIPES:
        known["tutorial"] = tutorial.RECIPES[ref.name]
    if name not in known:
        raise UnknownNameError.of(f"recipe of {ref.name}", name, known)
    if model is not None:
        chosen = ModelId.parse(model)
        if chosen.is_wrapped:
            return solve.wrapped(ref.name)
        settings = known[name](ref.config, chosen.name)
        return {key: value for key, value in settings.items() if key not in dict(chosen.options)}
    default = "gru_seq2seq_additive" if ref.schema.head == "seq2seq" else "lstm"
    model = _DEFAULT_MODELS.get(ref.name, default)
    return {"model": model, **known[name](ref.config, model)}

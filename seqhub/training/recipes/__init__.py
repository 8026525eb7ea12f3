"""What solves a task: settings found by search, shipped with every config.

The folder is the registry: module `seqhub.training.recipes.NAME` holds the recipes of task NAME, a function of a
config and a model each. `solve` is the recipe of this package; a task may have others, like `tutorial`, the settings
of the course that it comes from. A task without a module of its own has `solve` in its general form (see `general`).
A module of a task that is made for another model than an LSTM names it: `MODEL`.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from seqhub.errors import UnknownNameError

if TYPE_CHECKING:
    from seqhub.tasks.ref import TaskRef
    from seqhub.tasks.schema import TaskConfig

Recipe = Callable[["TaskConfig", str], dict[str, Any]]

RECIPES = ("solve", "tutorial")


def recipe(task: "str | TaskRef", model: str | None = None, name: str = "solve") -> dict[str, Any]:
    """Return settings of `TrainConfig` for a task id and a model; without a model, with the task's default model.

    Raises:
        UnknownNameError: No such task or config, or it has no such recipe.

    >>> recipe("qrsu/hard", "lstm")["chrono_max_steps"]
    110
    >>> recipe("qrsu/hard")["model"], recipe("windows/k4-n8")["model"]
    ('lstm', 'locally_connected')
    """
    from seqhub.tasks.ref import TaskRef
    from seqhub.tasks.registry import builtin_tasks  # not above: it takes NumPy, which `--help` can do without
    from seqhub.training.recipes import general

    ref = TaskRef.parse(task)
    config = ref.config
    module = f"{__name__}.{ref.name}"
    own = import_module(module) if ref.name in builtin_tasks() and find_spec(module) else general
    known: dict[str, Recipe] = {each: getattr(own, each) for each in RECIPES if hasattr(own, each)}
    if name not in known:
        raise UnknownNameError.of(f"recipe of {ref.name}", name, known)
    if model is not None:
        return known[name](config, model)
    model = getattr(own, "MODEL", "lstm")
    return {"model": model, **known[name](config, model)}

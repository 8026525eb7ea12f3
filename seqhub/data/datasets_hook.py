"""Hook for `datasets.load_dataset("qrsu", "hard")`.

`datasets` resolves names in one function, `dataset_module_factory`, without a plug-in interface: packaged names first,
then scripts and folders of the current directory, then the Hub. `install` wraps this function in all modules of
`datasets` that refer to it, so that a task name is resolved to seqhub independently of the current directory and the
network. Paths (`./qrsu`, `/data/qrsu`), names with a namespace (`someone/qrsu`) and `hf://` URLs are passed to the
original function. `uninstall` restores it.
"""

import inspect
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from seqhub.errors import InvalidConfigError
from seqhub.tasks.registry import get_task, list_tasks

_FACTORY = "dataset_module_factory"
_BUILDER = (
    "seqhub.data.builder"  # imported on demand, because it imports `datasets`, which may be importing this module
)

_original: Callable[..., Any] | None = None


def install() -> None:
    """Install the hook for the names of the tasks. Idempotent.

    If the version of `datasets` is not compatible with the hook, warn once and change nothing; `seqhub.load_dataset`
    then still works.
    """
    global _original
    import datasets.inspect
    import datasets.load

    if _original is not None:
        return
    found = getattr(datasets.load, _FACTORY, None)
    problem = _problem(datasets.load)
    if found is None or problem:
        warnings.warn(
            f'datasets {datasets.__version__} {problem}, so load_dataset("{list_tasks()[0]}", ...) does not find the '
            "tasks of seqhub; use seqhub.load_dataset, or set SEQHUB_NO_HOOK=1 to disable this warning",
            stacklevel=2,
        )
        return
    _original = found
    _replace(found, _wrapper(found))


def uninstall() -> None:
    """Restore the original function. Idempotent."""
    global _original
    if _original is not None:
        wrapper = sys.modules["datasets.load"].__dict__[_FACTORY]
        _replace(wrapper, _original)
        _original = None


def _wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @wraps(original)
    def dataset_module_factory(path: str, *args: Any, **kwargs: Any) -> Any:
        # references that are kept after uninstall() behave like the original
        if _original is None or path not in list_tasks():
            return original(path, *args, **kwargs)
        given = signature.bind(path, *args, **kwargs).arguments
        for name in ("revision", "data_dir", "data_files"):
            if given.get(name) is not None:
                raise InvalidConfigError(
                    f"{name}={given[name]!r}: must be None for {path!r}, a task of seqhub that generates its rows; "
                    f"use './{path}' for a folder of that name"
                )
        return _module(path)

    return dataset_module_factory


def _module(name: str) -> Any:
    """Return the `DatasetModule` of a task, with builder, cache key and configs."""
    from datasets.load import BuilderConfigsParameters, DatasetModule

    from seqhub.data.builder import configs_of
    from seqhub.data.fingerprint import fingerprint

    task = get_task(name)
    return DatasetModule(
        module_path=_BUILDER,
        hash=fingerprint(task),
        builder_kwargs={"dataset_name": name},
        builder_configs_parameters=BuilderConfigsParameters(builder_configs=configs_of(task)),
    )


def _problem(load: Any) -> str:
    """Return the reason why `datasets` is not compatible with `_wrapper` and `_module`; empty if it is."""
    needed = {
        _FACTORY: ["path", "revision", "data_dir", "data_files"],
        "DatasetModule": ["module_path", "hash", "builder_kwargs", "builder_configs_parameters"],
        "BuilderConfigsParameters": ["builder_configs"],
    }
    for name, parameters in needed.items():
        try:
            known = list(inspect.signature(getattr(load, name)).parameters)
        except (AttributeError, TypeError, ValueError):
            return f"has no load.{name}"
        missing = [parameter for parameter in parameters if parameter not in known]
        if missing:
            return f"has a load.{name} without {', '.join(missing)}"
    return ""


def _replace(old: Any, new: Any) -> None:
    """Replace the function in every module of `datasets` that has imported it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "datasets" and getattr(module, "__dict__", {}).get(_FACTORY) is old:
            setattr(module, _FACTORY, new)

"""Makes `datasets.load_dataset("qrsu", "hard")` find the tasks of seqhub.

`datasets` looks names up in one function, `dataset_module_factory`, and has no plug-in for it: packaged names first,
then scripts and folders of the current directory, then the Hub. `install` wraps that function where modules of
`datasets` refer to it, so that a bare task name is answered at once, whatever the current directory holds and whether
there is a network. Paths (`./qrsu`, `/data/qrsu`), names with a namespace (`someone/qrsu`) and `hf://` addresses go
to the original. `uninstall` puts it back.
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
_BUILDER = "seqhub.data.builder"  # imported when a task is asked for: it imports `datasets`, which may be importing us

_original: Callable[..., Any] | None = None


def install() -> None:
    """Take the names of the tasks over. Idempotent.

    Where `datasets` has changed so much that this cannot work, it warns once and leaves everything as it was;
    `seqhub.load_dataset` then still works.
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
            "tasks of seqhub; use seqhub.load_dataset, or SEQHUB_NO_HOOK=1 to silence this",
            stacklevel=2,
        )
        return
    _original = found
    _replace(found, _wrapper(found))


def uninstall() -> None:
    """Put the original back. Idempotent."""
    global _original
    if _original is not None:
        wrapper = sys.modules["datasets.load"].__dict__[_FACTORY]
        _replace(wrapper, _original)
        _original = None


def _wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @wraps(original)
    def dataset_module_factory(path: str, *args: Any, **kwargs: Any) -> Any:
        # whoever kept this function beyond uninstall() gets the original
        if _original is None or path not in list_tasks():
            return original(path, *args, **kwargs)
        given = signature.bind(path, *args, **kwargs).arguments
        for name in ("revision", "data_dir", "data_files"):
            if given.get(name) is not None:
                raise InvalidConfigError(
                    f"{name}={given[name]!r} for {path!r}, a task of seqhub whose rows are drawn; "
                    f"write './{path}' for a folder of that name"
                )
        return _module(path)

    return dataset_module_factory


def _module(name: str) -> Any:
    """What `datasets` needs to know about a task: the builder, the cache key and the configs."""
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
    """What is no longer as `_wrapper` and `_module` need it; empty if nothing."""
    wanted = {
        _FACTORY: ["path", "revision", "data_dir", "data_files"],
        "DatasetModule": ["module_path", "hash", "builder_kwargs", "builder_configs_parameters"],
        "BuilderConfigsParameters": ["builder_configs"],
    }
    for name, parameters in wanted.items():
        try:
            known = list(inspect.signature(getattr(load, name)).parameters)
        except (AttributeError, TypeError, ValueError):
            return f"has no load.{name}"
        missing = [parameter for parameter in parameters if parameter not in known]
        if missing:
            return f"has a load.{name} without {', '.join(missing)}"
    return ""


def _replace(old: Any, new: Any) -> None:
    """Exchange the function in every module of `datasets` that has imported it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "datasets" and getattr(module, "__dict__", {}).get(_FACTORY) is old:
            setattr(module, _FACTORY, new)

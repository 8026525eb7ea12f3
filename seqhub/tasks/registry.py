"""Registry of tasks: modules of this folder, entry points of installed packages, and files.

Module `seqhub.tasks.NAME` defines `TASK`. A package adds tasks with entry points of the group `seqhub.tasks` (name =
module that defines `TASK`), and `path/to/file.py` refers to the task in one file.
"""

import dataclasses
import hashlib
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from seqhub import tasks
from seqhub._distributions import entry_points_of
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.ref import DISTRIBUTION, FILE, TaskRef
from seqhub.tasks.schema import CUSTOM, TaskConfig

GROUP = "seqhub.tasks"
_NOT_TASKS = {"base", "ragged", "ref", "registry", "rng", "schema", "splits", "stopping", "vocabulary"}


@cache
def builtin_tasks() -> tuple[str, ...]:
    """Return the names of the tasks that seqhub includes, sorted."""
    names = (module.name for module in iter_modules(tasks.__path__))
    return tuple(sorted(name for name in names if name not in _NOT_TASKS and not name.startswith("_")))


@cache
def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks, sorted, including the tasks that installed packages add."""
    return tuple(sorted({*builtin_tasks(), *_installed()}))


def get_task(name: str) -> Task[Any]:
    """Return a task by its name or by the path of its file.

    The task `file`, of the rows of a file of any kind, is not in `list_tasks`, because it has no rows of its own.

    Raises:
        UnknownNameError: No such task; the message lists all tasks.
        InvalidConfigError: A file or an entry point that does not define a task.
    """
    if not name.endswith(".py"):
        return _registered(name)
    try:
        changed = Path(name).stat().st_mtime_ns
    except OSError as error:
        raise InvalidConfigError(f"task file {name}: {error.strerror}") from None
    return _task_of_file(name, changed)


def resolve(task_id: str | TaskRef) -> tuple[Task[Any], TaskConfig]:
    """Return the task and the config of a task id, as in `qrsu/hard`; errors as in `TaskRef.parse`."""
    ref = TaskRef.parse(task_id)
    return ref.definition, ref.config


def configs_of(name: str) -> dict[str, TaskConfig]:
    """Return the configs of a task by name, with `custom` if users can supply rows; errors as in `get_task`."""
    task = get_task(name)
    custom = [CUSTOM] if task.custom_format and name != FILE else []
    return {config.name: config for config in (*task.configs, *custom)}


def config_of(name: str, config_name: str) -> TaskConfig:
    """Return a config of a task, or one of the test distributions of a config.

    Raises:
        UnknownNameError: No such config or distribution; the message lists the existing ones.
    """
    configs = configs_of(name)
    base, separator, distribution = config_name.partition(DISTRIBUTION)
    if base not in configs:
        raise UnknownNameError.of(f"config of {name}", base, configs)
    if not separator:
        return configs[base]
    distributions = get_task(name).test_distributions(configs[base])
    if distribution not in distributions:
        raise UnknownNameError.of(f"test distribution of {name}/{base}", distribution, distributions)
    config: TaskConfig = distributions[distribution]
    return dataclasses.replace(config, name=config_name)


@cache
def _installed() -> dict[str, str]:
    """Return the modules of the tasks of installed packages, by name."""
    found = {}
    for point in entry_points_of(GROUP):
        if point.name in builtin_tasks():
            warnings.warn(
                f"task {point.name!r} of {point.value} is ignored: seqhub includes a task of that name", stacklevel=2
            )
        else:
            found[point.name] = point.value
    return found


@cache
def _registered(name: str) -> Task[Any]:
    if name == FILE:
        return _task_of(import_module("seqhub.tasks._file"), "seqhub.tasks._file")
    if name in builtin_tasks():
        return _task_of(import_module(f"seqhub.tasks.{name}"), f"seqhub.tasks.{name}")
    if name in _installed():
        module = _installed()[name]
        try:
            found = import_module(module)
        except Exception as error:
            raise InvalidConfigError(f"task {name!r}: cannot import {module}: {_reason(error)}") from error
        return _task_of(found, f"{module} (entry point {name!r} of {GROUP})")
    raise UnknownNameError.of("task", name, list_tasks())


@cache
def _task_of_file(name: str, changed: int) -> Task[Any]:
    """Load the task of a file; cached by its modification time `changed`, in nanoseconds."""
    return _task_of(_module_of_file(name), name)


def _module_of_file(name: str) -> ModuleType:
    path = Path(name)
    key = f"_seqhub_task_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    spec = spec_from_file_location(key, path)
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[key] = module  # dataclasses need their module there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[key]
        raise InvalidConfigError(f"task file {name} does not run: {_reason(error)}") from error
    return module


def _task_of(module: ModuleType, where: str) -> Task[Any]:
    task = getattr(module, "TASK", None)
    if not isinstance(task, Task):
        given = "no TASK" if task is None else f"a TASK of type {type(task).__name__}"
        raise InvalidConfigError(f"{where} has {given}; it must define TASK, an instance of a subclass of seqhub.Task")
    return task


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"

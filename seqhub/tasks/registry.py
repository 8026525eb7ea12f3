"""Finds tasks. The folder is the registry: module `seqhub.tasks.NAME` defines `TASK`."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from seqhub import tasks
from seqhub.errors import UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.schema import OWN, TaskConfig

_MACHINERY = {"alphabet", "base", "registry", "rng", "splits"}


@cache
def list_tasks() -> tuple[str, ...]:
    """Names of all tasks, sorted."""
    names = (module.name for module in iter_modules(tasks.__path__))
    return tuple(sorted(name for name in names if name not in _MACHINERY and not name.startswith("_")))


def get_task(name: str) -> Task[Any]:
    """The task of that name; UnknownNameError lists those there are."""
    if name not in list_tasks():
        raise UnknownNameError.of("task", name, list_tasks())
    task: Task[Any] = import_module(f"seqhub.tasks.{name}").TASK
    return task


def resolve(address: str) -> tuple[Task[Any], TaskConfig]:
    """Turn "qrsu/hard" into its task and config: the one place that parses it."""
    name, _, config_name = address.partition("/")
    task = get_task(name)
    by_name = {config.name: config for config in (*task.configs, *([OWN] if task.own else []))}
    if config_name not in by_name:
        raise UnknownNameError.of(f"config of {name}", config_name, by_name)
    return task, by_name[config_name]

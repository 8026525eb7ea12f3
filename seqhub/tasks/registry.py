"""Registry of tasks. The folder is the registry: module `seqhub.tasks.NAME` defines `TASK`."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from seqhub import tasks
from seqhub.errors import UnknownNameError
from seqhub.tasks.base import Task
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import CUSTOM, TaskConfig

_NOT_TASKS = {"base", "ref", "registry", "rng", "schema", "splits", "stopping", "vocabulary"}


@cache
def list_tasks() -> tuple[str, ...]:
    """Return the names of all tasks, sorted."""
    names = (module.name for module in iter_modules(tasks.__path__))
    return tuple(sorted(name for name in names if name not in _NOT_TASKS and not name.startswith("_")))


def get_task(name: str) -> Task[Any]:
    """Return the task of that name; UnknownNameError lists the tasks."""
    if name not in list_tasks():
        raise UnknownNameError.of("task", name, list_tasks())
    task: Task[Any] = import_module(f"seqhub.tasks.{name}").TASK
    return task


def resolve(task_id: str | TaskRef) -> tuple[Task[Any], TaskConfig]:
    """Return the task and the config of a task id, as in `qrsu/hard`; errors as in `TaskRef.parse`."""
    ref = TaskRef.parse(task_id)
    return ref.definition, ref.config


@cache
def configs_of(name: str) -> dict[str, TaskConfig]:
    """Return the configs of a task by name, with `custom` where users can supply rows; errors as in `get_task`."""
    task = get_task(name)
    return {config.name: config for config in (*task.configs, *([CUSTOM] if task.custom_format else []))}

"""Checks of tasks and models, and their results."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seqhub.errors import UnknownNameError
from seqhub.models.registry import list_families, list_presets
from seqhub.tasks.registry import get_task, list_tasks


class CheckFailedError(AssertionError):
    """Raised if a task or model lacks a required property; the message has the property and where it is missing."""


@dataclass(frozen=True)
class Check:
    """One property of a task config or a model preset.

    Attributes:
        subject: Task id or preset.
        name: Name of the property.
        run: Function that raises an exception unless the subject has the property.
    """

    subject: str
    name: str
    run: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.subject}-{self.name}"


@dataclass(frozen=True)
class Result:
    """Result of one check.

    Attributes:
        subject: Task id or preset.
        name: Name of the property.
        error: Reason for a failure; empty if the check passed.
        seconds: Duration of the check.
    """

    subject: str
    name: str
    error: str
    seconds: float


def require(holds: object, message: str) -> None:
    """Raise CheckFailedError with the message unless `holds`."""
    if not holds:
        raise CheckFailedError(message)


def checks_of(target: str) -> list[Check]:
    """Return the checks of a task, a task file, one config of a task, a model preset, a model family or its folder.

    Args:
        target: `qrsu`, `qrsu/hard`, `path/to/my_task.py`, `lstm`, `recurrent`, `path/to/my_family` or
            `path/to/my_family:PRESET`.

    Raises:
        UnknownNameError: No task or model has this name.
        InvalidConfigError: A task file that cannot be loaded.

    >>> [check.name for check in checks_of("echo/step1")][:2]
    ['definition', 'form']
    """
    from seqhub.testing import models, tasks

    name = target.rpartition("/")[0]
    if target in list_tasks() or target.endswith(".py"):
        return [check for each in get_task(target).configs for check in tasks.checks(f"{target}/{each.name}")]
    if name in list_tasks() or name.endswith(".py"):
        return tasks.checks(target)
    if target in list_presets() or ":" in target:
        return models.checks(target)
    if target in list_families():
        return [check for preset in models.presets_of(target) for check in models.checks(preset)]
    if Path(target, "__init__.py").is_file():
        folder = str(Path(target).resolve())
        return [check for preset in models.presets_of(folder) for check in models.checks(preset)]
    if Path(target).is_dir():
        raise UnknownNameError(f"{target} is a folder; `seqhub verify` checks a finished run")
    raise UnknownNameError.of("task or model", target, [*list_tasks(), *list_presets()])


def run_checks(checks: list[Check]) -> Iterator[Result]:
    """Run checks one after the other and yield a result for each; an exception is a failure of its check."""
    for check in checks:
        started = time.perf_counter()
        error = ""
        try:
            check.run()
        except Exception as found:
            error = str(found) if isinstance(found, CheckFailedError) else f"{type(found).__name__}: {found}"
        yield Result(check.subject, check.name, " ".join(error.split()), time.perf_counter() - started)

"""Parsing of task ids such as `qrsu/hard`. NumPy is not imported here, so that `seqhub --help` starts quickly."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, overload

from seqhub.errors import UnknownNameError
from seqhub.io import IS_WINDOWS

if TYPE_CHECKING:
    from seqhub.tasks.base import Task
    from seqhub.tasks.schema import TaskConfig, TaskSchema

DISTRIBUTION = "@"  # between a config and the name of one of its test distributions
FILE = "file"  # task of rows of any kind in a file, see `tasks._file`
_CUSTOM, _CUSTOM_IN_0_1 = "custom", "own"  # records and commands of version 0.1 use the second name


@dataclass(frozen=True, order=True, slots=True)
class TaskRef:
    """One config of one task, parsed from a task id such as `qrsu/hard` or `path/to/my_task.py/easy`.

    A config may have test distributions with other lengths or parameters: `parity/last@len128`.

    A string is parsed once, at the public interface; internal functions take a TaskRef.

    Attributes:
        name: Name of the task, or the path of its file.
        config_name: Name of the config, with `@` and the name of a test distribution if it is one.

    >>> ref = TaskRef.parse("qrsu/hard")
    >>> ref.name, ref.config_name, ref.config.length, str(ref)
    ('qrsu', 'hard', (100, 110), 'qrsu/hard')
    """

    name: str
    config_name: str

    @classmethod
    def parse(cls, task_id: "str | TaskRef") -> "TaskRef":
        """Parse a task id; a TaskRef is returned unchanged.

        Raises:
            UnknownNameError: No such task or config; the message lists the existing ones.
        """
        if isinstance(task_id, TaskRef):
            return task_id
        if IS_WINDOWS:
            task_id = task_id.replace("\\", "/")
        return _parse.__wrapped__(task_id) if ".py/" in task_id else _parse(task_id)  # a file may have changed

    @property
    def definition(self) -> "Task[Any]":
        """The definition of the task."""
        from seqhub.tasks.registry import get_task

        return get_task(self.name)

    @property
    def config(self) -> "TaskConfig":
        """The config of the task."""
        from seqhub.tasks.registry import config_of

        return config_of(self.name, self.config_name)

    @property
    def test_distributions(self) -> "dict[str, TaskRef]":
        """The test distributions of this config, by name."""
        names = self.definition.test_distributions(self.config)
        return {name: TaskRef(self.name, f"{self.config_name}{DISTRIBUTION}{name}") for name in names}

    @property
    def schema(self) -> "TaskSchema":
        """Schema of the rows of this config, as the task defines it."""
        return self.definition.schema(self.config)

    @property
    def is_custom(self) -> bool:
        """True if the user supplies the rows as a file."""
        return self.config_name == _CUSTOM or self.name == FILE

    @property
    def chance(self) -> float | None:
        """Accuracy of the best constant prediction; None for targets without classes, and for rows of a file.

        >>> TaskRef.parse("qrsu/hard").chance
        0.25
        """
        return None if self.is_custom else self.definition.chance(self.config)

    @property
    def slug(self) -> str:
        """Task and config as a part of a file name: `qrsu-hard`."""
        return f"{self.definition.name}-{self.config_name}"

    def __str__(self) -> str:
        return f"{self.name}/{self.config_name}"


class TaskField:
    """Descriptor of a dataclass field that converts a task id to a TaskRef."""

    @overload
    def __get__(self, instance: None, owner: type) -> "TaskField": ...

    @overload
    def __get__(self, instance: object, owner: type) -> TaskRef: ...

    def __get__(self, instance: object | None, owner: type) -> "TaskRef | TaskField":
        if instance is None:  # a dataclass then treats the field as one without a default
            raise AttributeError("task")
        ref: TaskRef = instance.__dict__["task"]
        return ref

    def __set__(self, instance: object, value: str | TaskRef) -> None:
        instance.__dict__["task"] = TaskRef.parse(value)


def file_stem(file: str) -> str:
    """Return the name of a file without suffixes, as a part of the name of a folder or repository.

    >>> file_stem("My reviews.csv.gz")
    'My-reviews'
    """
    name = "".join(each if each.isascii() and (each.isalnum() or each in "_-") else "-" for each in file)
    return name[: len(file.partition(".")[0])].strip("-") or FILE


@cache
def _parse(task_id: str) -> TaskRef:
    from seqhub.tasks.registry import config_of, configs_of

    file, end, rest = task_id.partition(".py/")
    name, _, config_name = (file + ".py", "", rest) if end else task_id.partition("/")
    configs = configs_of(name)
    if config_name == _CUSTOM_IN_0_1 and _CUSTOM in configs:
        config_name = _CUSTOM
    if DISTRIBUTION in config_name:
        config_of(name, config_name)
    elif config_name not in configs:
        raise UnknownNameError.of(f"config of {name}", config_name, configs)
    return TaskRef(name, config_name)

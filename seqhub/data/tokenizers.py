"""Tokenizers of the tasks with texts, for `transformers`."""

from typing import TYPE_CHECKING

from seqhub.errors import InvalidInputError
from seqhub.models.tokenizer import symbol_tokenizer, word_tokenizer
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import TokenizersBackend


def get_tokenizer(task: str | TaskRef) -> "TokenizersBackend":
    """Return the tokenizer of a task with texts.

    It gives the symbols, characters or words, the ids 1, 2, ... in the order of the task's vocabulary and pads on the
    right with id 0, as the batches and released models of seqhub have it.

    Args:
        task: Name of a task, as in `qrsu`, or a task id, as in `qrsu/hard`. A name is enough where all configs of the
            task have the same vocabulary.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: The task has real values, its vocabulary differs between configs, or it is that of a file.

    >>> tokenizer = get_tokenizer("qrsu")
    >>> tokenizer(["BXaYE", "BE"], padding=True)["input_ids"]
    [[7, 1, 3, 2, 8], [7, 8, 0, 0, 0]]
    """
    if (ref := task_ref(task)) is not None and ref.is_custom:
        raise InvalidInputError(f"{ref}: the vocabulary is that of your file; load the tokenizer from the run's folder")
    vocabulary = schema_of_task(task, "vocabulary").vocabulary
    if vocabulary is None:
        raise InvalidInputError(f"{task}: its real values (input_values) need no tokenizer")
    return tokenizer_of(vocabulary)


def tokenizer_of(vocabulary: Vocabulary) -> "TokenizersBackend":
    """Return the tokenizer that gives a text the same ids as a vocabulary."""
    if vocabulary.separator:
        return word_tokenizer(vocabulary.symbols, unknown=bool(vocabulary.unknown))
    return symbol_tokenizer("".join(vocabulary.symbols), unknown=bool(vocabulary.unknown))


def task_ref(task: str | TaskRef) -> TaskRef | None:
    """Parse a task id; None for the name or file of a task without a config."""
    return TaskRef.parse(task) if isinstance(task, TaskRef) or ("/" in task and not task.endswith(".py")) else None


def schema_of_task(task: str | TaskRef, field: str | None = None) -> TaskSchema:
    """Return the schema of a task id, or the one that all configs of a task have in common.

    Args:
        task: Task id, or the name of a task.
        field: The only field of the schema that configs need to have in common; None for all.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: A name without a config, of a task whose configs differ.
    """
    if (ref := task_ref(task)) is not None:
        return ref.schema
    definition = get_task(str(task))
    schemas = [definition.schema(config) for config in definition.configs]
    if len({schema if field is None else getattr(schema, field) for schema in schemas}) > 1:
        ids = ", ".join(f"{definition.name}/{config.name}" for config in definition.configs)
        what = field or "columns"
        raise InvalidInputError(f"{task}: its configs differ in their {what}; name one: {ids}")
    return schemas[0]

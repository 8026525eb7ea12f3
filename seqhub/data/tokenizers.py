"""Tokenizers of the tasks with texts, for `transformers`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seqhub.errors import InvalidInputError
from seqhub.models.tokenizer import symbol_tokenizer, tokenizer_files, word_tokenizer
from seqhub.models.user_tokenizers import load_tokenizer
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task
from seqhub.tasks.schema import TaskSchema
from seqhub.tasks.vocabulary import TOKENIZER, Vocabulary

if TYPE_CHECKING:
    from transformers import TokenizersBackend

    from seqhub.data.source import DataSource


def get_tokenizer(task: str | TaskRef) -> "TokenizersBackend":
    """Return the tokenizer of a task with texts.

    The symbols, characters or words, have ids 1, 2, ... in the order of the vocabulary of the task. Sequences are
    padded on the right with id 0, like the batches and the released models of seqhub.

    Args:
        task: Name of a task, as in `qrsu`, or a task id, as in `qrsu/hard`. A name is enough if all configs of the
            task have the same vocabulary.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: The task has real values, its configs have different vocabularies, or the vocabulary is from
            a file.

    >>> tokenizer = get_tokenizer("qrsu")
    >>> tokenizer(["BXaYE", "BE"], padding=True)["input_ids"]
    [[7, 1, 3, 2, 8], [7, 8, 0, 0, 0]]
    """
    if (ref := task_ref(task)) is not None and ref.is_custom:
        raise InvalidInputError(f"{ref}: the vocabulary is from your file; load the tokenizer from the run folder")
    tokenizer = tokenizer_of(schema_of_task(task, "text_vocabulary"))
    if tokenizer is None:
        raise InvalidInputError(f"{task}: has real values (input_values), which need no tokenizer")
    return tokenizer


def tokenizer_of(schema: TaskSchema) -> "TokenizersBackend | None":
    """Return a tokenizer of the texts among inputs and targets, with an end if targets are texts; None if none are."""
    vocabulary = schema.text_vocabulary
    if vocabulary is None:
        return None
    settings = {"unknown": bool(vocabulary.unknown), "end": schema.target == "sequence"}
    if vocabulary.separator:
        return word_tokenizer(vocabulary.symbols, boundaries=_boundaries(vocabulary), **settings)
    return symbol_tokenizer("".join(vocabulary.symbols), **settings)


def _boundaries(vocabulary: Vocabulary) -> Literal["spaces", "unicode"]:
    return "unicode" if vocabulary.boundaries == "unicode" else "spaces"


def save_tokenizer(source: "DataSource", folder: Path) -> None:
    """Save the tokenizer of `tokenizer_of_source`, if there is one, into a folder; without transformers if possible."""
    schema = source.schema
    vocabulary = schema.text_vocabulary
    if schema.has_tokenizer or schema.target == "sequence":
        tokenizer = tokenizer_of_source(source)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    elif vocabulary is not None:
        files = tokenizer_files(
            vocabulary.symbols,
            words=bool(vocabulary.separator),
            unknown=bool(vocabulary.unknown),
            boundaries=_boundaries(vocabulary),
        )
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def task_ref(task: str | TaskRef) -> TaskRef | None:
    """Parse a task id; None for the name or file of a task without a config."""
    return TaskRef.parse(task) if isinstance(task, TaskRef) or ("/" in task and not task.endswith(".py")) else None


def schema_of_task(task: str | TaskRef, field: str | None = None) -> TaskSchema:
    """Return the schema of a task id, or the common schema of all configs of a task.

    Args:
        task: Task id, or the name of a task.
        field: Field of the schema that must be equal in all configs; None for all fields.

    Raises:
        UnknownNameError: No such task or config.
        InvalidInputError: The name of a task with configs that differ.
    """
    if (ref := task_ref(task)) is not None:
        return ref.schema
    definition = get_task(str(task))
    schemas = [definition.schema(config) for config in definition.configs]
    if len({schema if field is None else getattr(schema, field) for schema in schemas}) > 1:
        ids = ", ".join(f"{definition.name}/{config.name}" for config in definition.configs)
        what = "columns" if field is None else field.rpartition("_")[2]
        raise InvalidInputError(f"{task}: its configs differ in their {what}; choose one of {ids}")
    return schemas[0]


def tokenizer_of_source(source: "DataSource") -> "TokenizersBackend | None":
    """Return the tokenizer that is saved with a model of the rows of a source; None for real values."""
    if not source.schema.has_tokenizer:
        return tokenizer_of(source.schema)
    tokenizer = load_tokenizer(source.options["tokens"])
    if source.file_rows is not None and (longest := source.file_rows.reading.get("max_length")) is not None:
        tokenizer.model_max_length = longest
    return tokenizer


def tokenizer_vocabulary(tokenizer: "TokenizersBackend", name: str) -> Vocabulary:
    """Return the tokens from the id 1 on, for the schema of the rows."""
    tokens = dict(sorted((number, token) for token, number in tokenizer.get_vocab().items()))
    size = max(tokens) + 1
    return Vocabulary(tuple(tokens.get(number, f"[unused {number}]") for number in range(1, size)), " ", name,
                      boundaries=TOKENIZER)  # fmt: skip

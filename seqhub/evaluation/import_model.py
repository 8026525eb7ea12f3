"""Records for models that were trained without `seqhub train`, as by `transformers.Trainer`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub._logging import quiet_transformers
from seqhub.data.source import DataSource
from seqhub.data.tokenizers import tokenizer_of
from seqhub.errors import CorruptFileError, InvalidInputError
from seqhub.evaluation.load import file_digest, load_model
from seqhub.evaluation.probe import probe_logits
from seqhub.models.registry import build_config, class_name, config_fields, preset_of
from seqhub.records import RunRecord
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.schema import TaskSchema

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# Files that `save_pretrained` of a model and a tokenizer writes; the folder may contain others (training_args.bin)
_FILES = (
    "*.safetensors",
    "model.safetensors.index.json",
    "*config.json",
    "*.py",
    "tokenizer*",
    "special_tokens_map.json",
)


def create_record(folder: Path, task: str | TaskRef) -> RunRecord:
    """Return a record for a model folder without one, from its files; fields about the training are empty.

    Args:
        folder: Folder with the files that `save_pretrained` of a model and, for a task with texts, of its tokenizer
            wrote.
        task: Task id that the model was trained for.

    Raises:
        FileNotFoundError: There is no model in the folder.
        UnknownNameError: There is no such task.
        InvalidInputError: The model is not a seqhub model, or its inputs or labels are not those of the task; or the
            rows of the task are a file that the user supplies.
        CorruptFileError: The files cannot be read or do not fit together.
    """
    ref = TaskRef.parse(task)
    if ref.is_custom:
        raise InvalidInputError(
            f"{ref}: rows of a file; must be a generated task, since only runs of `seqhub train` record the file"
        )
    model = load_model(folder, _head(folder, ref))
    config: Any = model.config
    preset = preset_of(config)
    if preset is None:
        raise InvalidInputError(f"{folder}: model_type {config.model_type!r}; must be a seqhub model")
    if difference := _difference(config, ref.schema):
        raise InvalidInputError(f"{folder}: {difference}, as in {ref}")
    _check_tokenizer(folder, ref)
    defaults = build_config(preset)
    settings = {
        name: getattr(config, name)
        for name in sorted(config_fields(preset))
        if getattr(config, name) != getattr(defaults, name)
    }
    files = {path.name for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}
    single_logit = ref.schema.target == "class" and config.num_labels == 1
    return RunRecord(
        task=ref,
        model=preset,
        model_config=settings,
        num_parameters=model.num_parameters(),
        seed=None,
        training={"single_logit": True} if single_logit else {},
        data={"task_version": ref.definition.version},
        sequences_seen=None,
        optimizer_steps=None,
        processes=None,
        criteria={},
        probe=probe_logits(model, DataSource(ref)),
        files={name: file_digest(folder / name) for name in sorted(files)},
    )


def _head(folder: Path, ref: TaskRef) -> str:
    """Return the head that the task needs, if the folder's config.json does not name another."""
    head = ref.schema.head
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"no model in {folder}: it has no config.json") from None
    except ValueError as error:
        raise CorruptFileError(f"{folder / 'config.json'} is not valid JSON: {error}") from None
    saved, wanted = (config.get("architectures") or [None])[0], class_name(config.get("model_type"), head)
    if saved is not None and wanted is not None and saved != wanted:
        raise InvalidInputError(f"{folder}: {saved}; must be {wanted} for {ref}")
    return head


def _difference(config: "PreTrainedConfig", schema: TaskSchema) -> str:
    """Return the first difference between a config and the schema of a task; empty if they agree."""
    wanted: dict[str, Any] = {}
    if schema.vocabulary is not None:
        wanted["vocab_size"] = 1 + len(schema.vocabulary)
    elif hasattr(config, "step_shape"):
        wanted["step_shape"] = list(schema.step_shape)
    else:
        wanted["num_features"] = schema.num_features
    if hasattr(config, "inputs") and (config.inputs == "values") != (schema.vocabulary is None):
        return f"inputs={'real values' if config.inputs == 'values' else 'ids'}; must be " + (
            "real values" if schema.vocabulary is None else "ids"
        )
    if schema.target_vocabulary is not None:
        wanted["decoder_vocab_size"] = 1 + schema.end_id
    for name, value in wanted.items():
        if (given := getattr(config, name, None)) != value:
            return f"{name}={given}; must be {value}"
    numbers = {"number": 1, "numbers": len(schema.numbers)}.get(schema.target, config.num_labels)
    if config.num_labels != numbers:
        return f"num_labels={config.num_labels}; must be {numbers}"
    if not schema.labels:
        return ""
    if schema.target == "class" and config.num_labels == 1 and len(schema.labels) == 2:
        return ""  # a single logit for the second class
    if config.num_labels != len(schema.labels):
        return f"num_labels={config.num_labels}; must be {len(schema.labels)}"
    id2label: dict[Any, str] = config.id2label or {}
    names = tuple(id2label.get(number) for number in range(len(schema.labels)))
    unnamed = tuple(f"LABEL_{number}" for number in range(len(schema.labels)))
    if names not in (schema.labels, unnamed):
        return f"labels {', '.join(map(str, names))}; must be {', '.join(schema.labels)}"
    return ""


def _check_tokenizer(folder: Path, ref: TaskRef) -> None:
    """Raise InvalidInputError unless the folder has the tokenizer of a task with texts."""
    from transformers import AutoTokenizer

    expected = tokenizer_of(ref.schema)
    if expected is None:
        return
    remedy = f"write it with seqhub.get_tokenizer({str(ref)!r}).save_pretrained({str(folder)!r})"
    if not (folder / "tokenizer.json").is_file():
        raise InvalidInputError(f"{folder}: no tokenizer.json; {remedy}")
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises Exception itself
        raise CorruptFileError(f"the tokenizer in {folder} cannot be loaded: {' '.join(str(error).split())}") from error
    if tokenizer.get_vocab() != expected.get_vocab():
        raise InvalidInputError(f"{folder}: the vocabulary of the tokenizer is not that of {ref}; {remedy}")

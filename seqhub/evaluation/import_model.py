"""Records of models that were trained without `seqhub train`, as by `transformers.Trainer`."""

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

# What `save_pretrained` of a model and a tokenizer writes; a folder may hold other files, such as training_args.bin
_FILES = (
    "*.safetensors",
    "model.safetensors.index.json",
    "*config.json",
    "*.py",
    "tokenizer*",
    "special_tokens_map.json",
)


def record_of_model(folder: Path, task: str | TaskRef) -> RunRecord:
    """Make the record of a model folder that has none: what the files tell, and nothing about the training.

    Args:
        folder: Holds what `save_pretrained` of a model and, for a task with texts, of its tokenizer wrote.
        task: Task id of what the model was trained for.

    Raises:
        FileNotFoundError: No model in the folder.
        UnknownNameError: No such task.
        InvalidInputError: The model is not one of seqhub's, or is for other inputs or labels than those of the task; or
            a task whose rows are a file of the user.
        CorruptFileError: The files cannot be read or do not fit together.
    """
    ref = TaskRef.parse(task)
    if ref.is_custom:
        raise InvalidInputError(f"{ref}: rows of a file, which only runs of `seqhub train` record")
    model = load_model(folder, _head(folder, ref))
    config: Any = model.config
    preset = preset_of(config)
    if preset is None:
        raise InvalidInputError(f"{folder}: a {config.model_type!r} model; only models of seqhub can be evaluated")
    if difference := _difference(config, ref.schema):
        raise InvalidInputError(f"{folder}: {difference}, as {ref} has")
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
        raise InvalidInputError(f"{folder}: a {saved}; must be a {wanted}, as {ref} needs")
    return head


def _difference(config: "PreTrainedConfig", schema: TaskSchema) -> str:
    """Return how a config differs from what a task needs; empty if it does not."""
    wanted: dict[str, Any] = {}
    if schema.vocabulary is not None:
        wanted["vocab_size"] = 1 + len(schema.vocabulary)
    elif hasattr(config, "step_shape"):
        wanted["step_shape"] = list(schema.step_shape)
    else:
        wanted["num_features"] = schema.num_features
    if hasattr(config, "inputs") and (config.inputs == "values") != (schema.vocabulary is None):
        return f"takes {'real values' if config.inputs == 'values' else 'ids'}; must take " + (
            "real values" if schema.vocabulary is None else "ids"
        )
    for name, value in wanted.items():
        if (given := getattr(config, name, None)) != value:
            return f"{name}={given}; must be {value}"
    if schema.target == "number" and config.num_labels != 1:
        return f"num_labels={config.num_labels}; must be 1"
    if not schema.labels:
        return ""
    if schema.target == "class" and config.num_labels == 1 and len(schema.labels) == 2:
        return ""  # a single logit, of the second class
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

    if ref.schema.vocabulary is None:
        return
    expected = tokenizer_of(ref.schema.vocabulary)
    remedy = f"seqhub.get_tokenizer({str(ref)!r}).save_pretrained({str(folder)!r}) writes it"
    if not (folder / "tokenizer.json").is_file():
        raise InvalidInputError(f"{folder}: no tokenizer.json; {remedy}")
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise CorruptFileError(
            f"{folder} has no tokenizer that can be loaded: {' '.join(str(error).split())}"
        ) from error
    if tokenizer.get_vocab() != expected.get_vocab():
        raise InvalidInputError(f"{folder}: a tokenizer with another vocabulary than {ref} has; {remedy}")

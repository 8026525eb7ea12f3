"""Settings of a run from a task id or a file: given settings, then the recipe, then the defaults."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from seqhub.data.file_names import HUB, is_image_folder, looks_like_a_file, looks_like_a_hub_id
from seqhub.errors import HubError, InvalidConfigError, UnknownNameError
from seqhub.models.ids import ModelId
from seqhub.tasks.ref import FILE, TaskRef, file_stem
from seqhub.training.config import TrainConfig
from seqhub.training.recipes import recipe

_MOST_BETWEEN = 100_000  # training rows of a file between two validations; fewer if an epoch has fewer


def configure(
    task: str | TaskRef | None = None,
    *,
    recipe_name: str = "solve",
    kind: str | None = None,
    data_options: Mapping[str, Any] | None = None,
    **given: Any,
) -> TrainConfig:
    """Return the settings of a run.

    Args:
        task: Task id, or a file of rows, or the id of a dataset of a Hub, as in `me/reviews` or, if a task has the same
            name, `hub:me/reviews`; None if `data` is one of these.
        recipe_name: Settings that replace the defaults, see `recipes.recipe`.
        kind: Kind of the rows of a file, as in `text-class`; None to choose it.
        data_options: Options for reading a file; for a file of rows see `data.file_kinds.FileOptions`.
        **given: Settings of `TrainConfig`, which take precedence.

    Raises:
        UnknownNameError: Unknown task, config, setting or option.
        InvalidConfigError: Value out of range, or no task and no file; or a setting of the architecture that differs
            from the base model.
        InvalidInputError: The file cannot be read, or its columns do not determine a choice.
        HubError: The Hub does not respond, or has no such dataset.
    """
    known = [each.name for each in fields(TrainConfig)]
    for name in given:
        if name not in known:
            raise UnknownNameError.of("setting", name, known)
    options = dict(data_options or {})
    chosen = dict(options)
    file = _file(task, given.get("data"))
    if file is not None:
        from seqhub.data.file_kinds import task_of_file  # imported here because pyarrow is slow for `--help`

        ref, options = task_of_file(file, options, kind)
        given["data"] = str(file)
    elif task is None:
        raise InvalidConfigError("task=None: must be a task id, as in qrsu/hard, or data must be a file of rows")
    else:
        ref = TaskRef.parse(task)
        if kind is not None:
            raise InvalidConfigError.of("kind", kind, "omitted without a file of rows", ref)
        if options and not ref.is_custom:
            raise UnknownNameError.of(f"data option of {ref}", next(iter(options)), ["none"])
    base = None
    if given.get("base_model") is not None:
        from seqhub.training.base_model import ARCHITECTURE, BaseModel  # imported here because torch is slow

        base = BaseModel.load(given["base_model"], trust_remote_code=given.get("trust_remote_code", False))
        given = {name: value for name, value in given.items() if name not in ARCHITECTURE} | base.settings(given)
        if file is not None:
            options |= base.file_options(chosen, ref.schema, file)
    recommended = recipe(ref, given.get("model"), recipe_name)
    if base is not None:
        recommended = {name: value for name, value in recommended.items() if name not in ARCHITECTURE}
    model = given.get("model") or recommended["model"]
    settings = {
        "task": ref,
        "output_dir": default_folder(ref, model, given.get("seed", 0), file),
        **recommended,
        **given,
        "model_options": recommended.get("model_options", {}) | given.get("model_options", {}),
        "data_options": options,
    }
    config = TrainConfig(**settings)
    if ref.name == FILE:
        from seqhub.training.dataloaders import data_source
        from seqhub.training.recipes.solve import file_length

        rows = data_source(config).sizes["train"]
        writes = ref.schema.target == "sequence"  # its recipe has a length of its own
        length = {} if writes else file_length(rows, texts=ref.schema.vocabulary is not None)
        if base is not None or ModelId.parse(model).is_wrapped:
            length.pop("learning_rate", None)
        between = min(_MOST_BETWEEN, rows)
        length |= {"evaluate_every": between, "checkpoint_every": max(between, config.checkpoint_every)}
        config = replace(config, **{name: value for name, value in length.items() if name not in given})
    return config


def default_folder(task: TaskRef, model: str, seed: int, file: Path | None = None) -> Path:
    """Return the default folder of a run: runs/qrsu-hard-lstm, runs/qrsu-hard-lstm-seed3 or runs/reviews-lstm."""
    name = f"{task.slug if file is None else file_stem(file.name)}-{ModelId.parse(model).short}"
    return Path("runs") / (name if seed == 0 else f"{name}-seed{seed}")


def _file(task: str | TaskRef | None, data: object) -> Path | None:
    """Return the file of rows that is given as the task, or as the data without a task."""
    if task is None:
        return None if data is None else _resolved(str(data))
    if isinstance(task, TaskRef) or ".py" in task:
        return None
    is_file = looks_like_a_file(task) or Path(task).is_file() or is_image_folder(Path(task))
    if not task.startswith(HUB) and not is_file:
        return None if data is not None else _dataset(task)
    if data is not None:
        raise InvalidConfigError.of("data", data, f"omitted, as the rows are those of {task}")
    return _resolved(task)


def _resolved(name: str) -> Path:
    from seqhub.data.user_sources import resolve_file  # imports Arrow

    return resolve_file(name)


def _dataset(task: str) -> Path | None:
    """Return the file of a dataset of a Hub, whose id is not a task id; None for a task id.

    Raises:
        UnknownNameError: Neither a task nor a dataset.
    """
    try:
        TaskRef.parse(task)
    except UnknownNameError as error:
        from seqhub.data.user_sources import hub_file
        from seqhub.hub.client import is_offline
        from seqhub.tasks.registry import list_tasks

        name = task.partition("/")[0]
        if name in (FILE, *list_tasks()) or not looks_like_a_hub_id(task) or is_offline():
            raise
        try:
            return hub_file(task)
        except HubError as other:
            raise UnknownNameError(f"{error}; and no dataset of this name: {other}") from None
    return None

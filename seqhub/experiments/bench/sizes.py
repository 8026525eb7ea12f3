"""Models of a benchmark: existence, code, and the width for a number of parameters."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from seqhub.models.ids import ModelId
from seqhub.models.registry import build_config
from seqhub.models.sizing import match_size
from seqhub.tasks.ref import TaskRef

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def require_model(model: str) -> None:
    """Raise UnknownNameError or InvalidConfigError for a model that does not exist or whose options are not known."""
    build_config(model)


def code_digest(model: str) -> str | None:
    """Return the SHA-256 of the code that a model id names by its path; None for an installed model."""
    path = ModelId.parse(model).code
    if path is None:
        return None
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def match_parameters(model: str, task: TaskRef, target: int | None) -> str:
    """Return the model id with the width that has a number of parameters, without embedding and head.

    Args:
        model: Model id; its other options are kept.
        task: Task that determines the inputs and the head of the model.
        target: Number of parameters; None returns the model unchanged.

    Raises:
        InvalidConfigError: No width is within 5 %, or the id has one already.

    >>> match_parameters("gru", TaskRef.parse("parity/every"), 50_000)
    'gru?hidden_size=127'
    """
    if target is None:
        return model
    from seqhub.training.config import TrainConfig
    from seqhub.training.model_setup import create_model

    def build(model_id: str) -> "PreTrainedModel":
        return create_model(TrainConfig(task=task, output_dir=Path(), model=model_id), task.schema)

    return str(match_size(model, target, build))

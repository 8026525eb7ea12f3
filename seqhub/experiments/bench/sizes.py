"""Sizes of models: options in a model id, hidden size for a number of parameters, and measured sizes.

All that the benchmark knows about model ids is here; elsewhere they are opaque strings.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.family_folders import split_preset
from seqhub.models.registry import family_of, list_presets
from seqhub.tasks.ref import TaskRef

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 0.05  # largest relative difference from a requested number of parameters
_LARGEST_HIDDEN = 65_536
_SEPARATE = ("hidden_size", "num_hidden_layers", "initialization")  # options that are settings of a run
_CACHE_STEPS = (1, 256)  # tokens after which the state is measured


class Sizes(NamedTuple):
    """Measured sizes of a model."""

    parameters: int
    core_parameters: int  # without embedding and head
    state_floats: list[int] | None  # after 1 and 256 tokens; None if the model has no cache


def require_model(model: str) -> None:
    """Raise UnknownNameError for a model that does not exist."""
    name = model.partition("?")[0]
    if not split_preset(name)[0] and name not in list_presets():
        raise UnknownNameError.of("model", name, list_presets())
    family_of(name)


def train_settings(model: str) -> dict[str, Any]:
    """Return the settings of a run that build a model.

    >>> train_settings("lstm?hidden_size=64&bidirectional=true")
    {'model': 'lstm', 'hidden_size': 64, 'model_options': {'bidirectional': True}}
    """
    name, _, query = model.partition("?")
    options: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        key, separator, text = part.partition("=")
        if not key or not separator:
            raise InvalidConfigError(f"model {model!r}: option {part!r} must be NAME=VALUE")
        try:
            options[key] = json.loads(text)
        except ValueError:
            options[key] = text
    settings = {name: options.pop(name) for name in _SEPARATE if name in options}
    return {"model": name, **settings, **({"model_options": options} if options else {})}


def code_digest(model: str) -> str | None:
    """Return the SHA-256 of the code that a model id names by its path; None for an installed model."""
    folder = split_preset(model.partition("?")[0])[0]
    if not folder:
        return None
    path = Path(folder)
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def match_parameters(model: str, task: TaskRef, target: int | None) -> str:
    """Return the model id with the hidden size that has a number of parameters, without embedding and head.

    Args:
        model: Model id; its other options are kept.
        task: Task that determines the inputs of the model.
        target: Number of parameters; None returns the model unchanged.

    Raises:
        InvalidConfigError: No hidden size is within 5 %, or the id has one already.

    >>> match_parameters("gru", TaskRef.parse("parity/every"), 50_000)
    'gru?hidden_size=127'
    """
    if target is None:
        return model
    if "hidden_size" in train_settings(model):
        raise InvalidConfigError(f"model {model} has a hidden_size, so it cannot be matched to {target:,} parameters")
    low, high = 1, 2
    while high < _LARGEST_HIDDEN and _core_parameters(_with_hidden(model, high), task) < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _core_parameters(_with_hidden(model, middle), task) < target else (low, middle)
    counts = {size: _core_parameters(_with_hidden(model, size), task) for size in (low, high)}
    best = min(counts, key=lambda size: abs(counts[size] - target))
    if abs(counts[best] - target) > TOLERANCE * target:
        found = " or ".join(f"{count:,} (hidden_size={size})" for size, count in counts.items())
        raise InvalidConfigError(
            f"params={target}: model {model} on {task} has {found} parameters without embedding and head, none within "
            f"{TOLERANCE:.0%}"
        )
    return _with_hidden(model, best)


def measure_sizes(model: "PreTrainedModel", example: Mapping[str, Any]) -> Sizes:
    """Return the sizes of a model.

    Args:
        model: The model, in evaluation mode.
        example: Inputs of one row, such as `input_ids` (1, T).
    """
    parameters = sum(each.numel() for each in model.parameters())
    return Sizes(parameters, core_parameters(model), _state_floats(model, example))


def core_parameters(model: "PreTrainedModel") -> int:
    """Return the number of parameters of a model without its embedding and head."""
    from torch import nn

    body = model.base_model
    embeddings = [module for module in body.modules() if isinstance(module, nn.Embedding)]
    excluded = {id(each) for module in embeddings for each in module.parameters()}
    return sum(each.numel() for each in body.parameters() if id(each) not in excluded)


def _with_hidden(model: str, hidden_size: int) -> str:
    return f"{model}{'&' if '?' in model else '?'}hidden_size={hidden_size}"


def _core_parameters(model: str, task: TaskRef) -> int:
    import torch

    from seqhub.models.registry import build_model
    from seqhub.training.config import TrainConfig
    from seqhub.training.model_setup import model_config

    config = TrainConfig(task=task, output_dir=Path(), **train_settings(model))
    with torch.device("meta"):
        return core_parameters(build_model(model_config(config, task.schema), task.schema.head))


def _state_floats(model: "PreTrainedModel", example: Mapping[str, Any]) -> list[int] | None:
    """Return the number of values in the cache of a model after 1 and 256 tokens."""
    from inspect import signature

    import torch

    body = model.base_model
    if "use_cache" not in signature(body.forward).parameters:
        return None
    found = []
    for steps in _CACHE_STEPS:
        with torch.inference_mode():
            inputs = {name: values[:, :1].repeat_interleave(steps, dim=1) for name, values in example.items()}
            found.append(_count_floats(body(**inputs, use_cache=True).past_key_values))
    return found


def _count_floats(value: Any) -> int:
    """Return the number of floating-point values in the tensors of a nested object."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.numel() if value.is_floating_point() else 0
    if isinstance(value, Mapping):
        return sum(map(_count_floats, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return sum(map(_count_floats, value))
    return sum(map(_count_floats, vars(value).values())) if hasattr(value, "__dict__") else 0

"""Sizes of models: parameters, numbers in the carried state, and the width that has a given number of parameters."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from seqhub.errors import InvalidConfigError
from seqhub.models.ids import ModelId
from seqhub.models.reports import Sizes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

STATE_STEPS = (1, 256)
_UNITS = {"k": 10**3, "m": 10**6, "b": 10**9}
_WITHIN = 0.05  # largest deviation from a given number of parameters
_WIDEST = 4_096
_STEPS = (1, 2, 4, 8, 16, 32)  # between the widths of a user's module, which may have heads
_HEADS = ("classifier", "lm_head")


def whole_number(name: str, value: Any) -> int:
    """Return a whole number, also from a text such as 50k or 2.5M.

    >>> whole_number("budget", "2.5M"), whole_number("seeds", 5)
    (2500000, 5)
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        factor = _UNITS.get(text[-1:], 1)
        try:
            number = float(text[:-1] if text[-1:] in _UNITS else text) * factor
        except ValueError:
            number = float("nan")
        if isfinite(number) and number == int(number):
            return int(number)
    raise InvalidConfigError.of(name, value, "a whole number, as in 50000, 50k or 2.5M")


def measure_sizes(model: PreTrainedModel) -> Sizes:
    """Return the sizes of a model on the CPU; `state` only if it can carry one.

    >>> from seqhub.models.registry import build_config, build_model
    >>> measure_sizes(build_model(build_config("lstm", hidden_size=8), "token"))
    {'parameters': 594, 'embedding': 0, 'head': 18, 'state': [16, 16]}
    """
    sizes = count_sizes(model)
    if (state := _state_sizes(model)) is not None:
        sizes["state"] = state
    return sizes


def count_sizes(model: PreTrainedModel) -> Sizes:
    """Return the numbers of trainable parameters: of all, of the embedding of symbols, of the readout."""
    from torch import nn

    def count(modules: list[nn.Module]) -> int:
        unique = {id(each): each for module in modules for each in module.parameters() if each.requires_grad}
        return sum(each.numel() for each in unique.values())

    heads = [each for name, each in model.named_modules() if name in _HEADS]
    vocab_size = getattr(model.config, "vocab_size", None)
    embeddings: list[nn.Module] = [
        each for each in model.modules() if isinstance(each, nn.Embedding) and each.num_embeddings == vocab_size
    ]
    return {"parameters": count([model]), "embedding": count(embeddings), "head": count(heads)}


def _state_sizes(model: PreTrainedModel) -> list[int] | None:
    """Return the numbers in the state of one sequence after the steps of `STATE_STEPS`; None without a state."""
    import torch

    body: Any = getattr(model, model.base_model_prefix, model)
    config, training = body.config, body.training
    body.eval()
    found = []
    try:
        for steps in STATE_STEPS:
            values = getattr(config, "inputs", "values") == "values"
            inputs = torch.zeros(1, steps, config.num_features) if values else torch.ones(1, steps, dtype=torch.long)
            with torch.no_grad():
                output = body(**{body.main_input_name: inputs}, use_cache=True, return_dict=True)
            found.append(_count(output.past_key_values, set()))
    except Exception:  # of any kind: the code may not be ours, and the state is optional
        return None
    finally:
        body.train(training)
    return found if any(found) else None


def _count(value: Any, seen: set[int]) -> int:
    """Return the number of floating-point numbers in the containers and attributes of a value."""
    import torch

    if isinstance(value, torch.Tensor):
        new = value.data_ptr() not in seen
        seen.add(value.data_ptr())
        return value.numel() if new and value.is_floating_point() else 0
    if isinstance(value, dict):
        return sum(_count(each, seen) for each in value.values())
    if isinstance(value, (tuple, list)):
        return sum(_count(each, seen) for each in value)
    if hasattr(value, "__dict__") and not isinstance(value, (type, torch.nn.Module)) and not callable(value):
        return _count(vars(value), seen)
    return 0


def match_size(
    model: ModelId | str,
    target: int,
    build: Callable[[str], PreTrainedModel],
    by: Literal["parameters", "state"] = "parameters",
) -> ModelId:
    """Return the id of a model with the `hidden_size` that is closest to a given size.

    If no width is within 5 %, as with attention, whose widths are multiples of 8, the width of the MLPs changes, too.

    Args:
        model: Id of the model; other options stay unchanged.
        target: Number of parameters without the embedding of symbols and the readout, or of numbers in the state after
            256 steps.
        build: Returns a new model for an id.
        by: What `target` counts.

    Raises:
        InvalidConfigError: No width comes within 5 %, or the model has no state.
    """
    base = ModelId.parse(model)
    if "hidden_size" in dict(base.options):
        raise InvalidConfigError(f"model {base}: has a hidden_size, so it cannot be matched to {by}={target:,}")
    step = _width_step(base, build)

    def with_width(units: int) -> ModelId:
        return base.with_options(hidden_size=units * step)

    def size(candidate: ModelId) -> int:
        return _size(build(str(candidate)), by, base)

    below, above = _bracket(lambda units: size(with_width(units)), target, _WIDEST // step)
    candidates = [with_width(units) for units in (below, above) if units]
    best = min(candidates, key=lambda candidate: abs(size(candidate) - target))
    if abs(size(best) - target) > _WITHIN * target and below and _has_mlp(base):  # widths are multiples of `step`

        def with_mlp(units: int) -> ModelId:
            return with_width(below).with_options(intermediate_size=units * step)

        candidates = [
            with_mlp(units) for units in _bracket(lambda units: size(with_mlp(units)), target, _WIDEST) if units
        ]
        best = min(candidates, key=lambda candidate: abs(size(candidate) - target))
    if abs(size(best) - target) > _WITHIN * target:
        raise InvalidConfigError(
            f"model {base}: no hidden_size has {by}={target:,} within {_WITHIN:.0%}; the closest is {best} "
            f"with {size(best):,}"
        )
    return best


def _bracket(size: Callable[[int], int], target: int, largest: int) -> tuple[int, int]:
    """Return the largest number whose size is below a target, or 0, and the next one, for a size that grows."""
    high = 1
    while high < largest and size(high) < target:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) < target else (low, middle)
    return low, high


def _has_mlp(model: ModelId) -> bool:
    """Return whether the width of the MLPs of a model can be chosen."""
    from seqhub.models.transformers_types import TYPES

    return model.scheme == "transformers" and "intermediate_size" in TYPES[model.target].width_fields


def _width_step(model: ModelId, build: Callable[[str], PreTrainedModel]) -> int:
    """Return the step between the widths that a model can have; that of a user's module is found by trying."""
    from seqhub.models.transformers_types import TYPES

    if model.scheme == "transformers" and model.target in TYPES:
        return TYPES[model.target].width_multiple
    if not model.is_wrapped:
        return 1
    for step in _STEPS:
        try:
            build(str(model.with_options(hidden_size=3 * step)))  # heads divide the width, and 3 is not a power of 2
        except InvalidConfigError:
            continue
        return step
    return 1  # the error of the first width is raised later


def _size(model: PreTrainedModel, by: str, model_id: ModelId) -> int:
    if by == "parameters":
        sizes = count_sizes(model)
        return sizes["parameters"] - sizes["embedding"] - sizes["head"]
    state = _state_sizes(model)
    if state is None:
        raise InvalidConfigError(f"model {model_id}: carries no state, so it cannot have a size of the state")
    return state[-1]

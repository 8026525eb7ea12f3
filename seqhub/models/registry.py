"""Finds models. The folder is the registry: every package below `seqhub.models` is a family.

Family `recurrent` is `seqhub.models.recurrent`, whose door holds `PRESETS` and what they take, `INPUTS`. Beside it
stand `configuration_recurrent` (the config class and `AUTO_MAP`, which names all classes) and `modeling_recurrent`. No
two families share a preset.

torch and transformers are imported by the functions that need them, not by this module.
"""

from __future__ import annotations

import dataclasses
import sys
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal

import wrapt

from seqhub import models
from seqhub.errors import InvalidConfigError, UnknownNameError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

HEADS = {
    "base": "AutoModel",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "causal": "AutoModelForCausalLM",
}


@cache
def list_families() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in iter_modules(models.__path__) if module.ispkg))


def _door(family: str) -> Any:
    return import_module(f"seqhub.models.{family}")


@cache
def _presets() -> dict[str, tuple[str, dict[str, Any]]]:
    """Family and settings of every preset."""
    return {
        preset: (family, settings) for family in list_families() for preset, settings in _door(family).PRESETS.items()
    }


def list_presets(takes: Literal["input_ids", "input_values"] | None = None) -> tuple[str, ...]:
    """List the presets of all families, or of those that take symbols or real values.

    >>> list_presets("input_ids")
    ('gru', 'lstm', 'lstm_hs97', 'rnn_relu', 'rnn_tanh')
    """
    families = [family for family in list_families() if takes in (None, *_door(family).INPUTS)]
    return tuple(sorted(preset for family in families for preset in _door(family).PRESETS))


def list_heads(family: str) -> tuple[str, ...]:
    """List the heads that a family has: those whose Auto class stands in its `AUTO_MAP`."""
    return tuple(head for head, auto_class in HEADS.items() if auto_class in _auto_map(family))


def build_config(preset: str, **overrides: Any) -> PreTrainedConfig:
    """Build the config of a preset, with some fields set otherwise.

    Args:
        preset: One of `list_presets()`.
        overrides: Fields of the family's config class, or `num_labels`.

    Raises:
        UnknownNameError: If the preset or a field does not exist.
        InvalidConfigError: If a value is not allowed, or not together with the others.

    >>> build_config("gru", hidden_size=16).hidden_size
    16
    >>> build_config("gru", hidden_size=0)
    Traceback (most recent call last):
    seqhub.errors.InvalidConfigError: model 'gru': hidden_size must be >= 1, got 0
    """
    from huggingface_hub.errors import StrictDataclassError

    if preset not in _presets():
        raise UnknownNameError.of("model", preset, list_presets())
    family, settings = _presets()[preset]
    config_class = _load(family, "AutoConfig")
    known = [field.name for field in dataclasses.fields(config_class)] + ["num_labels"]
    for name in overrides:
        if name not in known:
            raise UnknownNameError.of(f"setting of model {preset!r} named", name, known)
    try:
        config: PreTrainedConfig = config_class(**(settings | overrides))
    except (StrictDataclassError, ValueError) as error:
        reason = error.__cause__ if isinstance(error, StrictDataclassError) else error  # its first line says nothing
        raise InvalidConfigError(f"model {preset!r}: {' '.join(str(reason).split())}") from error
    return config


def config_fields(preset: str) -> frozenset[str]:
    """Fields that the config class of a preset's family has itself, as in `hidden_size`.

    Raises:
        UnknownNameError: If the preset does not exist.

    >>> "num_hidden_layers" in config_fields("lstm"), "num_hidden_layers" in config_fields("cnn")
    (True, False)
    """
    from transformers import PreTrainedConfig

    if preset not in _presets():
        raise UnknownNameError.of("model", preset, list_presets())
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    config_class = _load(_presets()[preset][0], "AutoConfig")
    return frozenset(field.name for field in dataclasses.fields(config_class)) - common


def build_model(config: PreTrainedConfig, head: Literal["sequence", "token", "causal", "base"]) -> PreTrainedModel:
    """Build a model with first weights drawn from torch's global generator.

    Args:
        config: Of one of the families here.
        head: `sequence` for one label per sequence, `token` for one per step, `causal` to predict the next id, `base`
            for states only, or for an autoencoder, which has no head.

    Raises:
        UnknownNameError: If the config's family does not exist or has no such head.
        InvalidConfigError: If the head cannot stand on this config.
    """
    families = {_load(family, "AutoConfig").model_type: family for family in list_families()}
    if config.model_type not in families:
        raise UnknownNameError.of("model type", config.model_type, families)
    family = families[config.model_type]
    if head not in list_heads(family):
        raise UnknownNameError.of(f"head of family {family!r} named", head, list_heads(family))
    try:
        model: PreTrainedModel = _load(family, HEADS[head])(config)
    except ValueError as error:
        raise InvalidConfigError(f"head {head!r}: {error}") from error
    return model


def register() -> None:
    """Let the Auto classes of transformers load every family without remote code. Idempotent."""
    register_configs()
    register_models()


def register_configs() -> None:
    """The part for `AutoConfig`; imports the configuration files only."""
    from transformers.models.auto.configuration_auto import AutoConfig

    for family in list_families():
        config_class = _load(family, "AutoConfig")
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)


def register_models() -> None:
    """The part for `AutoModel...`.

    It enters stand-ins that import the modeling file at first use: the import hook that calls this fires in the midst
    of `transformers.modeling_layers`, which the modeling file itself needs whole.
    """
    for mapping, family, auto_class in _model_mappings():
        module, name = _reference(family, auto_class)
        mapping.register(_load(family, "AutoConfig"), wrapt.lazy_import(module, name), exist_ok=True)


def unregister() -> None:
    """Undo `register`. Idempotent."""
    # transformers has no public way back; what it has not imported yet holds nothing of ours
    if "transformers.models.auto.configuration_auto" in sys.modules:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        for family in list_families():
            CONFIG_MAPPING._extra_content.pop(_load(family, "AutoConfig").model_type, None)
    if "transformers.models.auto.modeling_auto" in sys.modules:
        for mapping, family, _ in _model_mappings():
            mapping._extra_content.pop(_load(family, "AutoConfig"), None)


def _model_mappings() -> list[tuple[Any, str, str]]:
    """Pair each table of transformers with the family and Auto class to enter there."""
    from transformers.models.auto import modeling_auto

    return [
        (getattr(modeling_auto, auto_class)._model_mapping, family, auto_class)
        for family in list_families()
        for auto_class in _auto_map(family)
        if auto_class != "AutoConfig"
    ]


def _auto_map(family: str) -> dict[str, str]:
    auto_map: dict[str, str] = import_module(f"seqhub.models.{family}.configuration_{family}").AUTO_MAP
    return auto_map


def _reference(family: str, auto_class: str) -> tuple[str, str]:
    """Module and class that `auto_class` stands for."""
    file, name = _auto_map(family)[auto_class].split(".")
    return f"seqhub.models.{family}.{file}", name


def _load(family: str, auto_class: str) -> Any:
    module, name = _reference(family, auto_class)
    return getattr(import_module(module), name)

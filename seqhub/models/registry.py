"""Registry of model families and presets, from packages in this folder and entry points of installed packages.

The package of a family, such as `seqhub.models.recurrent`, has `PRESETS`, their `INPUTS` and, imported at first use,
the config and model classes of the modules `configuration_recurrent` (with `AUTO_MAP`, a map to all classes) and
`modeling_recurrent`. A preset belongs to one family. Other distributions add families with the entry-point group
`seqhub.models`: name = package, which has the same modules; or modules for the family `wrapped`: name =
package.module:NAME. A folder with such a package is a family too; its presets
are `path/to/family:PRESET`.

torch and transformers are imported by the functions that need them, not by this module.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import warnings
from contextlib import nullcontext, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Literal

from seqhub import models
from seqhub._distributions import entry_points_of
from seqhub._logging import quiet_transformers
from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.family_folders import import_family, imported_families, is_folder
from seqhub.models.ids import ModelId
from seqhub.models.sources import describe_error, load_weights

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel

GROUP = "seqhub.models"
WRAPPED = "wrapped"  # the family of all models that are not presets
ID_FORMS = ("transformers:TYPE", "hub:OWNER/NAME", "file.py:NAME", "package.module:NAME")
HEADS = {
    "base": "AutoModel",
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "causal": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
}

_AUTO_MAP = re.compile(r"^AUTO_MAP = (\{[^{}]*\})", re.MULTILINE)


@cache
def builtin_families() -> tuple[str, ...]:
    """Return the names of the families in seqhub, sorted."""
    return tuple(sorted(module.name for module in iter_modules(models.__path__) if module.ispkg))


@cache
def list_families() -> tuple[str, ...]:
    """Return the names of all families, including those of installed packages, sorted."""
    return tuple(sorted({*builtin_families(), *_installed()}))


@cache
def _installed() -> dict[str, str]:
    """Return the packages of families that other installed distributions add, by name of the family.

    Packages that cannot be imported are ignored with a warning, so that the other families can be used.
    """
    found = {}
    for point in entry_points_of(GROUP):
        if point.attr:
            continue  # a class or function, see `list_plugins`
        if point.name in builtin_families():
            warnings.warn(
                f"family {point.name!r} of {point.value} is ignored: seqhub has a family of this name", stacklevel=2
            )
            continue
        try:
            package = import_module(point.value)
        except Exception as error:
            warnings.warn(f"family {point.name!r} of {point.value} is ignored: {error!r}", stacklevel=2)
            continue
        missing = [name for name in ("PRESETS", "INPUTS") if not hasattr(package, name)]
        if missing:
            warnings.warn(f"family {point.name!r} is ignored: {point.value} has no {missing[0]}", stacklevel=2)
        else:
            found[point.name] = point.value
    return found


@cache
def list_plugins() -> dict[str, str]:
    """Return the modules that other installed distributions add, name -> `package.module:NAME`, sorted."""
    return {point.name: point.value for point in sorted(entry_points_of(GROUP)) if point.attr}


def resolve_model(model: str | ModelId) -> ModelId:
    """Return a model id, with the place of its class if it is the name of a module of an installed distribution."""
    parsed = ModelId.parse(model)
    if parsed.scheme == "preset" and parsed.name not in _presets() and parsed.name in list_plugins():
        return ModelId(list_plugins()[parsed.name], parsed.options)
    return parsed


def _path(family: str) -> str:
    if is_folder(family):
        return import_family(family)
    return _installed().get(family) or f"seqhub.models.{family}"


def _package(family: str) -> Any:
    return import_module(_path(family))


def _configuration(family: str) -> str:
    package = _path(family)
    name = Path(family).name if is_folder(family) else package.rpartition(".")[2]
    return f"{package}.configuration_{name}"


@cache
def model_classes() -> dict[str, str]:
    """Return the package of every config and model class, by name of the class, without importing torch.

    >>> model_classes()["RecurrentConfig"]
    'seqhub.models.recurrent'
    """
    return {
        name: _package(family).__name__
        for family in builtin_families()
        for name in getattr(_package(family), "__all__", ())
        if name not in ("INPUTS", "PRESETS")
    }


@cache
def _presets() -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the family and the settings of every preset."""
    return {
        preset: (family, settings)
        for family in list_families()
        for preset, settings in _package(family).PRESETS.items()
    }


def preset_of(config: PreTrainedConfig) -> str | None:
    """Return the preset whose settings a config has; None for a config of another library.

    >>> preset_of(build_config("gru", hidden_size=3))
    'gru'
    """
    presets = dict(_presets())
    for folder in imported_families():
        presets |= {f"{folder}:{name}": (folder, settings) for name, settings in _package(folder).PRESETS.items()}
    for preset, (family, settings) in presets.items():
        same_family = config.model_type == _load(family, "AutoConfig").model_type
        if same_family and all(getattr(config, name) == value for name, value in settings.items()):
            return preset
    return None


def class_name(model_type: str | None, head: str) -> str | None:
    """Return the class name for a model type and a head; None if the registry does not have it."""
    for family in (*list_families(), *imported_families()):
        if _load(family, "AutoConfig").model_type == model_type and head in list_heads(family):
            return _reference(family, HEADS[head])[1]
    return None


def family_folder(model_type: str) -> Path:
    """Return the folder with the modules of the family that has a model type.

    Raises:
        UnknownNameError: If no family has it.

    >>> family_folder("seqhub_recurrent").name
    'recurrent'
    """
    folders = {
        _load(family, "AutoConfig").model_type: Path(_package(family).__path__[0])
        for family in (*list_families(), *imported_families())
    }
    if model_type not in folders:
        raise UnknownNameError.of("model type", model_type, folders)
    return folders[model_type]


def family_of(model: str) -> str:
    """Return the family of a model id: its name, or its absolute folder for `path/to/family:PRESET`.

    Raises:
        UnknownNameError: If the preset does not exist.
        InvalidConfigError: If the folder is not that of a family.

    >>> family_of("lstm"), family_of("transformers:mamba")
    ('recurrent', 'wrapped')
    """
    return find(resolve_model(model))[0]


def find(model: ModelId) -> tuple[str, dict[str, Any]]:
    """Return the family and the settings of a model id, without its options.

    Raises:
        UnknownNameError, InvalidConfigError: As `family_of`.
    """
    if model.is_wrapped:
        return WRAPPED, {}
    if model.scheme == "preset":
        if model.name not in _presets():
            raise UnknownNameError.of("model", model.name, [*list_presets(), *list_plugins(), *ID_FORMS])
        return _presets()[model.name]
    family = _import_folder(model.place)
    presets: dict[str, dict[str, Any]] = _package(family).PRESETS
    if model.target not in presets:
        raise UnknownNameError.of(f"model in {model.place}", model.target, sorted(presets))
    return family, presets[model.target]


def _import_folder(folder: str) -> str:
    """Import a family from its folder, register it like the others, and return its absolute folder."""
    family = str(Path(folder).resolve())
    if family not in imported_families():
        import_family(folder)
        if "transformers.models.auto.configuration_auto" in sys.modules:  # otherwise the import hook registers it
            register_auto_classes()
    return family


def list_presets(
    takes: Literal["input_ids", "input_values"] | None = None, *, family: str | None = None, head: str | None = None
) -> tuple[str, ...]:
    """Return the presets of all families or of one, sorted, optionally only those with an input or a head.

    Args:
        takes: Input of the models: ids or real values.
        family: Name or folder of a family.
        head: Head of the models, see `HEADS`.

    >>> list_presets("input_ids", head="causal")
    ('gru', 'lstm', 'lstm_hs97', 'rnn_relu', 'rnn_tanh')
    """
    if family is not None and is_folder(family):
        return tuple(f"{family}:{preset}" for preset in sorted(_package(_import_folder(family)).PRESETS))
    families = [
        each
        for each in list_families()
        if takes in (None, *list_inputs(each)) and family in (None, each) and head in (None, *list_heads(each))
    ]
    return tuple(sorted(preset for each in families for preset in _package(each).PRESETS))


def list_inputs(family: str) -> tuple[str, ...]:
    """Return the inputs of the models of a family: `input_ids`, `input_values` or both."""
    inputs: tuple[str, ...] = _package(family).INPUTS
    return inputs


def list_heads(family: str) -> tuple[str, ...]:
    """Return the heads of a family, from the Auto classes in its `AUTO_MAP`."""
    return tuple(head for head, auto_class in HEADS.items() if auto_class in _auto_map(family))


def build_config(preset: str, *, trust_remote_code: bool = False, **overrides: Any) -> PreTrainedConfig:
    """Build the config of a model.

    Args:
        preset: Model id: one of `list_presets()`, or another one of `seqhub.models.ids`, with or without options.
        trust_remote_code: Consent to run the code of a repository on a Hub, for `hub:OWNER/NAME`.
        overrides: Values for fields of the config class of the family, or `num_labels`. They replace options of the id.

    Raises:
        UnknownNameError: If the preset or a field does not exist.
        InvalidConfigError: If a value is not allowed, or inconsistent with others.

    >>> build_config("gru", hidden_size=16).hidden_size
    16
    >>> build_config("gru", hidden_size=0)
    Traceback (most recent call last):
    seqhub.errors.InvalidConfigError: model 'gru': hidden_size must be >= 1, got 0
    """
    from huggingface_hub.errors import StrictDataclassError

    model = resolve_model(preset)
    family, settings = find(model)
    overrides = dict(model.options) | overrides
    if family == WRAPPED:
        from seqhub.models.sources import build_wrapped_config

        return build_wrapped_config(model, trust_remote_code=trust_remote_code, **overrides)
    config_class = _load(family, "AutoConfig")
    known = [field.name for field in dataclasses.fields(config_class)] + ["num_labels"]
    for name in overrides:
        if name not in known:
            raise UnknownNameError.of(f"setting of model {model.name!r} named", name, known)
    try:
        config: PreTrainedConfig = config_class(**(settings | overrides))
    except (StrictDataclassError, ValueError) as error:
        reason = (
            error.__cause__ if isinstance(error, StrictDataclassError) else error
        )  # the first line of the outer error does not have the field
        raise InvalidConfigError(f"model {preset!r}: {' '.join(str(reason).split())}") from error
    return config


def config_fields(preset: str) -> frozenset[str]:
    """Return the fields that the config class of a preset defines itself, such as `hidden_size`.

    For a wrapped model these are the fields that every task and the sizes of the model determine.

    Raises:
        UnknownNameError: If the preset does not exist.

    >>> "num_hidden_layers" in config_fields("lstm"), "num_hidden_layers" in config_fields("cnn")
    (True, False)
    """
    from transformers import PreTrainedConfig

    family = family_of(preset)
    if family == WRAPPED:
        from seqhub.models.sources import SIZES

        return frozenset(("vocab_size", "num_features", "inputs", *SIZES))
    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    config_class = _load(family, "AutoConfig")
    return frozenset(field.name for field in dataclasses.fields(config_class)) - common


def build_model(
    config: PreTrainedConfig, head: Literal["sequence", "token", "causal", "seq2seq", "base"]
) -> PreTrainedModel:
    """Build a newly initialised model, with weights sampled from torch's global generator.

    Args:
        config: Config of one of the families.
        head: `sequence` for one label per sequence, `token` for one per step, `causal` to predict the next id,
            `seq2seq` for a sequence of other ids, `base` for a model without a head, such as an autoencoder.

    Raises:
        UnknownNameError: If the config's family does not exist or has no such head.
        InvalidConfigError: If the head does not support the config.
    """
    families = {_load(family, "AutoConfig").model_type: family for family in (*list_families(), *imported_families())}
    if config.model_type not in families:
        raise UnknownNameError.of("model type", config.model_type, families)
    family = families[config.model_type]
    if head not in list_heads(family):
        raise UnknownNameError.of(f"head of family {family!r} named", head, list_heads(family))
    quiet = quiet_transformers() if family == WRAPPED else nullcontext()  # it warns of kernels that are not installed
    try:
        with quiet:
            model: PreTrainedModel = _load(family, HEADS[head])(config)
    except ValueError as error:
        where = f"model {config.source}" if family == WRAPPED else f"head {head!r}"
        raise InvalidConfigError(f"{where}: {' '.join(str(error).split())}") from error
    except Exception as error:
        if family != WRAPPED:
            raise
        raise InvalidConfigError(f"model {config.source}: {describe_error(error)}") from error
    if family == WRAPPED and (config.options or {}).get("weights"):
        load_weights(model)
    return model


def register_auto_classes() -> None:
    """Register all families with the Auto classes of transformers, so that no remote code is needed. Idempotent."""
    register_configs()
    register_models()


def register_configs() -> None:
    """Register the config classes with `AutoConfig`, importing only the configuration modules."""
    from transformers.models.auto.configuration_auto import AutoConfig

    for family in (*list_families(), *imported_families()):
        config_class = _load(family, "AutoConfig")
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)


def register_models() -> None:
    """Register the model classes with `AutoModel` and other Auto classes, as proxies that import them at first use.

    The import hook calls this function during the import of `transformers.modeling_layers`, which must be completed
    before the modelling modules can be imported.
    """
    import wrapt  # imports asyncio

    for mapping, family, auto_class in _model_mappings():
        module, name = _reference(family, auto_class)
        mapping.register(_load(family, "AutoConfig"), wrapt.lazy_import(module, name), exist_ok=True)


def unregister() -> None:
    """Undo `register_auto_classes`. Idempotent."""
    # transformers has no public function to unregister; modules that are not imported have no registrations
    if "transformers.models.auto.configuration_auto" in sys.modules:
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        for family in (*list_families(), *imported_families()):
            CONFIG_MAPPING._extra_content.pop(_load(family, "AutoConfig").model_type, None)
    if "transformers.models.auto.modeling_auto" in sys.modules:
        for mapping, family, _ in _model_mappings():
            mapping._extra_content.pop(_load(family, "AutoConfig"), None)


def parameter_counts(model: nn.Module) -> dict[str, int]:
    """Count the direct parameters of each module that has any, in order; the sum is the total of the model.

    Shared parameters are counted for the first module that has them.

    >>> parameter_counts(build_model(build_config("lstm", hidden_size=4, num_labels=4), "sequence"))
    {'model.layers.0.recurrence': 224, 'classifier': 20}
    """
    seen: set[int] = set()
    counts = {}
    for name, module in model.named_modules():
        new = [each for each in module.parameters(recurse=False) if id(each) not in seen]
        seen |= {id(each) for each in new}
        if new:
            counts[name] = sum(each.numel() for each in new)
    return counts


def _model_mappings() -> list[tuple[Any, str, str]]:
    """Return the mappings of transformers, each with a family and an Auto class to register."""
    from transformers.models.auto import modeling_auto

    return [
        (getattr(modeling_auto, auto_class)._model_mapping, family, auto_class)
        for family in (*list_families(), *imported_families())
        for auto_class in _auto_map(family)
        if auto_class != "AutoConfig"
    ]


@cache
def _auto_map(family: str) -> dict[str, str]:
    """Return the `AUTO_MAP` of a family; if it is a literal, from the source, since the import is slow."""
    name = _configuration(family)
    if name not in sys.modules:
        path = Path(_package(family).__path__[0], f"{name.rpartition('.')[2]}.py")
        literal = _AUTO_MAP.search(path.read_text(encoding="utf-8")) if path.is_file() else None
        if literal is not None:
            with suppress(ValueError, SyntaxError, TypeError):
                return dict(ast.literal_eval(literal[1]))
    auto_map: dict[str, str] = import_module(name).AUTO_MAP
    return auto_map


def _reference(family: str, auto_class: str) -> tuple[str, str]:
    """Return module and name of the class that an Auto class loads."""
    file, name = _auto_map(family)[auto_class].split(".")
    return f"{_path(family)}.{file}", name


def _load(family: str, auto_class: str) -> Any:
    module, name = _reference(family, auto_class)
    return getattr(import_module(module), name)

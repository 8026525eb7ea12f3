"""Sources of wrapped models: classes and configs that model ids name, and the configs of the family `wrapped`.

torch and transformers are imported by the functions that need them, not by this module.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.models.ids import ModelId

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    from seqhub.models.wrapped.configuration_wrapped import WrappedConfig

# What a config of the family `wrapped` has besides the options of the model; the rows of a task determine them
TASK_FIELDS = ("vocab_size", "num_features", "inputs", "num_labels", "id2label", "label2id", "problem_type")
SIZES = ("hidden_size", "num_hidden_layers")
_LAYERS = 2  # of a module that needs a number of layers
_WIDTH = 64
_SAVED = ("configuration_wrapped.py", "modeling_wrapped.py", "recurrent_cell.py", "tracing.py")  # beside the weights
_PREFIX = "_seqhub_module_"  # of the name of a module, followed by the hash of its file
_PACKAGES = {"fla": "flash-linear-attention", "torchrecurrent": "torchrecurrent"}  # module -> distribution


def load_source(model: ModelId) -> tuple[Callable[..., Any], bytes | None]:
    """Import the class or function that an id of a file or package names.

    Returns:
        The class or function, and the content of its file; None for a package.

    Raises:
        UnknownNameError: The file or package does not have the name.
        InvalidConfigError: The file does not exist or cannot be imported, or a package is not installed.
    """
    if model.scheme == "file":
        module, content = import_file(model)
        return _member(model, module), content
    return _member(model, _import_package(model)), None


def import_file(model: ModelId) -> tuple[Any, bytes]:
    """Import the file of a model, once for each content, without adding its folder to the import path.

    Returns:
        The module, and the content of the file.

    Raises:
        InvalidConfigError: The file does not exist, cannot be imported, or has the name of a file that is saved beside
            it.
    """
    path = Path(model.place)
    if path.name in _SAVED:
        raise InvalidConfigError(f"model {model.name}: {path.name} is the name of a file of seqhub; rename it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidConfigError(f"model {model.name}: {path}: {error.strerror}") from None
    name = f"{_PREFIX}{hashlib.sha256(content).hexdigest()[:16]}"
    if name in sys.modules and sys.modules[name].__file__ == str(path.resolve()):
        return sys.modules[name], content
    spec = spec_from_file_location(name, path.resolve())
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InvalidConfigError(
            f"model {model.name}: {path} cannot be imported{_line_of(error, path)}: {describe_error(error)}"
        ) from error
    return module, content


def describe_error(error: BaseException) -> str:
    """Return type and message of an exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line_of(error: BaseException, path: Path) -> str:
    """Return the line of a file at which an exception was raised, as a part of a message."""
    if isinstance(error, SyntaxError):
        return f" (line {error.lineno})"
    frames, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.resolve()):
            frames.append(trace.tb_lineno)
        trace = trace.tb_next
    return f" (line {frames[-1]})" if frames else ""


def _import_package(model: ModelId) -> Any:
    package = model.place.partition(".")[0]
    if find_spec(package) is None:
        name = _PACKAGES.get(package, package)
        raise InvalidConfigError(f"model {model.name}: {name} is not installed; try: pip install {name}")
    try:
        return import_module(model.place)
    except Exception as error:
        raise InvalidConfigError(f"model {model.name}: {model.place}: {describe_error(error)}") from error


def _member(model: ModelId, module: Any) -> Callable[..., Any]:
    found = getattr(module, model.target, None)
    if not callable(found):
        known = sorted(name for name, each in vars(module).items() if _is_model(each, module))
        raise UnknownNameError.of(f"class or function in {model.place} named", model.target, known)
    return found  # type: ignore[no-any-return]


def _is_model(value: Any, module: Any) -> bool:
    from torch import nn

    own = getattr(value, "__module__", "").partition(".")[0] == module.__name__.partition(".")[0]
    return own and (inspect.isfunction(value) or (isinstance(value, type) and issubclass(value, nn.Module)))


def build_wrapped_config(model: ModelId, *, trust_remote_code: bool = False, **overrides: Any) -> WrappedConfig:
    """Build the config of a model of the family `wrapped`.

    Args:
        model: Id of the model, with its options.
        trust_remote_code: Consent to run the code of a repository on a Hub.
        overrides: Further options, and fields of the config that the rows of a task determine.

    Raises:
        UnknownNameError: An option does not exist, or the type or class.
        InvalidConfigError: A value is not allowed, or the code of the model cannot be imported.
    """
    from seqhub.models.wrapped.configuration_wrapped import WrappedConfig

    given = dict(model.options) | overrides
    fields = {name: given.pop(name) for name in TASK_FIELDS if name in given}
    if fields.get("inputs") is None:
        fields["inputs"] = "values" if fields.get("num_features") else "ids"
    if fields["inputs"] == "one_hot":
        fields["inputs"] = "ids"
    try:
        if model.scheme in ("transformers", "fla", "hub"):
            symbols = fields.get("vocab_size", 9) if fields["inputs"] == "ids" else 1
            inner = _inner_config(model, given, symbols, trust_remote_code)
            if model.scheme == "hub" and _has_own_code(inner):
                return _config_of_repository_code(model, inner, given, fields)
            settings = inner.to_dict() | {"model_type": inner.model_type}
            if attention := inner._attn_implementation_internal:
                settings["attn_implementation"] = attention
            sizes: dict[str, Any] = {
                name: value for name in SIZES if isinstance(value := getattr(inner, name, None), int)
            }
            return WrappedConfig(source=model.name, options=given, inner=_plain(settings), **sizes, **fields)
        factory, content = load_source(model)
        sizes = _sizes(model, factory, given)
        code: dict[str, Any] = {}
        if content is not None:
            code = {"code": Path(model.place).name, "code_sha256": hashlib.sha256(content).hexdigest()}
        source = f"{code['code']}:{model.target}" if code else model.name
        config = WrappedConfig(source=source, options=given, **sizes, **code, **fields)
        config.use(factory, content)
        return config
    except (UnknownNameError, InvalidConfigError):
        raise
    except Exception as error:  # also the errors of a config class
        cause = error.__cause__ if error.__cause__ is not None else error
        raise InvalidConfigError(f"model {model}: {' '.join(str(cause).split())}") from error


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as JSON has them: tuples as lists, without entries that every config has."""
    import json

    settings.pop("transformers_version", None)
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=str))
    return plain


def _inner_config(model: ModelId, given: dict[str, Any], vocab_size: int, trusted: bool) -> PreTrainedConfig:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model.scheme == "hub":
        return _hub_config(model, given, vocab_size, trusted)
    if model.scheme == "fla":
        _import_fla(model)
    from seqhub.models.transformers_types import TYPES, settings_for

    kind = model.target
    if kind not in CONFIG_MAPPING:
        raise UnknownNameError.of(f"model type of {model.scheme}", kind, sorted(TYPES))
    options = dict(given)
    if model.scheme == "transformers" and kind in TYPES:
        sizes = {name: given[name] for name in (*SIZES, "layer_types") if given.get(name) is not None}
        options = settings_for(kind, **sizes) | options
        if sizes.get("layer_types"):
            options |= {"layer_types": settings_for(kind, **sizes)["layer_types"]}
    else:
        options = {"hidden_size": _WIDTH, "num_hidden_layers": _LAYERS} | options
    _require_fields(model, CONFIG_MAPPING[kind], given)
    return AutoConfig.for_model(kind, **({"vocab_size": vocab_size, "pad_token_id": 0} | options))


def _import_fla(model: ModelId) -> None:
    import torch

    _import_package(ModelId("fla:models"))
    if not torch.cuda.is_available():
        raise InvalidConfigError(
            f"model {model.name}: the kernels of flash-linear-attention need a GPU; none was found"
        )


def _hub_config(model: ModelId, given: dict[str, Any], vocab_size: int, trusted: bool) -> PreTrainedConfig:
    from transformers import AutoConfig

    repo, _, revision = model.target.partition("@")
    options = {name: value for name, value in given.items() if name != "weights"}
    config: PreTrainedConfig = AutoConfig.from_pretrained(repo, revision=revision or None, trust_remote_code=trusted)
    _require_fields(model, type(config), options)
    for name, value in ({"vocab_size": vocab_size} | options).items():
        setattr(config, name, value)
    return config


def _has_own_code(config: PreTrainedConfig) -> bool:
    """Return whether the class of a config was imported from a repository, after consent."""
    return type(config).__module__.partition(".")[0] == "transformers_modules"


def _config_of_repository_code(
    model: ModelId, inner: PreTrainedConfig, given: dict[str, Any], fields: dict[str, Any]
) -> WrappedConfig:
    """Return the config for a repository with code of its own, whose model is made as a class from a file is."""
    from seqhub.models.wrapped.configuration_wrapped import WrappedConfig
    from seqhub.models.wrapped.modeling_wrapped import class_of_repository

    settings = {
        name: value for name, value in _plain(inner.to_dict()).items() if name not in (*TASK_FIELDS, "auto_map")
    }
    settings.pop("model_type", None)
    sizes: dict[str, Any] = {name: value for name in SIZES if isinstance(value := getattr(inner, name, None), int)}
    config = WrappedConfig(source=model.name, options=settings | given, **sizes, **fields)
    config.use(class_of_repository(model.name))
    return config


def load_weights(model: PreTrainedModel) -> None:
    """Load the weights of a repository on a Hub into the module of a new model; those of other shapes stay new.

    Raises:
        InvalidConfigError: The weights cannot be loaded.
    """
    from transformers import AutoModel

    from seqhub._logging import quiet_transformers

    source = ModelId.parse(model.config.source)
    repo, _, revision = source.target.partition("@")
    body: Any = getattr(model, model.base_model_prefix, model)
    try:
        with quiet_transformers():
            loaded = AutoModel.from_pretrained(
                repo,
                revision=revision or None,
                config=body.inner.config,
                ignore_mismatched_sizes=True,
                use_safetensors=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidConfigError(f"model {source}: {' '.join(str(error).split())[:300]}") from error
    body.inner.load_state_dict(loaded.state_dict())


def _require_fields(model: ModelId, config_class: Any, given: dict[str, Any]) -> None:
    """Raise UnknownNameError unless all options are fields of a config class."""
    own = inspect.signature(config_class).parameters
    known = {name for name, each in own.items() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    known |= set(getattr(config_class, "attribute_map", {})) | {"attn_implementation"}
    for name in given:
        if name not in known:
            raise UnknownNameError.of(f"option of model {model.name} named", name, sorted(known))


def _require_stack_options(model: ModelId, given: dict[str, Any]) -> None:
    """Raise InvalidConfigError unless the options of layers of cells have values that are allowed."""
    if not isinstance(given.get("bidirectional", False), bool):
        raise InvalidConfigError.of("bidirectional", given["bidirectional"], "true or false", model.name)
    dropout = given.get("dropout", 0.0)
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise InvalidConfigError.of("dropout", dropout, "at least 0 and below 1", model.name)


def _sizes(model: ModelId, factory: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return width and depth of a module, and require that its arguments are known and complete.

    `hidden_size` and `num_hidden_layers` may be given for arguments of other names, such as `d_model`.
    """
    from seqhub.models.wrapped.modeling_wrapped import (
        DEPTHS,
        DEPTHS_OF_CELLS,
        STACK_OPTIONS,
        WIDTHS,
        parameters_of,
    )

    try:
        parameters = parameters_of(factory)
    except ValueError as error:
        raise InvalidConfigError(f"model {model.name}: its arguments are not known: {error}") from error
    known = {
        name: each for name, each in parameters.items() if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    if isinstance(factory, type) and factory.__name__.endswith("Cell"):
        layers = {DEPTHS_OF_CELLS: 1} if not known.keys() & set(DEPTHS) else {}
        for option, preset in (layers | STACK_OPTIONS).items():
            known.setdefault(option, inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=preset))
        _require_stack_options(model, given)
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    sizes: dict[str, Any] = {}
    for size, names, default in (("hidden_size", WIDTHS, _WIDTH), ("num_hidden_layers", DEPTHS, None)):
        name = next((each for each in names if each in known), None)
        value = given.pop(size, None)
        if name is None and value is not None and size == "num_hidden_layers":
            raise UnknownNameError.of(f"argument of {model.name} named", size, sorted(known))
        if name is not None and value is None:
            value = given.pop(name, None)
        if value is None and name is not None:
            value = known[name].default
            if value is inspect.Parameter.empty or value is None:
                value = default or _LAYERS
        if value is None:
            value = default
        if value is not None:
            if not isinstance(value, int) or value < 1:
                raise InvalidConfigError.of(size, value, "a whole number of at least 1", model.name)
            sizes[size] = value
    filled = {"vocab_size", "num_features", "input_size", "batch_first", *WIDTHS, *DEPTHS}
    for name in given:
        if name not in known and not open_ended:
            raise UnknownNameError.of(f"argument of {model.name} named", name, sorted(known))
    for name, each in known.items():
        if each.default is inspect.Parameter.empty and name not in given and name not in filled:
            raise InvalidConfigError(
                f"model {model.name}: argument {name} has no default; give it as {model.name}?{name}=VALUE"
            )
    return sizes

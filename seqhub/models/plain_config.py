"""Configs of the families with native training, without transformers, whose import takes longer than a short run.

The file of a config class is saved with the weights and imports transformers. Here its source is executed with a small
base class in place of `PreTrainedConfig`, so that fields, defaults, rules and properties have one definition.
`plain_config` returns None for settings that it does not accept; `registry.build_config` then builds the config, or
raises the error.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from seqhub._distributions import version_of
from seqhub.models.ids import ModelId
from seqhub.models.registry import HEADS, find, resolve_model

FAMILIES = ("recurrent", "hs97")
_FOLDER = Path(__file__).parent
_WITHOUT = ("huggingface_hub", "transformers")  # libraries that are not imported
_RELATIVE_IMPORT = re.compile(r"^from \.(\w+) import", re.MULTILINE)
_DEFAULT_LABELS = {0: "LABEL_0", 1: "LABEL_1"}  # of transformers; a config.json omits them


@dataclass(kw_only=True)
class PlainConfig:
    """Base class of the configs, with the fields of `PreTrainedConfig` that a task determines."""

    model_type: ClassVar[str] = ""
    family: ClassVar[str] = ""
    auto_map: ClassVar[dict[str, str]] = {}

    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    num_labels: int | None = None
    problem_type: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.id2label is None:
            count = 2 if self.num_labels is None else self.num_labels
            self.id2label = {number: f"LABEL_{number}" for number in range(count)}
            self.label2id = {label: number for number, label in self.id2label.items()}
        self.num_labels = len(self.id2label)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that config.json has, without those that depend on the head."""
        common = {each.name for each in fields(PlainConfig)}
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in common}
        if self.id2label != _DEFAULT_LABELS:
            values |= {"id2label": self.id2label, "label2id": self.label2id}
        if self.problem_type is not None:
            values["problem_type"] = self.problem_type
        return values


@cache
def _config_class(family: str) -> type[PlainConfig]:
    """Return the config class of a family with the base class `PlainConfig`."""
    path = _FOLDER / family / f"configuration_{family}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [
        each
        for each in tree.body
        if not (isinstance(each, ast.ImportFrom) and str(each.module).partition(".")[0] in _WITHOUT)
    ]
    namespace: dict[str, Any] = {
        "__name__": __name__,
        "PreTrainedConfig": PlainConfig,
        "strict": partial(dataclass, kw_only=True),
    }
    exec(compile(tree, str(path), "exec"), namespace)  # a file of this package
    auto_map: dict[str, str] = namespace["AUTO_MAP"]
    found: type[PlainConfig] = namespace[auto_map["AutoConfig"].partition(".")[2]]
    found.family, found.auto_map = family, auto_map
    return found


def plain_fields(model: str | ModelId) -> frozenset[str] | None:
    """Return the fields that the config class of a preset defines itself, as `registry.config_fields` does.

    None for models of other families.
    """
    family = find(resolve_model(model))[0]
    if family not in FAMILIES:
        return None
    return frozenset(each.name for each in fields(_config_class(family))) - {each.name for each in fields(PlainConfig)}


def plain_config(model: str | ModelId, settings: Mapping[str, Any]) -> PlainConfig | None:
    """Return the config of a preset; None if it is of another family, or if a setting is unknown or not allowed.

    Args:
        model: Model id, with or without options.
        settings: Values of fields, which replace options of the id.

    >>> plain_config("gru", {"hidden_size": 16}).hidden_size
    16
    >>> plain_config("gru", {"hidden_size": 0}), plain_config("cnn", {})
    (None, None)
    """
    resolved = resolve_model(model)
    family, preset = find(resolved)
    if family not in FAMILIES:
        return None
    config_class = _config_class(family)
    values = preset | dict(resolved.options) | dict(settings)
    types = get_type_hints(config_class)
    known = {each.name for each in fields(config_class)}
    if not all(name in known and _matches(value, types[name]) for name, value in values.items()):
        return None
    try:
        return config_class(**values)
    except ValueError:
        return None


def _matches(value: Any, allowed: Any) -> bool:
    """Return whether a value has exactly an annotated type; of containers, the elements too."""
    origin, arguments = get_origin(allowed), get_args(allowed)
    if origin in (Union, UnionType):
        return any(_matches(value, each) for each in arguments)
    if origin is Literal:
        return any(type(value) is type(each) and value == each for each in arguments)
    if origin is list:
        return type(value) is list and all(_matches(each, arguments[0]) for each in value)
    if origin is dict:
        return type(value) is dict and all(
            _matches(key, arguments[0]) and _matches(each, arguments[1]) for key, each in value.items()
        )
    return type(value) is (NoneType if allowed is None else allowed)


def model_files(config: PlainConfig, head: str) -> dict[str, str]:
    """Return the JSON files that `save_pretrained` writes for a model in single precision, by name.

    Args:
        config: Config of the model.
        head: Head of the model, see `registry.HEADS`.
    """
    transformers = version_of("transformers")
    described = {
        "architectures": [config.auto_map[HEADS[head]].partition(".")[2]],
        "auto_map": config.auto_map,
        "dtype": "float32",
        "model_type": config.model_type,
        "transformers_version": transformers,
    }
    files = {"config.json": json.dumps(config.to_dict() | described, indent=2, sort_keys=True) + "\n"}
    if head == "causal":
        generation = {
            "_from_model_config": True,
            "output_attentions": False,
            "output_hidden_states": False,
            "pad_token_id": config.pad_token_id,  # type: ignore[attr-defined]  # a field of all families
            "transformers_version": transformers,
        }
        files["generation_config.json"] = json.dumps(generation, indent=2, sort_keys=True) + "\n"
    return files


def code_files(config: PlainConfig) -> list[Path]:
    """Return the modules of a family that are saved with the weights."""
    folder = _FOLDER / config.family
    names = {f"configuration_{config.family}", f"modeling_{config.family}"}
    found: set[str] = set()
    while new := names - found:
        found |= new
        for name in new:
            names |= set(_RELATIVE_IMPORT.findall((folder / f"{name}.py").read_text(encoding="utf-8")))
    return [folder / f"{name}.py" for name in sorted(found)]

"""Descriptions of presets: number of parameters, and config fields with types, defaults and documentation."""

import dataclasses
import inspect
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from seqhub.models import registry
from seqhub.models.ids import ModelId
from seqhub.models.sources import SIZES

# Fields that every config of transformers has and that do not change the hidden states
_COMMON = {
    *("architectures", "chunk_size_feed_forward", "dtype", "id2label", "is_encoder_decoder", "label2id", "model_type"),
    *("output_attentions", "output_hidden_states", "problem_type", "return_dict", "transformers_version", "vocab_size"),
}


@dataclasses.dataclass(frozen=True)
class FieldDescription:
    """One field of a config.

    Args:
        name: Name of the field.
        type: Type annotation, such as `int | None`.
        default: Value in the preset.
        allowed: Allowed values; empty if all values of the type are allowed.
        doc: Documentation from the config class.
    """

    name: str
    type: str
    default: Any
    allowed: tuple[Any, ...]
    doc: str


def describe_fields(preset: str) -> list[FieldDescription]:
    """Describe the fields that the config class of a preset defines, in order.

    Raises:
        UnknownNameError: If the preset does not exist.

    >>> {field.name: field.default for field in describe_fields("gru")}["hidden_size"]
    8
    """
    model = registry.resolve_model(preset)
    if model.is_wrapped:
        return _describe_options(model)
    names = registry.config_fields(preset)
    config = registry.build_config(preset)
    docs = _argument_docs(type(config))
    return [
        FieldDescription(
            name=field.name,
            type=_type_name(field.type),
            default=getattr(config, field.name),
            allowed=get_args(field.type) if get_origin(field.type) is Literal else (),
            doc=docs.get(field.name, ""),
        )
        for field in dataclasses.fields(config)
        if field.name in names
    ]


def _describe_options(model: ModelId) -> list[FieldDescription]:
    """Describe the options of a wrapped model: fields of its config class, or arguments of its class or function."""
    from seqhub.models.wrapped.modeling_wrapped import parameters_of

    config: Any = registry.build_config(str(model))
    if config.inner is not None:
        return [
            FieldDescription(name, type(value).__name__, value, (), "")
            for name, value in sorted(config.inner.items())
            if name not in _COMMON
        ]
    chosen = (config.options or {}) | {name: getattr(config, name) for name in SIZES}
    return [
        FieldDescription(
            name=name,
            type=_type_name(each.annotation) if each.annotation is not each.empty else "",
            default=chosen.get(name, None if each.default is each.empty else each.default),
            allowed=(),
            doc="",
        )
        for name, each in parameters_of(config.factory).items()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    ]


def count_parameters(preset: str) -> int:
    """Count the parameters of the default model of a preset, with a head for sequences or for seq2seq if it has one."""
    heads = registry.list_heads(registry.family_of(preset))
    head: Literal["sequence", "seq2seq", "base"]
    head = "sequence" if "sequence" in heads else "seq2seq" if "seq2seq" in heads else "base"
    return sum(registry.parameter_counts(registry.build_model(registry.build_config(preset), head)).values())


def _type_name(annotation: Any) -> str:
    """Return a type annotation as text; for a Literal the type of its values."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(dict.fromkeys(type(value).__name__ for value in get_args(annotation)))
    if origin in (Union, UnionType):
        return " | ".join(_type_name(each) for each in get_args(annotation))
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and origin is None:
        return annotation.__name__
    return str(annotation)


def _argument_docs(config_class: type) -> dict[str, str]:
    """Return the text of each argument in the `Args` section of a docstring, on one line."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.getdoc(config_class) or "", re.M | re.S)
    docs: dict[str, str] = {}
    for entry in re.split(r"^    (?=\w+: )", section[1] if section else "", flags=re.M)[1:]:
        name, _, text = entry.partition(": ")
        docs[name] = " ".join(text.split())
    return docs

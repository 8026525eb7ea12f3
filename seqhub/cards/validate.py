"""Offline checks of a card: required metadata and plausible values."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import yaml

from seqhub.errors import InvalidInputError

LICENSES = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0")  # SPDX, in the Hub's spelling

_REQUIRED = {
    "model": ("library_name", "pipeline_tag", "tags"),
    "dataset": ("license", "pretty_name", "task_categories", "size_categories", "tags", "configs", "dataset_info"),
}
_RANGES = {"accuracy": (0.0, 1.0), "loss": (0.0, math.inf), "mse": (0.0, math.inf)}


def validate(card: str, kind: Literal["model", "dataset"]) -> None:
    """Check the text of a README.md.

    Raises:
        InvalidInputError: The message lists everything that is wrong, on one line.
    """
    metadata, body = _split(card)
    wrong = [f"{key!r} is missing" for key in _REQUIRED[kind] if not metadata.get(key)]
    if (kind == "dataset" or "license" in metadata) and metadata.get("license") not in LICENSES:
        wrong.append(f"license {metadata.get('license')!r}, known are {', '.join(LICENSES)}")
    if not body.strip().startswith("# "):
        wrong.append("the title below the metadata is missing")
    wrong += _wrong_metrics(metadata) if kind == "model" else _wrong_configs(metadata)
    if wrong:
        raise InvalidInputError(f"{kind} card: {'; '.join(wrong)}")


def _split(card: str) -> tuple[Mapping[str, Any], str]:
    """Return metadata and body of a card."""
    opening, _, rest = card.partition("---\n")
    block, closing, body = rest.partition("\n---\n")
    if opening or not closing:
        raise InvalidInputError("card without metadata: its first line must be ---, and another --- must follow")
    try:
        metadata = yaml.safe_load(block)
    except yaml.YAMLError as error:
        raise InvalidInputError(f"metadata of the card are not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata of the card are a {type(metadata).__name__}; must be a mapping")
    return metadata, body


def _wrong_metrics(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors in the results of `model-index`."""
    try:
        for model in metadata.get("model-index", []):
            for result in model["results"]:
                where = f"{result['dataset']['config']}/{result['dataset']['split']}"
                for metric in result["metrics"]:
                    name, value = metric["type"], metric["value"]
                    low, high = _RANGES.get(name, (-math.inf, math.inf))
                    if isinstance(value, bool) or not isinstance(value, (int, float)):
                        yield f"{name} of {where} is {value!r}, must be a number"
                    elif not (math.isfinite(value) and low <= value <= high):
                        yield f"{name} of {where} is {value}, must be {low:g} to {high:g}"
    except (KeyError, TypeError) as error:
        yield f"model-index does not have the Hub's format ({type(error).__name__}: {error})"


def _wrong_configs(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield the errors in `configs` and `dataset_info`."""
    try:
        configs, infos = metadata.get("configs") or [], metadata.get("dataset_info") or []
        splits = {config["config_name"]: [part["split"] for part in config["data_files"]] for config in configs}
        described = {info["config_name"]: [part["name"] for part in info["splits"]] for info in infos}
        defaults = [config["config_name"] for config in configs if config.get("default")]
        counts = [part["num_examples"] for info in infos for part in info["splits"]]
    except (KeyError, TypeError) as error:
        yield f"configs or dataset_info do not have the Hub's format ({type(error).__name__}: {error})"
        return
    if splits != described:
        yield f"configs name {splits}, dataset_info {described}"
    if len(defaults) > 1:
        yield f"{len(defaults)} configs are default: {', '.join(defaults)}"
    if any(type(number) is not int or number < 1 for number in counts):
        yield f"num_examples are {counts}, must be integers of at least 1"

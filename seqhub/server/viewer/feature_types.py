"""Features of columns in the JSON form of `datasets`."""

from typing import Any

Feature = Any  # a dict with `_type`, or a dict of features by name for a struct


def kind_of(feature: Feature) -> str:
    """Return the `_type` of a feature; "struct" for a struct."""
    return str(feature["_type"]) if isinstance(feature, dict) and isinstance(feature.get("_type"), str) else "struct"

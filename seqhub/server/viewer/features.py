"""Features of an Arrow schema in the JSON form of `datasets`, and cells as JSON values."""

import base64
import datetime
import decimal
import json
import math
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pyarrow as pa

from seqhub.server.viewer import media
from seqhub.server.viewer.feature_types import Feature, kind_of

MAX_DEPTH: Final = 20
MAX_NAMES: Final = 10_000  # labels of a column

Asset = Callable[[int, str], str]  # row and column -> URL of the content

_NAMES = {
    "double": "float64",
    "float": "float32",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
_MEDIA = {"image": "Image", "audio": "Audio"}
_DICTIONARY_OF_FIELDS = {"Translation", "TranslationVariableLanguages"}


def features_of(schema: pa.Schema, card: list[Any]) -> dict[str, Feature]:
    """Return the features by column.

    Args:
        schema: Schema of a file; `datasets` stores its features in the metadata of Parquet files.
        card: Features in the card; only labels, images and audio are taken from them.
    """
    stored = _stored_features(schema)
    found = {}
    for field in schema:
        inferred = from_arrow(field.type)
        feature = stored.get(field.name)
        found[field.name] = feature if feature is not None and _fits(feature, field.type) else inferred
    for name, feature in _card_features(card).items():
        if name in found and _fits(feature, schema.field(name).type):
            found[name] = feature
    return found


def features_list(features: dict[str, Feature]) -> list[dict[str, Any]]:
    """Return the features as a list, as in the responses of the viewer."""
    return [{"feature_idx": n, "name": name, "type": feature} for n, (name, feature) in enumerate(features.items())]


def from_arrow(arrow: pa.DataType, depth: int = 0) -> Feature:
    """Return the feature of an Arrow type, as `datasets.Features.from_arrow_schema`.

    >>> from_arrow(pa.list_(pa.float32()))
    {'feature': {'dtype': 'float32', '_type': 'Value'}, '_type': 'List'}
    """
    types = pa.types
    if depth > MAX_DEPTH:
        return {"dtype": "string", "_type": "Value"}
    if types.is_struct(arrow):
        return {field.name: from_arrow(field.type, depth + 1) for field in arrow}
    if types.is_fixed_size_list(arrow):
        return {"feature": from_arrow(arrow.value_type, depth + 1), "length": arrow.list_size, "_type": "List"}
    if types.is_large_list(arrow):
        return {"feature": from_arrow(arrow.value_type, depth + 1), "_type": "LargeList"}
    if types.is_list(arrow):
        return {"feature": from_arrow(arrow.value_type, depth + 1), "_type": "List"}
    if types.is_dictionary(arrow):
        return from_arrow(arrow.value_type, depth + 1)
    text = str(arrow)
    return {"dtype": _NAMES.get(text, text), "_type": "Value"}


def cell(value: Any, feature: Feature, row: int, column: str, asset: Asset) -> Any:
    """Return a value as JSON: bytes in base64, times in ISO 8601, media as objects with a URL; null for NaN."""
    if value is None or isinstance(value, (bool, int)):
        return value
    kind = kind_of(feature)
    if kind in ("Image", "Audio"):
        return _media_cell(value, kind, asset(row, column))
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return str(value)


def _media_cell(value: Any, kind: str, url: str) -> Any:
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        return None
    if kind == "Audio":
        return [{"src": url, "type": media.content_type(content)}]
    width, height = media.image_size(content)
    return {"src": url, "height": height, "width": width}


def asset_url(prefix: str, row: int, column: str) -> str:
    """Return the URL of the content of an image or sound."""
    return f"{prefix}&row={row}&column={quote(column, safe='')}"


def _stored_features(schema: pa.Schema) -> dict[str, Feature]:
    """Return the features that `datasets` stored in the metadata; {} if there are none or they are not valid."""
    given = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(given)["info"]["features"] if given and len(given) < 2**22 else {}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _fits(feature: Feature, arrow: pa.DataType, depth: int = 0) -> bool:
    """Return whether a stored feature describes an Arrow type."""
    types = pa.types
    if depth > MAX_DEPTH or not isinstance(feature, dict):
        return False
    kind = kind_of(feature)
    if kind == "ClassLabel":
        names = feature.get("names")
        is_list = isinstance(names, list) and len(names) <= MAX_NAMES and all(isinstance(name, str) for name in names)
        return is_list and bool(types.is_integer(arrow))
    if kind in ("Image", "Audio"):
        is_struct = types.is_struct(arrow) and {"bytes", "path"} <= {field.name for field in arrow}
        return bool(is_struct or types.is_binary(arrow) or types.is_large_binary(arrow))
    if kind in ("List", "LargeList", "Sequence"):
        is_list = types.is_list(arrow) or types.is_large_list(arrow) or types.is_fixed_size_list(arrow)
        if not is_list and kind == "Sequence" and types.is_struct(arrow):  # of structs, in older versions of datasets
            return True
        return is_list and _fits(feature.get("feature"), arrow.value_type, depth + 1)
    if kind == "struct":
        fields = {field.name: field.type for field in arrow} if types.is_struct(arrow) else {}
        return feature.keys() == fields.keys() and all(_fits(feature[name], fields[name], depth + 1) for name in fields)
    if kind == "Value":
        return isinstance(feature.get("dtype"), str) and bool(feature["dtype"] == from_arrow(arrow).get("dtype"))
    return kind in _DICTIONARY_OF_FIELDS or kind.startswith("Array")


def _card_features(card: list[Any]) -> dict[str, Feature]:
    """Return the labels, images and audio of a card, which has names in a list or by number."""
    found: dict[str, Feature] = {}
    for item in card:
        name, dtype = (item.get("name"), item.get("dtype")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str):
            continue
        if isinstance(dtype, str) and dtype in _MEDIA:
            found[name] = {"_type": _MEDIA[dtype]}
        elif isinstance(dtype, dict) and isinstance(dtype.get("class_label"), dict):
            names = _label_names(dtype["class_label"].get("names"))
            if names:
                found[name] = {"names": names, "_type": "ClassLabel"}
    return found


def _label_names(given: Any) -> list[str]:
    if isinstance(given, dict):
        numbers = {str(number) for number in range(len(given))}
        given = [given[number] for number in sorted(numbers, key=int)] if set(given) == numbers else None
    return [str(name) for name in given] if isinstance(given, list) else []

"""Cells of the rows of a dataset for a page: short texts, names of labels, images and sounds."""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal

from seqhub.server.viewer.feature_types import Feature, kind_of

SHORT: Final = 200  # characters of a cell in a table
LONG: Final = 100_000  # characters of a cell on the page of one row
_MAX_DEPTH: Final = 20

Kind = Literal["null", "empty", "number", "label", "text", "code", "image", "audio"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Cell of a row.

    Args:
        kind: How it is shown.
        text: Text, or the URL of an image or sound.
        more: Number of further characters, -1 if it is not known.
        note: Number of a label.
        width: Width of an image in pixels, if it is known.
        height: Height of an image in pixels, if it is known.
    """

    kind: Kind
    text: str = ""
    more: int = 0
    note: str = ""
    width: int | None = None
    height: int | None = None


def cell_of(value: Any, feature: Feature, limit: int = SHORT, *, is_truncated: bool = False) -> Cell:
    """Return a cell.

    Args:
        value: Value in a response of the viewer.
        feature: Feature of the column.
        limit: Maximum number of characters.
        is_truncated: Whether the value is the beginning of its JSON.

    >>> cell_of(1, {"names": ["no", "yes"], "_type": "ClassLabel"})
    Cell(kind='label', text='yes', more=0, note='1', width=None, height=None)
    >>> cell_of([0, 1], {"feature": {"names": ["no", "yes"], "_type": "ClassLabel"}, "_type": "List"}).text
    '["no", "yes"]'
    >>> cell_of("abc", {"dtype": "string", "_type": "Value"}, 2).more
    1
    """
    kind = kind_of(feature)
    if value is None:
        return Cell("null")
    if is_truncated:
        return Cell("code", str(value)[:limit], -1)
    if kind == "Image" and isinstance(value, dict):
        return Cell("image", str(value["src"]), width=value["width"], height=value["height"])
    if kind == "Audio" and isinstance(value, list):
        return Cell("audio", str(value[0]["src"]))
    if kind == "ClassLabel":
        name = _named(value, feature)
        if isinstance(name, str):
            return Cell("label", name[:limit], max(0, len(name) - limit), str(value))
    if isinstance(value, str):
        return Cell("text" if value else "empty", value[:limit], max(0, len(value) - limit))
    if isinstance(value, (bool, int, float)):
        return Cell("number", json.dumps(value))
    text = json.dumps(_named(value, feature), ensure_ascii=False)
    return Cell("code", text[:limit], max(0, len(text) - limit))


def _named(value: Any, feature: Feature, depth: int = 0) -> Any:
    """Return a value with the names of its labels instead of their numbers."""
    if depth > _MAX_DEPTH or not isinstance(feature, dict):
        return value
    kind = kind_of(feature)
    if kind == "ClassLabel" and isinstance(value, int):
        names = feature["names"]
        return names[value] if 0 <= value < len(names) else value
    if kind in ("List", "LargeList", "Sequence") and isinstance(value, list):
        return [_named(item, feature.get("feature"), depth + 1) for item in value]
    if kind == "struct" and isinstance(value, dict):
        return {name: _named(item, feature.get(name), depth + 1) for name, item in value.items()}
    return value

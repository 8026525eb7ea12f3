"""JSON bodies of requests: strict parsing, and typed access to fields."""

import re
from collections.abc import Mapping

from seqhub.server import strict_json
from seqhub.server.errors import HubHTTPError

_SURROGATE_OR_NUL = re.compile("[\ud800-\udfff\0]")


class Fields:
    """Typed access to the fields of a JSON object; a wrong type raises a 400 error."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def text(self, name: str, default: str | None = None, *, limit: int = 65_536) -> str:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise HubHTTPError(400, f'Field "{name}" must be a string.')
        if len(value) > limit:
            raise HubHTTPError(400, f'Field "{name}" has {len(value)} characters; at most {limit} are allowed.')
        if _SURROGATE_OR_NUL.search(value):
            raise HubHTTPError(400, f'Field "{name}" contains a NUL or a lone surrogate.')
        return value

    def optional_text(self, name: str, *, limit: int = 65_536) -> str | None:
        return None if self.values.get(name) is None else self.text(name, limit=limit)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise HubHTTPError(400, f'Field "{name}" must be true or false.')
        return value

    def integer(self, name: str, *, low: int = 0, high: int = 2**53) -> int:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise HubHTTPError(400, f'Field "{name}" must be a whole number from {low} to {high}.')
        return value

    def objects(self, name: str, *, limit: int) -> "list[Fields]":
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise HubHTTPError(400, f'Field "{name}" must be a list of objects.')
        if len(value) > limit:
            raise HubHTTPError(413, f'Field "{name}" has {len(value)} items; at most {limit} are allowed.')
        return [Fields(item) for item in value]

    def texts(self, name: str, *, limit: int) -> list[str]:
        value = as_texts(self.values.get(name, []), name)
        if len(value) > limit:
            raise HubHTTPError(413, f'Field "{name}" has {len(value)} items; at most {limit} are allowed.')
        return value

    def fields(self, name: str) -> "Fields":
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise HubHTTPError(400, f'Field "{name}" must be an object.')
        return Fields(value)


def parse_object(raw: bytes) -> dict[str, object]:
    """Parse a JSON object strictly; see `strict_json`."""
    try:
        value = strict_json.parse(raw)
    except ValueError as problem:
        raise HubHTTPError(400, f"Invalid JSON: {problem}".splitlines()[0]) from None
    if not isinstance(value, dict):
        raise HubHTTPError(400, "Invalid JSON: must be an object.")
    return value


def as_texts(value: object, name: str) -> list[str]:
    """Return a string or a list of strings as a list."""
    if isinstance(value, bool):
        return [str(value)]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise HubHTTPError(400, f'Field "{name}" must be a string or a list of strings.')

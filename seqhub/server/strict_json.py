"""Strict parser of untrusted JSON: every value that it accepts can be written into a response.

`parse` is for requests. It rejects text that is not valid JSON by RFC 8259, or that parsers interpret differently
(duplicate keys). `parse_content` is for files in repositories, such as a config.json with NaN, which Python writes and
reads: values that cannot be written into a response become null, so that the rest of the file can be used.
"""

import json
import math
import re
from collections.abc import Callable, Collection
from typing import Any

DEPTH = 32  # clients nest at most 4 levels; the parser of Python is recursive
_DIGITS = 309  # of an integer; longer ones exceed the range of a double
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile("[ \t\n\r]*")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(raw: bytes) -> Any:
    r"""Parse a JSON text.

    Raises:
        ValueError: The text is not valid UTF-8 or JSON, is nested deeper than `DEPTH`, or contains NaN or Infinity, a
            number that is not finite, an integer of more than 309 digits, a duplicate name in an object, or a lone
            surrogate.

    >>> parse(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    >>> parse(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: the name 'a' occurs twice in one object
    """
    value = _load(raw, _strict_object, _refuse_constant, _strict_float, _strict_int)
    if _ESCAPED_SURROGATE.search(raw) and _has_surrogate(value):
        raise ValueError("a string contains a lone surrogate")
    return value


def parse_content(raw: bytes) -> Any:
    r"""Parse a JSON file, with null for numbers that JSON cannot represent and U+FFFD for lone surrogates.

    For a duplicate name in an object the last value is used, as in the `json` module.

    Raises:
        ValueError: The text is not valid UTF-8 or JSON, or is nested deeper than `DEPTH`.

    >>> parse_content(b'{"a": NaN, "b": 1e999, "c": "\\ud800"}')
    {'a': None, 'b': None, 'c': '�'}
    """
    value = _load(raw, None, lambda name: None, _finite_or_none, _short_or_none)
    return _without_surrogates(value) if _ESCAPED_SURROGATE.search(raw) else value


def parse_fields(raw: bytes, names: Collection[str]) -> dict[str, Any]:
    r"""Parse some fields of a JSON object; what follows the last of them is not read.

    Values are as in `parse_content`, with U+FFFD for bytes that are not UTF-8. The text may be the beginning of a file,
    if it has these fields.

    Raises:
        ValueError: The text up to the last of these fields is not that of a JSON object, or is nested too deep.

    >>> parse_fields(b'{"a": 1, "b": [NaN], "c": [1, 2', {"a", "b"})
    {'a': 1, 'b': [None]}
    """
    try:
        found = _first_fields(raw.decode("utf-8", "replace"), names)
        return _without_surrogates(found) if _ESCAPED_SURROGATE.search(raw) else found
    except RecursionError:
        raise ValueError("nested too deep") from None


def _first_fields(text: str, names: Collection[str]) -> dict[str, Any]:
    decoder = json.JSONDecoder(parse_constant=lambda name: None, parse_float=_finite_or_none, parse_int=_short_or_none)
    found: dict[str, Any] = {}
    at = _after_space(text, 0)
    if not text.startswith("{", at):
        raise ValueError("it is not a JSON object")
    at = _after_space(text, at + 1)
    while len(found) < len(names) and not text.startswith("}", at):
        name, at = decoder.raw_decode(text, at)
        at = _after_space(text, at)
        if not isinstance(name, str) or not text.startswith(":", at):
            raise ValueError(f"it has no name of a field at character {at}")
        value, at = decoder.raw_decode(text, _after_space(text, at + 1))
        if name in names:
            found[name] = value
        at = _after_space(text, at)
        if text.startswith(",", at):
            at = _after_space(text, at + 1)
        elif not text.startswith("}", at):
            raise ValueError(
                f"it ends after the field {name[:40]!r}" if at == len(text) else f"it has no comma at character {at}"
            )
    return found


def depth(raw: bytes) -> int:
    """Return the maximum nesting depth of brackets outside strings."""
    deepest = level = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def _load(
    raw: bytes,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None,
    constant: Callable[[str], Any],
    number: Callable[[str], Any],
    whole: Callable[[str], Any],
) -> Any:
    if raw.count(b"[") + raw.count(b"{") > DEPTH and depth(raw) > DEPTH:
        raise ValueError(f"nested deeper than {DEPTH}")
    try:
        return json.loads(
            raw.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=whole
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def _after_space(text: str, at: int) -> int:
    """Return the place of the next character that is not white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _strict_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice[:40]!r} occurs twice in one object")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not allowed")


def _strict_float(text: str) -> float:
    value = _finite_or_none(text)
    if value is None:
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _strict_int(text: str) -> int:
    value = _short_or_none(text)
    if value is None:
        raise ValueError(f"a number has more than {_DIGITS} digits")
    return value


def _finite_or_none(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _short_or_none(text: str) -> int | None:
    return int(text) if len(text) <= _DIGITS else None


def _has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(_has_surrogate(part) for item in value.items() for part in item)
    return isinstance(value, list) and any(map(_has_surrogate, value))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return replace_surrogates(value)
    if isinstance(value, dict):
        return {replace_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return [_without_surrogates(item) for item in value] if isinstance(value, list) else value


def replace_surrogates(text: str) -> str:
    """Return text with U+FFFD in place of lone surrogates, which UTF-8 cannot encode."""
    return _SURROGATE.sub("\ufffd", text)

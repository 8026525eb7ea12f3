"""Check of JSON values against type annotations."""

import types
from collections.abc import Iterator
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict


def mismatches(value: Any, annotation: Any, where: str = "") -> Iterator[str]:
    """Yield the paths in a JSON value at which it does not match a type annotation.

    Supported types are those of JSON, `list[X]`, `dict[str, X]`, unions, `Any` and TypedDicts. A TypedDict may have
    more keys than it declares, because later versions add some. An int is accepted as a float, a bool not as an int.

    >>> from typing import TypedDict
    >>> class Counts(TypedDict):
    ...     right: int
    ...     shares: dict[str, float | None]
    >>> list(mismatches({"right": "2", "shares": {"x": None, "y": 1}}, Counts))
    ['right']
    >>> list(mismatches({"shares": {"x": True}}, Counts, "counts"))
    ['counts.right', 'counts.shares.x']
    """
    origin = get_origin(annotation)
    if annotation is Any:
        return
    if is_typeddict(annotation):
        if not isinstance(value, dict):
            yield where
            return
        for name, kind in _hints(annotation).items():
            if name in value:
                yield from mismatches(value[name], kind, _joined(where, name))
            elif name in annotation.__required_keys__:
                yield _joined(where, name)
    elif origin in (Union, types.UnionType):
        if all(any(True for _ in mismatches(value, kind)) for kind in get_args(annotation)):
            yield where
    elif origin is dict:
        if not isinstance(value, dict):
            yield where
            return
        for name, item in value.items():
            yield from mismatches(item, get_args(annotation)[1], _joined(where, name))
    elif origin is list:
        if not isinstance(value, list):
            yield where
            return
        for number, item in enumerate(value):
            yield from mismatches(item, get_args(annotation)[0], _joined(where, str(number)))
    elif isinstance(value, bool) != (annotation is bool) or not isinstance(
        value, int | float if annotation is float else annotation
    ):
        yield where


@cache
def _hints(typed_dict: Any) -> dict[str, Any]:
    return get_type_hints(typed_dict)


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}".lstrip(".")

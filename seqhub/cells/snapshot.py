"""Snapshots of a cell: what a recorded step depends on besides the values of its tensors."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from torch import Tensor, nn

_INTERNAL = frozenset(nn.Module().__dict__) - {"training"}
_TENSORS = ("_parameters", "_buffers", "_modules")
_UNUSED = _INTERNAL - set(_TENSORS)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_SIMPLE = (bool, int, float, complex, str, bytes, type(None))
_MISSING = object()


def fingerprint(cell: nn.Module) -> tuple[Any, ...]:
    """Return what a recorded step depends on besides its tensors: types, modes and attributes of all modules."""
    return tuple(
        (type(module), *((key, _frozen(value)) for key, value in module.__dict__.items() if key not in _INTERNAL))
        for module in cell.modules()
    )


def is_modified(module: nn.Module) -> bool:
    """Return whether a module has hooks, or an instance attribute that changes its call."""
    own = module.__dict__  # without loops, since each call of a layer asks
    return bool(
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
        or "_call_impl" in own
        or own.get("_compiled_call_impl") is not None
    )


class Snapshot:
    """Objects in the dictionaries of a cell and its submodules, compared by identity, which takes microseconds.

    It keeps no reference to the cell itself.

    Args:
        cell: The cell.
    """

    def __init__(self, cell: nn.Module) -> None:
        self._type = type(cell)
        self._types = [(module, type(module)) for module in cell.modules() if module is not cell]
        self._sizes: list[tuple[dict[str, Any], int]] = []
        self._items: list[tuple[dict[str, Any], str, Any]] = []
        self._hooks: list[dict[Any, Any]] = []
        self._containers: list[tuple[Any, Any]] = []
        for module in cell.modules():
            attributes = module.__dict__
            self._hooks += [attributes[name] for name in _HOOKS]
            self._items += [(attributes, key, each) for key, each in attributes.items() if key not in _UNUSED]
            self._sizes.append((attributes, len(attributes)))
            for values in (attributes[name] for name in _TENSORS):
                self._items += [(values, key, value) for key, value in values.items()]
                self._sizes.append((values, len(values)))
            for key, value in attributes.items():
                if key in _INTERNAL or not _is_container(value):
                    continue
                if type(value) is dict and all(type(each) in _SIMPLE for each in value.values()):
                    self._items += [(value, *item) for item in value.items()]
                    self._sizes.append((value, len(value)))
                else:
                    self._containers.append((value, _frozen(value)))

    def holds(self, cell: nn.Module) -> bool:
        """Return whether nothing has changed; the same values in new objects may count as a change."""
        for values, size in self._sizes:
            if len(values) != size:
                return False
        for values, key, value in self._items:
            if values.get(key, _MISSING) is not value:
                return False
        for module, kind in self._types:
            if type(module) is not kind:
                return False
        if any(self._hooks) or type(cell) is not self._type:
            return False
        return not self._containers or all(_frozen(value) == frozen for value, frozen in self._containers)


def _is_container(value: Any) -> bool:
    """Return whether a value can change without being replaced: a container, an array, or an object with attributes."""
    kind = type(value)
    if kind in _SIMPLE or isinstance(value, (Tensor, nn.Module, type, ModuleType)) or callable(value):
        return False
    return kind in (list, tuple, dict, set) or hasattr(value, "__dict__") or hasattr(value, "tobytes")


def _frozen(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """Return a value that is equal as long as nothing in a value changes.

    Args:
        value: The value.
        inside: Identities of the objects that the value is in, since objects may contain each other.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return kind, value
    if id(value) in inside or not _is_container(value):
        return id(value)
    around = (*inside, id(value))
    if kind in (list, tuple):
        return tuple([_frozen(each, around) for each in value])
    if kind is dict:
        return tuple([(key, _frozen(each, around)) for key, each in value.items()])
    if kind is set:
        return frozenset([_frozen(each, around) for each in value])
    if hasattr(value, "tobytes"):  # an array of NumPy
        return id(value), value.tobytes()
    return id(value), tuple([(key, _frozen(each, around)) for key, each in value.__dict__.items()])


def tensors_in(value: Any, inside: tuple[int, ...] = ()) -> Iterator[int]:
    """Yield the identities of the tensors in a container or object, at any depth."""
    if isinstance(value, Tensor):
        yield id(value)
    elif _is_container(value) and id(value) not in inside:
        parts = value.values() if type(value) is dict else value if type(value) in (list, tuple, set) else ()
        for each in (*parts, *getattr(value, "__dict__", {}).values()):
            yield from tensors_in(each, (*inside, id(value)))

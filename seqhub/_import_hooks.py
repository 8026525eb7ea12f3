"""Functions that run after the import of a module.

`wrapt` has such hooks, too, but imports asyncio, which takes longer than all of `import seqhub`. For the same reason
the classes here have no base classes from `importlib.abc`.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Function = Callable[[ModuleType], object]


def after_import(name: str, function: Function) -> None:
    """Call a function with a module after each import of it, and now if it is already imported."""
    _functions.setdefault(name, []).append(function)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    if name in sys.modules:
        function(sys.modules[name])


class _Finder:
    """A finder that asks the others, and replaces the loaders of the modules that have functions."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _functions:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for finder in others if (found := finder.find_spec(fullname, path, target))), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """A loader that calls the functions of a module after it was executed; all else is that of the original loader."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._original.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._original
        if module.__spec__ is not None:
            module.__spec__.loader = self._original
        self._original.exec_module(module)
        for function in _functions[module.__name__]:
            function(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


_functions: dict[str, list[Function]] = {}
_FINDER = _Finder()

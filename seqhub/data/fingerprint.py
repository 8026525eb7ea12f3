"""Fingerprint of a task for the cache of `datasets`."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seqhub.tasks.base import Task

_WRITERS = ("seqhub.tasks.splits", "seqhub.data.split_sizes", "seqhub.data.arrow", "seqhub.data.builder")
_WITHOUT_ROWS = {  # imported modules that do not affect rows
    "seqhub",
    "seqhub.errors",
    "seqhub.data.fingerprint",
}


@cache
def fingerprint(task: Task[Any]) -> str:
    """Return the SHA-256 of version, configs, source files and data files that determine the rows of a task.

    Source files are the modules of the task and of the code that writes rows, with all modules of seqhub that they
    import, at any depth. Data files are those of the packages of modules that read package files.

    The version of seqhub is not included, so that a release that changes no rows leaves the caches valid.
    """
    modules = {base.__module__ for base in type(task).__mro__ if base.__module__.partition(".")[0] != "builtins"}
    internal = {name for name in modules if name.startswith("seqhub.")}
    sources = {module: _source(module) for module in modules_of({*internal, *_WRITERS})}
    external = {name: _file_of(name) for name in sorted(modules - internal) if name not in sys.stdlib_module_names}
    if external:  # a task of another package or of a file
        sources |= external
    content = {
        "task": task.name,
        "version": task.version,
        "configs": {config.name: config.parameters() for config in task.configs},
        "sources": sources,
        "files": {
            name: digest
            for module, source in sources.items()
            if module.startswith("seqhub.") and _reads_files(source)
            for name, digest in _data_files(module).items()
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def modules_of(roots: set[str]) -> set[str]:
    """Return `roots` and all modules of seqhub that they import, at any depth, also inside functions."""
    found, left = set(), set(roots)
    while left:
        module = left.pop()
        found.add(module)
        left |= _imports(module, _source(module)) - found - _WITHOUT_ROWS
    return found


@cache
def _imports(module: str, source: str | None) -> frozenset[str]:
    """Return the modules of seqhub that a source imports."""
    return frozenset(_imported(module, source)) if source is not None else frozenset()


def _imported(module: str, source: str) -> Iterator[str]:
    package = module if _is_package(module) else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base]
            if base.partition(".")[0] == "seqhub" and _is_package(base):
                names += [name for alias in node.names if find_spec(name := f"{base}.{alias.name}") is not None]
        yield from (name for name in names if name.partition(".")[0] == "seqhub")


def _file_of(module: str) -> str:
    """Return the source text of a module outside of seqhub that defines a task."""
    return Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")


@cache
def _is_package(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def _reads_files(source: str | None) -> bool:
    return source is None or "importlib.resources" in source or "__file__" in source


def _data_files(module: str) -> dict[str, str]:
    """Return the SHA-256 of each data file in the package of a module."""
    package = module.rpartition(".")[0]
    folder = Path(str(files(package)))
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc", ".pyi") and "__pycache__" not in path.parts
    }


def _source(module: str) -> str | None:
    """Return the source text of a module; None if only its compiled form is installed."""
    spec = find_spec(module)
    if spec is None:
        return None
    if spec.origin is not None and spec.origin.endswith(".py") and Path(spec.origin).is_file():
        return Path(spec.origin).read_text(encoding="utf-8")  # also with the import hook of pytest
    get_source = getattr(spec.loader, "get_source", None)
    source: str | None = get_source(module) if get_source else None
    return source

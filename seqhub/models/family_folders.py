"""Model families in folders outside the package; their presets are `path/to/family:PRESET`."""

import hashlib
import os
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from seqhub.errors import InvalidConfigError

_PREFIX = "_seqhub_family_"  # of the name of a package, followed by a hash of its folder
_NAME = re.compile(rf"{_PREFIX}\w+")


def is_folder(family: str) -> bool:
    """Return whether a family is the path of a folder, not a name."""
    return os.sep in family


def imported_families() -> tuple[str, ...]:
    """Return the absolute folders of the families that this process has imported."""
    return tuple(sys.modules[name].__path__[0] for name in list(sys.modules) if _NAME.fullmatch(name))


def import_family(folder: str) -> str:
    """Import the package of a family from its folder, once in a process, and return the name of the package.

    Raises:
        InvalidConfigError: The folder does not have the files of a family, or its package cannot be imported.
    """
    path = Path(folder).resolve()
    name = f"{_PREFIX}{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}"
    if name in sys.modules:
        return name
    for file in ("__init__.py", f"configuration_{path.name}.py", f"modeling_{path.name}.py"):
        if not (path / file).is_file():
            raise InvalidConfigError(f"model family {folder}: no file {file}; must be the folder of a family")
    spec = spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
    assert spec is not None, "a path that ends in .py has a loader"
    assert spec.loader is not None
    package = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(package)
    except Exception as error:
        del sys.modules[name]
        raise InvalidConfigError(f"model family {folder}: {type(error).__name__}: {error}") from error
    for constant in ("PRESETS", "INPUTS"):
        if not hasattr(package, constant):
            del sys.modules[name]
            raise InvalidConfigError(f"model family {folder}: __init__.py has no {constant}")
    return name

"""Installed distributions: versions and entry points, with little parsing.

`importlib.metadata` reads the metadata of all distributions for every group of entry points, and parses a description
for every version.
"""

import re
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, distribution, entry_points
from typing import Any

_VERSION = re.compile(r"^Version: *(.+?) *$", re.MULTILINE)


def version_of(name: str) -> str:
    """Return the version of a distribution.

    Raises:
        PackageNotFoundError: It is not installed.
    """
    found = distribution(name)
    match = _VERSION.search(found.read_text("METADATA") or "")
    return match[1] if match else found.version


def entry_points_of(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group."""
    return tuple(_entry_points(tuple(sys.path)).select(group=group))


@lru_cache(maxsize=2)
def _entry_points(path: tuple[str, ...]) -> Any:
    """Return all entry points of the distributions in `sys.path`."""
    return entry_points()

"""Extras of the package that install optional libraries."""

import re

_GROUPS = {"all", "dev"}  # extras that combine others


def extra_of(module: str) -> str | None:
    """Return the extra that installs a top-level module; None if none does.

    >>> extra_of("starlette"), extra_of("numpy")
    ('server', None)
    """
    from importlib.metadata import PackageNotFoundError, requires  # only needed for an error

    try:
        requirements = requires("seqhub") or []
    except PackageNotFoundError:  # run from a folder that is not installed
        return None
    for requirement in requirements:
        found = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        if found and found[2] not in _GROUPS and found[1].lower().replace("-", "_") == module.lower():
            return found[2]
    return None

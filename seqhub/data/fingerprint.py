"""What cached rows depend on: the cache of `datasets` keeps them until this changes."""

import hashlib
import json
from functools import cache
from importlib.util import find_spec
from typing import Any

from seqhub.tasks.base import Task


@cache
def fingerprint(task: Task[Any]) -> str:
    """SHA-256 of a task's version, its configs and the source of everything that draws and writes its rows.

    The version of seqhub is left out on purpose: a release that changes no rows leaves the caches valid.
    """
    modules = {base.__module__ for base in type(task).__mro__ if base.__module__.startswith("seqhub.")}
    modules |= {
        "seqhub.tasks.alphabet",
        "seqhub.tasks.rng",
        "seqhub.tasks.splits",
        "seqhub.data.sizes",
        "seqhub.data.table",
        "seqhub.data.builder",
    }
    facts = {
        "task": task.name,
        "version": task.version,
        "configs": {config.name: config.parameters() for config in task.configs},
        "sources": {module: _source(module) for module in modules},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _source(module: str) -> str | None:
    """The text of a module; None where only its compiled form is installed, and the version alone decides."""
    spec = find_spec(module)
    get_source = getattr(spec.loader, "get_source", None) if spec else None
    source: str | None = get_source(module) if get_source else None
    return source

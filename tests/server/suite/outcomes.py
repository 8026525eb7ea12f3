"""Pytest helpers for both suites: excluded tests, and short waits without a server."""

import os
import time
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.utils import _http

MARKED = {
    "production": "needs huggingface.co",
    "inference": "inference providers, another service",
}


def exclusions() -> dict[str, str]:
    """Return the excluded tests of this suite and mode: pattern of the id -> reason."""
    table = tomllib.loads(Path(os.environ["SEQHUB_SUITE_EXCLUSIONS"]).read_text(encoding="utf-8"))
    suite, mode = os.environ["SEQHUB_SUITE_NAME"], os.environ["SEQHUB_SUITE_MODE"]
    known = table.get(suite, {}) | table.get(f"{suite}-{mode}", {})
    return known | table.get(f"{suite}-{huggingface_hub.__version__.split('.')[0]}", {})


def exclude(items: list[pytest.Item]) -> None:
    """Skip excluded tests, with the reason."""
    if os.environ["SEQHUB_SUITE_ALL"]:
        return
    patterns = exclusions()
    for item in items:
        names = [item.nodeid.removeprefix("tests/"), *(f"with {name}" for name in getattr(item, "fixturenames", ()))]
        reasons = [text for pattern, text in patterns.items() if any(fnmatchcase(name, pattern) for name in names)]
        reasons += [text for name, text in MARKED.items() if item.get_closest_marker(name)]
        if reasons:
            item.add_marker(pytest.mark.skip(reason=f"excluded: {reasons[0]}"), append=False)


def skip_waits() -> None:
    """Remove the waits of the client between attempts in a run without a server."""
    if os.environ["SEQHUB_SUITE_BASELINE"]:
        _http.time = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})

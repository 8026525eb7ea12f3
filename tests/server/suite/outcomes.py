"""What both suites need of pytest: leave out what `exclusions.toml` names, give up at once where nobody serves."""

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
    "production": "wants huggingface.co itself",
    "inference": "inference providers, another service",
}


def exclusions() -> dict[str, str]:
    """Pattern of a test's id -> why it is left out, in this suite and mode."""
    table = tomllib.loads(Path(os.environ["SEQHUB_SUITE_EXCLUSIONS"]).read_text(encoding="utf-8"))
    suite, mode = os.environ["SEQHUB_SUITE_NAME"], os.environ["SEQHUB_SUITE_MODE"]
    known = table.get(suite, {}) | table.get(f"{suite}-{mode}", {})
    return known | table.get(f"{suite}-{huggingface_hub.__version__.split('.')[0]}", {})


def exclude(items: list[pytest.Item]) -> None:
    """Skip what is left out, with its reason."""
    if os.environ["SEQHUB_SUITE_ALL"]:
        return
    patterns = exclusions()
    for item in items:
        names = [item.nodeid.removeprefix("tests/"), *(f"with {name}" for name in getattr(item, "fixturenames", ()))]
        why = [text for pattern, text in patterns.items() if any(fnmatchcase(name, pattern) for name in names)]
        why += [text for name, text in MARKED.items() if item.get_closest_marker(name)]
        if why:
            item.add_marker(pytest.mark.skip(reason=f"excluded: {why[0]}"), append=False)


def hurry() -> None:
    """Make the client's waits between two tries short in a run that has nobody to try."""
    if os.environ["SEQHUB_SUITE_BASELINE"]:
        _http.time = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})

"""Configuration of the tests of compiled cells."""

from pathlib import Path

import pytest

from seqhub.cells import dispatch


@pytest.fixture(autouse=True)
def repeated_warnings() -> None:
    """Forget the warnings of earlier tests, which are issued once."""
    dispatch._warned.clear()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without kernels, as its folder of compiled cells."""
    monkeypatch.setenv("SEQHUB_CACHE", str(tmp_path))
    return tmp_path / "cells"

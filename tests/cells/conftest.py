"""Configuration of the tests of compiled cells: a cache for the session, in which each kernel is compiled once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("SEQHUB_CACHE")
    if before is None:  # a developer may keep one
        os.environ["SEQHUB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["SEQHUB_CACHE"]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without kernels, as its folder of compiled cells."""
    monkeypatch.setenv("SEQHUB_CACHE", str(tmp_path))
    return tmp_path / "cells"

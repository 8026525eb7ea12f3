"""Settings of every test: one torch thread, caches of its own, no network except loopback."""

import os
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

# huggingface_hub and datasets read these when they are imported, so they are set before any test module is imported
_home = tempfile.TemporaryDirectory(prefix="seqhub-tests-", ignore_cleanup_errors=True)  # also for child processes
os.environ["HF_HOME"] = _home.name
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("SEQHUB_CACHE", _home.name)  # one may be kept between runs, as cells take seconds to compile
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_NUM_THREADS"] = "1"  # two threads are slower for small recurrences, and much slower on busy cores


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_accelerate_state() -> Iterator[None]:
    """Reset the state of accelerate, which a `Trainer` leaves behind and later runs of the process would share."""
    yield
    state = sys.modules.get("accelerate.state")
    if state is not None and state.AcceleratorState._shared_state:
        state.AcceleratorState._reset_state(reset_partial_state=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a parametrized test as slow, except those that its mark `fast_cases` names."""
    for item in items:
        patterns = [pattern for mark in item.iter_markers("fast_cases") for pattern in mark.args]
        case = item.name.partition("[")[2].removesuffix("]")
        if patterns and not any(fnmatchcase(case, pattern) for pattern in patterns):
            item.add_marker(pytest.mark.slow)

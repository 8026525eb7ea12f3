"""What every test gets: one torch thread, caches of its own, no network but loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read when huggingface_hub and datasets are imported, so they are set before any test module is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_NUM_THREADS"] = "1"  # two threads are slower for recurrences this small, and far slower on busy cores


@pytest.fixture(scope="session", autouse=True)
def hf_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this session's own, also for the processes it starts."""
    home = tmp_path_factory.mktemp("hf-home")
    before = os.environ.get("HF_HOME")
    os.environ["HF_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["HF_HOME"]
    else:
        os.environ["HF_HOME"] = before


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)

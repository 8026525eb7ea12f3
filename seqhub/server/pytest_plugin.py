"""Pytest fixture `seqhub_hub`: an embedded Hub for the tests of any project.

Install with `pip install 'seqhub[server]'` and name the fixture as an argument:

    def test_push(seqhub_hub, tmp_path):
        environment = os.environ | seqhub_hub.environment(tmp_path / "client")
        subprocess.run([sys.executable, "push.py"], env=environment, check=True)

Each test that uses it gets a separate Hub with its own port. The server is imported by the fixture, so that pytest
starts even if the extra `server` is not installed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seqhub.server.serve import Running


@pytest.fixture
def seqhub_hub(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Running]":
    """Empty Hub on a free port."""
    try:
        from seqhub.server.serve import running
    except ModuleNotFoundError as error:
        pytest.fail(f"seqhub_hub: {error.name} is not installed: pip install 'seqhub[server]'")
    with running(Path(tmp_path_factory.mktemp("hub"))) as hub:
        yield hub

"""A Hub for the tests of any project: `pip install seqhub` and name `seqhub_hub` as an argument.

    def test_push(seqhub_hub, tmp_path):
        environment = os.environ | seqhub_hub.environment(tmp_path / "client")
        subprocess.run([sys.executable, "push.py"], env=environment, check=True)

Each test that names it has its own Hub, port and client home. The server is loaded only then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seqhub.server.serve import Running


@pytest.fixture
def seqhub_hub(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Running]":
    """An empty Hub on a port of its own."""
    from seqhub.server.serve import running

    with running(Path(tmp_path_factory.mktemp("hub"))) as hub:
        yield hub

"""The unmodified client against a real server: core operations in one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.server.serve import running
from seqhub.server.types import AddSmall

HERE = Path(__file__).parent
STEPS = [
    "repositories",
    "files",
    "references",
    "pull_requests",
    "lists",
    "data",
    "command_line",
    "remote_code",
    "bare_name",
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("hub")
    with running(root / "root") as hub:
        token, stranger = hub.token("ada", "admin"), hub.token("bob")
        hub.token("seqhub")
        store = hub.store
        for name, private in (("bare", False), ("secret", True)):
            repo = store.repos.create("model", f"seqhub/{name}", private=private, author="seqhub")
            owner = store.accounts.find("seqhub")
            assert owner is not None
            added = [AddSmall("a.txt", b"bare")]
            store.commits.create(
                repo, "main", added, expected_parent=None, author="seqhub", title="a", message="", uploader=owner
            )
        environment = os.environ | hub.environment(root / "home", token=token)
        environment |= {"OTHER_TOKEN": stranger, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= {"HF_DATASETS_CACHE": str(root / "home" / "datasets")}
        (root / "work").mkdir()
        command = [sys.executable, str(HERE / "client_script.py"), str(root / "work")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
        return found


@pytest.mark.parametrize("step", STEPS)
def test_the_real_client(results: dict[str, str], step: str) -> None:
    assert results[step] == "ok", results[step]

"""Real clients: huggingface_hub with and without hf_xet, each in a process with a separate home."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seqhub.server.app import create_app, table
from seqhub.server.routes import lfs
from seqhub.server.serve import Running, running

PROGRAM = """
import hashlib, json, sys
from pathlib import Path
from huggingface_hub import HfApi, hf_hub_download
repo, kind, folder = sys.argv[1:]
api = HfApi()
api.create_repo(repo, repo_type=kind, exist_ok=True)
pull = api.upload_folder(repo_id=repo, repo_type=kind, folder_path=folder, create_pr=kind == "dataset").pr_revision
seen = {}
for name in sorted(path.name for path in Path(folder).iterdir()):
    content = Path(hf_hub_download(repo, name, repo_type=kind, revision=pull)).read_bytes()
    seen[name] = hashlib.sha256(content).hexdigest()
print(json.dumps(seen))
"""


def client(hub: Running, home: Path, repo: str, folder: Path, kind: str = "model", **variables: str) -> dict[str, str]:
    environment = {**os.environ, **hub.environment(home), **variables}
    for name in ("HF_HUB_DISABLE_XET", "HF_XET_HIGH_PERFORMANCE"):
        environment[name] = variables.get(name, "0")
    command = [sys.executable, "-c", PROGRAM, repo, kind, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a file for each coding of chunks, and an empty file."""
    path = tmp_path_factory.mktemp("files")
    source = random.Random(3)
    (path / "random.bin").write_bytes(source.randbytes(12 * 2**20))
    (path / "zeros.bin").write_bytes(bytes(11 * 2**20))
    (path / "floats.bin").write_bytes(np.random.default_rng(0).normal(size=750_000).astype("<f4").tobytes())
    (path / "text.bin").write_bytes(b"".join(b"%d bottles\n" % number for number in range(200_000)))
    (path / "empty.bin").write_bytes(b"")
    return path


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path / "hub") as found:
        yield found


def test_xet_round_trips(tmp_path: Path, folder: Path) -> None:
    """Use one client home: from the second time on, hf_xet sends shards that refer to earlier xorbs."""
    home, expected = tmp_path / "home", hashes(folder)
    with running(tmp_path / "hub") as hub:
        port = int(hub.url.rsplit(":", 1)[1])
        assert client(hub, home, "seqhub/one", folder) == expected
        stored = list((tmp_path / "hub" / "xorbs").rglob("*.bytes"))
        assert stored == [], "the bytes are in blobs only"
        assert list((tmp_path / "hub" / "xorbs").rglob("*.places")), "uploaded by Xet"
        assert client(hub, home, "seqhub/two", folder) == expected
    with running(tmp_path / "hub", port=port) as hub:
        assert client(hub, home, "seqhub/three", folder, kind="dataset") == expected
        hub.store.maintenance.renew_instance()
        assert client(hub, home, "seqhub/four", folder) == expected


def test_users_of_the_same_machine_send_their_own_xorbs(tmp_path: Path, folder: Path, hub: Running) -> None:
    home = tmp_path / "home"
    expected = hashes(folder)
    assert client(hub, home, "seqhub/one", folder) == expected
    assert client(hub, home, "bob/one", folder, HF_TOKEN=hub.token("bob")) == expected


def test_lfs_round_trip(tmp_path: Path, folder: Path, hub: Running) -> None:
    expected = hashes(folder)
    assert client(hub, tmp_path / "home", "seqhub/one", folder, HF_HUB_DISABLE_XET="1") == expected
    assert client(hub, tmp_path / "home", "seqhub/two", folder, HF_HUB_DISABLE_XET="1", kind="dataset") == expected
    assert not (tmp_path / "hub" / "xorbs").exists(), "not uploaded by Xet"


def test_lfs_in_parts(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = [*lfs.make_routes(lfs.Plan(above=2**20, part=5 * 2**20)), *table()]
    monkeypatch.setattr(
        "seqhub.server.serve.create_app", lambda store, settings: create_app(store, settings=settings, routes=small)
    )
    with running(tmp_path / "hub") as hub:
        found = client(hub, tmp_path / "home", "seqhub/one", folder, HF_HUB_DISABLE_XET="1")
    assert found == hashes(folder)
    assert list((tmp_path / "hub" / "parts").iterdir()) == []

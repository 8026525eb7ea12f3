"""Load on a real server: large uploads with concurrent clients, shards of maximum size, bounded memory."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from benchmarks import hub_load
from seqhub.server.serve import Running
from tests.helpers.xet_writers import Piece, Xorb, file_records, record, shard
from tests.server.large.conftest import Cas
from tests.server.test_serve import command, create_root

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT = 300
MEMORY = 200 * 2**20
BUSY = """
import os, random, sys, threading
from huggingface_hub import HfApi

api, chance, stop, number = HfApi(), random.Random(sys.argv[1]), threading.Event(), 0
threading.Thread(target=lambda: (os.read(0, 1), stop.set()), daemon=True).start()
api.create_repo(sys.argv[1])
while not stop.is_set() or not number:
    for size in (90_000, 3_000_000):
        api.upload_file(path_or_fileobj=chance.randbytes(size), path_in_repo=f"{number}-{size}", repo_id=sys.argv[1])
    assert len(api.list_repo_files(sys.argv[1])) == 2 * number + 3
    number += 1
"""
LARGE = """
import sys
from huggingface_hub import HfApi

HfApi().create_repo("ada/large")
HfApi().upload_file(path_or_fileobj=sys.argv[1], path_in_repo="large.bin", repo_id="ada/large")
"""


@dataclass
class Served:
    url: str
    token: str
    process: "subprocess.Popen[bytes]"

    def client(self, code: str, argument: str, home: Path, **more: str) -> "subprocess.Popen[bytes]":
        environment = Running(self.url, None).environment(home, token=self.token)  # type: ignore[arg-type]
        line = [sys.executable, "-c", code, argument]
        return subprocess.Popen(
            line, env=os.environ | environment | more, stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def peak_memory(self) -> int:
        """Return the peak memory of the server in bytes."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except FileNotFoundError:
            pytest.skip("this system does not provide the memory of a process in /proc")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    token = create_root(tmp_path / "hub")
    with command(tmp_path / "hub", "--no-access-log") as (process, url, log):
        yield Served(url, token, process)
        log.seek(0)
        assert b"Traceback" not in log.read()


@contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Close the input of a client at the end of the block, and check that it succeeds."""
    try:
        yield
        _, log = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, log.decode()[-3000:]
    finally:
        process.kill()
        process.communicate()


def test_a_large_upload_with_concurrent_clients(tmp_path: Path, served: Served) -> None:
    """No connection is lost: each client ends at the first error that it does not retry automatically."""
    large, sha256 = tmp_path / "large", hashlib.sha256()
    with large.open("wb") as file:
        for _ in range(256):
            piece = os.urandom(2**20)
            file.write(piece)
            sha256.update(piece)
    with ExitStack() as clients:
        for number in range(2):
            home = tmp_path / f"home-{number}"
            busy = served.client(BUSY, f"ada/busy-{number}", home, HF_HUB_DISABLE_XET=str(number))
            clients.enter_context(ending(busy))
        with ending(served.client(LARGE, str(large), tmp_path / "home")):
            pass
    back = hashlib.sha256()
    with httpx2.stream("GET", f"{served.url}/ada/large/resolve/main/large.bin", trust_env=False) as answer:
        for piece in answer.iter_bytes():
            back.update(piece)
    assert back.digest() == sha256.digest()
    assert served.peak_memory() < MEMORY


def test_concurrent_shards_of_maximum_size(served: Served) -> None:
    """Send four shards of 64 MiB with the maximum number of files; each is read and rejected as invalid."""
    with httpx2.Client(base_url=served.url, trust_env=False, timeout=LIMIT) as http:
        http.headers["Authorization"] = f"Bearer {served.token}"
        http.post("/api/repos/create", json={"name": "net", "type": "model"}).raise_for_status()
        found = http.get("/api/models/ada/net/xet-write-token/main").json()
        cas, xorb = Cas(http, found["casUrl"], found["accessToken"]), Xorb([os.urandom(8192)])
        assert cas.xorb(xorb).status_code == 200
        one = file_records([Piece(xorb, 0, 1)], sha256="1" * 64)
        lying = record(b"f" * 32, 1 << 31 | 1 << 30, 1, 0, 0) + one[48:]
        padding = (64 * 2**20 - 99_999 * len(one)) // 48 - 10
        raw = shard(*[lying] * 99_999)[:-48] + record(xorb.hash, 0, padding, 0, 0) + bytes(48 * padding) + shard()[-48:]
        assert 0.99 < len(raw) / 2**26 <= 1

        answers: list[httpx2.Response] = []
        threads = [threading.Thread(target=lambda: answers.append(cas.shard(raw))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
    assert [answer.status_code for answer in answers] == [400] * 4
    assert all("do not match its hash" in answer.text for answer in answers)
    assert served.peak_memory() < MEMORY


def test_64_concurrent_clients(tmp_path: Path) -> None:
    """Large commits, many files, uploads, ranges, packs and lists: the memory of the server is bounded."""
    memory = next(iter(hub_load.mixed(tmp_path / "hub", 1)))
    assert memory.ours <= 300

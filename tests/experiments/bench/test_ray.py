"""Cells as tasks of Ray: a cluster of two nodes on this machine; one node is killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seqhub.errors import InvalidConfigError
from seqhub.experiments.bench.engines import Ray
from seqhub.experiments.bench.grid import Grid
from seqhub.experiments.bench.run import BenchProgress, bench
from seqhub.records import BenchRecord
from tests.experiments.bench.test_bench import TINY, Here, results
from tests.helpers.cli_calls import call
from tests.helpers.training_processes import free_port

ray = pytest.importorskip("ray", reason="ray is not installed (pip install 'seqhub[ray]')")

RAY = Path(sys.executable).with_name("ray")
HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # Ray replaces 127.0.0.1 by the address of the machine
SECONDS = 90


class Node:
    """A node of a cluster, in a process group of its own."""

    def __init__(self, *options: str, folder: Path) -> None:
        command = [RAY, "start", *options, "--block", "--num-cpus=1", "--object-store-memory=100000000"]
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
        self.log = folder / f"ray{len(list(folder.glob('ray*.log')))}.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def wait(self) -> None:
        """Wait until the node has joined the cluster; the head listens before it takes others."""
        until = time.monotonic() + SECONDS
        while "Ray runtime started" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill all processes of the node."""
        try:
            started = [self.process.pid, *(each.pid for each in psutil.Process(self.process.pid).children(True))]
        except psutil.NoSuchProcess:
            return
        for pid in reversed(started):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=10)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Ray a home of its own, as it keeps files there that decide how later clusters connect."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def cluster(home: None, tmp_path: Path) -> Iterator[tuple[str, Node]]:
    """Yield the address of a cluster of two nodes with one core each, and the second node."""
    port = free_port()
    while 10_002 <= port <= 19_999:  # the ports of workers
        port = free_port()
    scratch = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets must be short
    common = ("--disable-usage-stats", f"--temp-dir={scratch}")
    head = Node(
        "--head", f"--node-ip-address={HEAD}", f"--port={port}", "--include-dashboard=false", *common, folder=tmp_path
    )
    address = f"{HEAD}:{port}"
    other = None
    try:
        head.wait()
        other = Node(f"--address={address}", f"--node-ip-address={OTHER}", "--disable-usage-stats", folder=tmp_path)
        other.wait()
        yield address, other
    finally:
        for node in (other, head):
            if node is not None:
                node.kill()
        shutil.rmtree(scratch, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_every_cell_is_there_after_a_node_was_killed(cluster: tuple[str, Node], tmp_path: Path) -> None:
    address, other = cluster
    killed: list[str] = []
    nodes: list[int] = []

    def callback(now: BenchProgress) -> None:
        if now.stage == "seeds" and now.done >= 1 and not killed:
            nodes.append(sum(node["Alive"] for node in ray.nodes()))
            other.kill()
            killed.append(now.stage)

    grid = Grid.of(TINY | {"tasks": ["parity/every"], "seeds": 6, "budget": 2_000_000})
    record = bench(grid, tmp_path / "all", Ray(address), callback=callback)
    assert nodes == [2]
    assert killed == ["seeds"]
    assert [row["seeds"] for row in record.rows] == [list(range(6))] * 2
    assert [row["failed"] for row in record.rows] == [{}] * 2
    assert {cell["status"] for cell in record.cells} == {"finished"}
    assert len(record.cells) == 2 + 4 + 12 + 48


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_cluster_on_this_machine_gives_the_same_results(tmp_path: Path) -> None:
    grid = Grid.of(TINY | {"tasks": ["qrsu/easy"]})
    here = bench(grid, tmp_path / "here", Here())
    there = bench(grid, tmp_path / "there", Ray(num_cpus=1))
    assert results(there) == results(here)
    assert BenchRecord.load(tmp_path / "there") == there


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:", "127.0.0.1:99999"])
def test_an_address_without_a_port_is_one_line(address: str) -> None:
    with pytest.raises(InvalidConfigError, match=rf"ray_address='{address}': must be HOST:PORT"):
        Ray(address).__enter__()


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    address = f"127.0.0.1:{free_port()}"
    options = ("--models", "lstm", "--tasks", "parity/every", "--engine", "ray", "--ray-address", address)
    ended = call("bench", *options)
    assert ended.code == 2
    assert ended.err == f"error: --ray-address {address}: no answer (Connection refused)\n"
    assert not list((tmp_path / "work").iterdir())

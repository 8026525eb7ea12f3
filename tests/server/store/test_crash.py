"""Concurrent writers, and writers that are killed at any moment."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store
from seqhub.server.types import Account, Repo
from tests.server.store.conftest import paths, small, upload

WRITER = textwrap.dedent("""
    import hashlib, os, sys, threading
    from pathlib import Path
    from seqhub.server.types import AddLarge, AddSmall
    from seqhub.server.store import Store

    root, name, count, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    store = Store(root)
    alice, repo = store.accounts.find("alice"), store.repos.find("model", "alice/lstm")

    def work(thread):
        for number in range(count):
            path = f"{name}/{thread}/{number}"
            content = f"{path} {os.urandom(4).hex()}".encode() * 50
            operation = AddSmall(path, content)
            if number % 3 == 2:
                writer = store.blobs.begin()
                writer.write(content)
                operation = AddLarge(path, *writer.finish(None, None, alice))
            commit = store.commits.create(
                repo, "main", [operation], expected_parent=None, author="alice", title=path, uploader=alice
            )
            os.write(1, f"{commit.oid} {path} {hashlib.sha256(content).hexdigest()}\\n".encode())

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
""")


def start(store: Store, name: str, count: int, threads: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", WRITER, str(store.root), name, str(count), str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])


def check_acknowledged(store: Store, repo: Repo, output: bytes) -> int:
    import hashlib

    head = store.revisions.resolve(repo, "main")
    lines = [line.split() for line in output.decode().split("\n")[:-1]]
    for oid, path, digest in lines:
        assert store.revisions.resolve(repo, oid).title == path
        content = store.revisions.content(repo, head, store.revisions.entry(repo, head, path))
        data = content.read_bytes() if isinstance(content, Path) else content
        assert hashlib.sha256(data).hexdigest() == digest
    return len(lines)


def test_threads_lose_nothing(store: Store, repo: Repo, alice: Account) -> None:
    def work(thread: int) -> None:
        for number in range(15):
            operation = small(f"{thread}/{number}")
            store.commits.create(
                repo, "main", [operation], expected_parent=None, author="alice", title="t", uploader=alice
            )
            assert f"{thread}/{number}" in paths(store, repo)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(paths(store, repo)) == 120
    assert store.revisions.log(repo, "main")[2] == 121
    assert store.maintenance.fsck() == []


def test_one_of_several_commits_with_the_same_parent_succeeds(store: Store, repo: Repo, alice: Account) -> None:
    seen = store.revisions.resolve(repo, "main").oid
    barrier = threading.Barrier(6)

    def work(number: int) -> int:
        barrier.wait(20)
        try:
            store.commits.create(
                repo, "main", [small(str(number))], expected_parent=seen, author="a", title="t", uploader=alice
            )
        except HubHTTPError as error:
            return error.status
        return 200

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(work, range(6))) == [200] + [412] * 5


def test_processes_lose_nothing(store: Store, repo: Repo) -> None:
    writers = [start(store, f"process{number}", 8, 2) for number in range(3)]
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert sum(check_acknowledged(store, repo, output) for output in outputs) == 48
    assert len(paths(store, repo)) == 48
    assert store.revisions.log(repo, "main")[2] == 49
    assert store.maintenance.fsck() == []


def test_acknowledged_writes_survive_a_kill(store: Store, repo: Repo) -> None:
    chance, acknowledged = random.Random(7), 0
    for number in range(6):
        writer = start(store, f"killed{number}", 100_000, 2)
        assert writer.stdout is not None
        first = os.read(writer.stdout.fileno(), 10_000)  # it has started
        time.sleep(chance.uniform(0, 0.15))
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += check_acknowledged(store, repo, first + writer.communicate(timeout=60)[0])
        assert store.maintenance.fsck() == []
    assert acknowledged >= 12
    store.maintenance.gc(-1)
    assert store.maintenance.fsck() == []
    assert not list((store.root / "tmp").iterdir())


def test_a_forked_child_uses_separate_connections(store: Store, repo: Repo, alice: Account) -> None:
    upload(store, alice, b"warm")
    child = os.fork()
    if child == 0:
        try:
            store.commits.create(
                repo, "main", [small("child")], expected_parent=None, author="a", title="t", uploader=alice
            )
        finally:
            os._exit(0)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG)[0] == 0:
        time.sleep(0.02)
    assert paths(store, repo) == {"child"}


def test_a_busy_database_raises_503(store: Store, repo: Repo, alice: Account) -> None:
    store.database.pool.busy_seconds = 0.1
    with store.database.transaction(), pytest.raises(HubHTTPError, match="busy") as caught:
        store.likes.add(repo, alice)
    assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "1"})

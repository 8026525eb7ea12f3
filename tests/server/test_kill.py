"""Servers that are killed at random moments, or whose disk becomes full or read-only, while clients push.

After every scenario all acknowledged files must be stored byte for byte, and `fsck` must find no problem.
"""

import hashlib
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seqhub.server.serve import Running
from seqhub.server.store import Store

log = logging.getLogger(__name__)  # statistics; shown by `pytest -rP`

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 50
LIMIT = 120  # timeout in seconds
REPO = "ada/net"
SERVER = (sys.executable, "-c", "from seqhub.cli import main; main()", "serve", "--no-access-log")
CLIENT = """
import hashlib, json, os, random, sys, threading, time
from huggingface_hub import CommitOperationAdd, HfApi

repo, name, size, patience = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance, stop = random.Random(name), threading.Event()
threading.Thread(target=lambda: (os.read(0, 1), stop.set()), daemon=True).start()

def report(**fields):
    os.write(1, json.dumps(fields).encode() + b"\\n")

def push(files):
    for attempt in range(patience):
        try:
            added = [CommitOperationAdd(path, content) for path, content in files.items()]
            return HfApi().create_commit(repo, added, commit_message=name).oid
        except Exception as error:
            report(error=f"{type(error).__name__}: {error} {error.__cause__ or ''}")
            time.sleep(0.1)

number, oid = 0, ""
while oid is not None and not stop.is_set():
    small, large = chance.randbytes(20).hex().encode(), chance.randbytes(size)
    files = {f"{name}/{number}.txt": small, f"{name}/{number}.bin": large}
    number += 1
    oid = push(files)
    if oid is not None:
        for path, content in files.items():
            report(oid=oid, path=path, sha256=hashlib.sha256(content).hexdigest())
"""


@dataclass
class Client:
    """Process that pushes commits with a small and a large file.

    Args:
        process: It stops after the current commit when its input ends, or after `patience` consecutive failures.
        output: File with its output.
    """

    process: "subprocess.Popen[bytes]"
    output: Path

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.read_text().split("\n")[:-1]]

    def acknowledged(self) -> list[dict[str, Any]]:
        return [word for word in self.records() if "oid" in word]

    def errors(self) -> list[str]:
        return [word["error"] for word in self.records() if "error" in word]

    def finish(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0, self.output.with_suffix(".err").read_text()[-3000:]


@dataclass
class Lab:
    """Root with a user and a repository, port of its servers, and folder for its clients."""

    root: Path
    folder: Path
    port: int
    token: str
    inside: Sequence[str] = ()  # command prefix that enters the namespace in which the root is mounted

    @contextmanager
    def server(self) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a server, and kill it at the end."""
        line = [*self.inside, *SERVER, "--root", str(self.root), "--port", str(self.port)]
        with (self.folder / "server.err").open("ab") as errors:
            process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors)
        with process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline().startswith(b"export HF_ENDPOINT="), self.error_output()
                yield process
            finally:
                process.kill()

    @contextmanager
    def clients(self, prefix: str, *, size: int, patience: int) -> Iterator[list[Client]]:
        """Start a client that sends large files by Xet, one by LFS, and one with mostly small files."""
        found = []
        try:
            for name, no_xet, bytes_ in (("xet", "0", size), ("lfs", "1", size), ("small", "1", 1000)):
                label = f"{prefix}-{name}"
                environment = {
                    **os.environ,
                    **Running(f"http://127.0.0.1:{self.port}", None).environment(  # type: ignore[arg-type]
                        self.folder / f"home-{name}", token=self.token
                    ),
                    "HF_HUB_DISABLE_XET": no_xet,
                    "HF_XET_CLIENT_RETRY_BASE_DELAY": "200ms",
                }
                output = self.folder / f"{label}.jsonl"
                with output.open("wb") as out, output.with_suffix(".err").open("wb") as errors:
                    line = [sys.executable, "-c", CLIENT, REPO, label, str(bytes_), str(patience)]
                    process = subprocess.Popen(line, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=errors)
                found.append(Client(process, output))
            yield found
        finally:
            for client in found:
                client.process.kill()
                client.process.communicate()

    def error_output(self) -> str:
        return (self.folder / "server.err").read_text()[-3000:]


def create_root(root: Path) -> str:
    store = Store(root)
    try:
        token = Running("", store).token("ada")
        store.repos.create("model", REPO, author="ada")
        return token
    finally:
        store.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_each(clients: Sequence[Client], more_than: int = 0) -> None:
    deadline = time.monotonic() + LIMIT
    while any(len(client.acknowledged()) <= more_than for client in clients):
        assert time.monotonic() < deadline, [(client.output.name, client.errors()[-3:]) for client in clients]
        time.sleep(0.05)


def check(root: Path, acknowledged: Sequence[dict[str, Any]]) -> None:
    """Check that every acknowledged file is in its commit and in the newest one, with the correct bytes."""
    store = Store(root)
    try:
        assert store.maintenance.fsck() == []
        repo = store.repos.find("model", REPO)
        assert repo is not None
        head = store.revisions.resolve(repo, "main")
        for word in acknowledged:
            for commit in (head, store.revisions.resolve(repo, word["oid"])):
                entry = store.revisions.entry(repo, commit, word["path"])
                assert entry is not None, word
                content = store.revisions.content(repo, commit, entry)
                data = content.read_bytes() if isinstance(content, Path) else content
                assert hashlib.sha256(data).hexdigest() == word["sha256"], word
        store.maintenance.gc(-1)
        assert store.maintenance.fsck() == []
    finally:
        store.close()


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Every client repeats each commit until it is acknowledged, so it ends only after success."""
    chance = random.Random(20)
    lab = Lab(tmp_path / "hub", tmp_path, free_port(), create_root(tmp_path / "hub"))
    with lab.clients("kill", size=300_000, patience=10_000) as clients:
        with lab.server():
            wait_until_each(clients)
        for number in range(1, KILLS + 1):
            with lab.server() as process:
                time.sleep(chance.uniform(0, 1.5))
                os.kill(process.pid, signal.SIGKILL)
                assert process.wait(LIMIT) == -signal.SIGKILL
            if number % 10 == 0:
                check_only(lab.root)
        with lab.server():
            counts = [len(client.acknowledged()) for client in clients]
            for client, count in zip(clients, counts, strict=True):
                wait_until_each([client], more_than=count)
            for client in clients:
                client.finish()
    acknowledged = [word for client in clients for word in client.acknowledged()]
    failures = [error for client in clients for error in client.errors()]
    check(lab.root, acknowledged)
    log.warning(f"{KILLS} kills, {len(acknowledged)} files acknowledged, {len(failures)} attempts failed")
    assert failures, "some kills must interrupt requests that clients do not repeat automatically"
    assert not {error for error in failures if " 500 " in error}
    assert "Traceback" not in lab.error_output()


def check_only(root: Path) -> None:
    store = Store(root)
    try:
        assert store.maintenance.fsck() == []
    finally:
        store.close()


class Disk:
    """File system in a mount namespace, which ends with the process of the namespace.

    Args:
        place: Mount point, which is created.
        mount: Arguments of `mount`.
    """

    def __init__(self, place: Path, *mount: str) -> None:
        self.place = place
        place.mkdir()
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.inside = ("nsenter", "--target", str(self.holder.pid), "--mount")
        self.run("mount", *mount, str(place))

    @property
    def seen(self) -> Path:
        """The folder as seen by processes outside of the namespace."""
        return Path(f"/proc/{self.holder.pid}/root") / self.place.relative_to("/")

    def run(self, *line: str) -> None:
        assert self.holder.stdin is not None
        assert self.holder.stdout is not None
        try:
            self.holder.stdin.write(" ".join([*line, "2>&1; echo done $?\n"]).encode())
            self.holder.stdin.flush()
        except BrokenPipeError:
            pass
        output = b""
        while not output.startswith(b"done "):
            output = self.holder.stdout.readline()
            if not output.startswith(b"done 0"):
                pytest.skip(f"no file system can be mounted here: {output.decode().strip() or 'unshare failed'}")

    def close(self) -> None:
        self.holder.kill()
        self.holder.communicate()


@contextmanager
def mounted(place: Path, *mount: str) -> Iterator[Disk]:
    for tool in ("unshare", "nsenter"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} of util-linux is not installed")
    disk = Disk(place, *mount)
    try:
        yield disk
    finally:
        disk.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=24m", "none") as disk:
        yield disk


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[Disk]:
    """Disk that can be made to fail: ext4 becomes read-only, also for open files."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 of e2fsprogs is not installed")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(200 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, timeout=LIMIT)
    with mounted(tmp_path / "disk", "-o", "loop", str(image)) as disk:
        yield disk


def lab_on(disk: Disk, folder: Path) -> Lab:
    """Create a root outside and copy it, since SQLite follows links by name and would leave the namespace."""
    token = create_root(folder / "made")
    shutil.copytree(folder / "made", disk.seen / "hub")
    disk.run("sync")  # the copy must survive the failure of the disk
    return Lab(disk.place / "hub", folder, free_port(), token, disk.inside)


def check_copy(disk: Disk, folder: Path, acknowledged: Sequence[dict[str, Any]]) -> None:
    shutil.copytree(disk.seen / "hub", folder)
    check(folder, acknowledged)


def test_a_disk_that_fills_up(tmp_path: Path, disk: Disk) -> None:
    lab = lab_on(disk, tmp_path)
    with lab.server():
        with lab.clients("fill", size=700_000, patience=6) as clients:
            for client in clients:  # they end when the disk is full
                assert client.process.wait(2 * LIMIT) == 0
        acknowledged = [word for client in clients for word in client.acknowledged()]
        failures = [error for client in clients for error in client.errors()]
        assert acknowledged
        assert all("507" in error for error in failures), failures
        check_copy(disk, tmp_path / "full", acknowledged)
        disk.run("mount", "-o", "remount,size=96m", str(disk.place))
        with lab.clients("room", size=10_000, patience=20) as clients:
            wait_until_each(clients)
            for client in clients:
                client.finish()
        later = [word for client in clients for word in client.acknowledged()]
    check_copy(disk, tmp_path / "after", acknowledged + later)
    kinds = Counter("507" if "507" in error else error[:80] for error in failures)
    log.warning(f"{len(acknowledged)} + {len(later)} files acknowledged; failures: {dict(kinds)}")
    assert "Traceback" not in lab.error_output()


def test_a_disk_that_turns_read_only(tmp_path: Path, failing_disk: Disk) -> None:
    """Acknowledged files must be stored after the disk was mounted again from its journal."""
    disk = failing_disk
    lab = lab_on(disk, tmp_path)
    with lab.server():
        with lab.clients("before", size=200_000, patience=1) as clients:
            wait_until_each(clients)
            disk.run("mount", "-o", "remount,abort", str(disk.place))
            for client in clients:  # they end at the first error
                assert client.process.wait(LIMIT) == 0
        acknowledged = [word for client in clients for word in client.acknowledged()]
        failures = [error for client in clients for error in client.errors()]
        assert len(failures) == len(clients)
        assert all("503" in error for error in failures), failures
        with lab.clients("later", size=200_000, patience=1) as clients:
            for client in clients:
                assert client.process.wait(LIMIT) == 0
                assert not client.acknowledged()
                assert "the Hub is read-only at present; nothing was stored" in client.errors()[0]
        for word in acknowledged:
            url = f"http://127.0.0.1:{lab.port}/{REPO}/resolve/main/{word['path']}"
            with urllib.request.urlopen(url, timeout=LIMIT) as answer:
                assert hashlib.sha256(answer.read()).hexdigest() == word["sha256"]
    message = failed_start(lab)
    disk.run("umount", str(disk.place))
    disk.run("mount", "-o", "loop", str(tmp_path / "image"), str(disk.place))
    check_copy(disk, tmp_path / "copy", acknowledged)
    log.warning(f"{len(acknowledged)} files acknowledged, {len(failures)} attempts failed; {message}")
    with lab.server(), lab.clients("again", size=10_000, patience=20) as clients:
        wait_until_each(clients)
        for client in clients:
            client.finish()
    acknowledged += [word for client in clients for word in client.acknowledged()]
    check_copy(disk, tmp_path / "after", acknowledged)
    assert "Traceback" not in lab.error_output()


def test_a_root_that_is_read_only_from_the_start(tmp_path: Path, disk: Disk) -> None:
    lab = lab_on(disk, tmp_path)
    before = sorted(path.name for path in disk.seen.rglob("*"))
    disk.run("mount", "-o", "remount,ro", str(disk.place))
    failed_start(lab)
    assert sorted(path.name for path in disk.seen.rglob("*")) == before
    disk.run("mount", "-o", "remount,rw", str(disk.place))
    with lab.server():
        pass


def failed_start(lab: Lab) -> str:
    """Return the error message of a server that cannot start."""
    line = [*lab.inside, *SERVER, "--root", str(lab.root), "--port", str(lab.port)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {lab.root} cannot be served: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()

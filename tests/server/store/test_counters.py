"""Counters agree with the stored data after any operation; fsck compares and repairs them."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from seqhub.server import git
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Limits, Store
from seqhub.server.store.counting import check_counters
from seqhub.server.types import AddLarge, AddSmall, CopyFile, Delete, Operation, Repo
from tests.server.store.conftest import upload

LARGE = [b"one" * 200, b"two" * 300, b"three" * 50]


def pointer(content: bytes) -> bytes:
    """Return a small file with the text, and so the git id, of the pointer of a large file."""

    return git.pointer(hashlib.sha256(content).hexdigest(), len(content))


SMALL = [b"", b"x", b"y" * 500, *map(pointer, LARGE)]
PATHS = ["a", "b", "d/a", "d/b", "README.md"]


class Actions:
    """Random operations on the repositories of an account; many of them fail."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.account = store.accounts.create("ann")
        self.names = ["ann/one", "ann/two"]
        store.repos.create("model", "ann/one", author="ann")

    def repo(self) -> Repo:
        found = self.store.repos.find("model", self.random.choice(self.names))
        if found is None:
            raise HubHTTPError(404, "absent")
        return found

    def operation(self) -> Operation:
        path, pick = self.random.choice(PATHS), self.random.choice
        kind = self.random.randrange(5)
        if kind == 0:
            return Delete(path, is_folder=False)
        if kind == 1:
            return CopyFile(path, pick(PATHS), None)
        if kind == 2:
            large = upload(self.store, self.account, pick(LARGE))
            return AddLarge(path, large.sha256, large.size)
        return AddSmall(path, pick(SMALL))

    def commit(self) -> None:
        ref = self.random.choice(["main", "main", "dev", "refs/pr/1"])
        operations = [self.operation() for _ in range(self.random.randrange(1, 4))]
        self.store.commits.create(
            self.repo(), ref, operations, expected_parent=None, author="ann", title="t", uploader=self.account
        )

    def propose(self) -> None:
        self.store.discussions.propose(self.repo(), [self.operation()], author="ann", title="p", uploader=self.account)

    def merge(self) -> None:
        self.store.discussions.merge(self.repo(), 1, "ann")

    def purge(self) -> None:
        repo = self.repo()
        found = self.store.blobs.large_files(repo)
        self.store.commits.delete_large(repo, *(row[0] for row in found[: self.random.randrange(1, 3)]))

    def squash(self) -> None:
        self.store.commits.squash(self.repo(), self.random.choice(["main", "dev"]), "squash", "ann")

    def branch(self) -> None:
        repo = self.repo()
        commits, _, _ = self.store.revisions.log(repo, "main")
        self.store.refs.create_branch(repo, "dev", self.random.choice(commits).oid, overwrite=True)

    def unbranch(self) -> None:
        self.store.refs.delete_branch(self.repo(), "dev")

    def move(self) -> None:
        self.store.repos.move(self.repo(), self.random.choice(self.names))

    def duplicate(self) -> None:
        self.store.repos.duplicate(self.repo(), self.random.choice(self.names), author="ann")

    def delete(self) -> None:
        if self.random.random() < 0.3:
            self.store.repos.delete(self.repo())

    def create(self) -> None:
        self.store.repos.create_with_files(
            "model", self.random.choice(self.names), [self.operation()], uploader=self.account
        )

    def like(self) -> None:
        self.random.choice([self.store.likes.add, self.store.likes.remove])(self.repo(), self.account)

    def gc(self) -> None:
        self.store.maintenance.gc(-1)

    def step(self) -> str:
        often: list[Callable[[], None]] = [self.commit] * 8
        others = [self.propose, self.merge, self.purge, self.squash, self.branch, self.unbranch, self.move]
        others += [self.duplicate, self.delete, self.create, self.like, self.gc]
        action = self.random.choice(often + others)
        try:
            action()
        except HubHTTPError:
            return f"{action.__name__} (failed)"
        return action.__name__


def wrong_counters(store: Store) -> list[str]:

    with store.database.reading() as connection:
        return list(check_counters(connection))


@pytest.mark.parametrize("seed", range(6))
def test_counters_equal_what_is_stored(tmp_path: Path, seed: int) -> None:
    store = Store(tmp_path / "hub")
    actions, done = Actions(store, seed), []
    for _ in range(70):
        done.append(actions.step())
        assert wrong_counters(store) == [], done
    assert any(name == "purge" for name in done) or seed
    assert store.maintenance.fsck() == []
    store.close()


def test_permanent_deletion_frees_quota(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub", limits=Limits(repo_bytes=2500))
    ann = store.accounts.create("ann")
    repo = store.repos.create("model", "ann/net", author="ann")
    empty = store.repos.used_bytes(repo)

    def put(content: bytes) -> AddLarge:
        operation = upload(store, ann, content)
        store.commits.create(repo, "main", [operation], expected_parent=None, author="ann", title="t", uploader=ann)
        return operation

    for letter in b"abcdef":
        operation = put(bytes([letter]) * 600)
        assert store.repos.used_bytes(repo) == empty + 600
        store.commits.delete_large(repo, operation.sha256)
        assert store.repos.used_bytes(repo) == empty
    put(b"a" * 600)
    with pytest.raises(HubHTTPError, match="storage limit"):
        put(b"g" * 600)
    assert store.repos.used_bytes(repo) == empty + 600
    store.close()


def test_the_first_author_of_a_large_file_is_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    ann = store.accounts.create("ann")
    repo = store.repos.create("model", "ann/net", author="ann")
    common = {"expected_parent": None, "title": "t", "uploader": ann}
    store.commits.create(repo, "main", [upload(store, ann, b"x", "a.bin")], author="ann", **common)
    store.commits.create(repo, "main", [CopyFile("z.bin", "a.bin", None)], author="bob", **common)
    assert [(path, author) for _, path, _, author, _ in store.blobs.large_files(repo)] == [("a.bin", "ann")]
    store.close()


def test_fsck_compares_and_repairs_counters(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    ann = store.accounts.create("ann")
    repo = store.repos.create("model", "ann/net", author="ann")
    store.likes.add(repo, ann)
    right = store.repos.used_bytes(repo)
    with store.database.transaction() as connection:
        connection.execute("UPDATE repos SET bytes = bytes + 7, likes = 9")
    assert store.maintenance.fsck() == [
        f"model ann/net: {right + 7:,} bytes are counted, {right:,} are stored",
        "model ann/net: 9 likes are counted, 1 are stored",
    ]
    assert store.maintenance.fsck(repair=True) == []
    assert (store.repos.used_bytes(repo), store.likes.count(repo)) == (right, 1)
    store.close()

"""Counters equal what is stored, whatever was done; fsck compares and repairs them."""

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
    """A small file with the text, and so the git id, of a large file's pointer."""

    return git.pointer(hashlib.sha256(content).hexdigest(), len(content))


SMALL = [b"", b"x", b"y" * 500, *map(pointer, LARGE)]
PATHS = ["a", "b", "d/a", "d/b", "README.md"]


class Actions:
    """Random operations on the repositories of one account; many are refused."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.random = store, random.Random(seed)
        self.account = store.create_account("ann")
        self.names = ["ann/one", "ann/two"]
        store.create_repo("model", "ann/one", author="ann")

    def repo(self) -> Repo:
        found = self.store.repo("model", self.random.choice(self.names))
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
        self.store.commit(
            self.repo(), ref, operations, expected_parent=None, author="ann", title="t", uploader=self.account
        )

    def propose(self) -> None:
        self.store.propose(self.repo(), [self.operation()], author="ann", title="p", uploader=self.account)

    def merge(self) -> None:
        self.store.merge(self.repo(), 1, "ann")

    def purge(self) -> None:
        repo = self.repo()
        found = self.store.list_large(repo)
        self.store.delete_large(repo, *(row[0] for row in found[: self.random.randrange(1, 3)]))

    def squash(self) -> None:
        self.store.super_squash(self.repo(), self.random.choice(["main", "dev"]), "squash", "ann")

    def branch(self) -> None:
        repo = self.repo()
        commits, _, _ = self.store.commits(repo, "main")
        self.store.create_branch(repo, "dev", self.random.choice(commits).oid, overwrite=True)

    def unbranch(self) -> None:
        self.store.delete_branch(self.repo(), "dev")

    def move(self) -> None:
        self.store.move_repo(self.repo(), self.random.choice(self.names))

    def duplicate(self) -> None:
        self.store.duplicate_repo(self.repo(), self.random.choice(self.names), author="ann")

    def delete(self) -> None:
        if self.random.random() < 0.3:
            self.store.delete_repo(self.repo())

    def create(self) -> None:
        self.store.create_with_files("model", self.random.choice(self.names), [self.operation()], uploader=self.account)

    def like(self) -> None:
        self.random.choice([self.store.like, self.store.unlike])(self.repo(), self.account)

    def gc(self) -> None:
        self.store.gc(-1)

    def step(self) -> str:
        often: list[Callable[[], None]] = [self.commit] * 8
        others = [self.propose, self.merge, self.purge, self.squash, self.branch, self.unbranch, self.move]
        others += [self.duplicate, self.delete, self.create, self.like, self.gc]
        action = self.random.choice(often + others)
        try:
            action()
        except HubHTTPError:
            return f"{action.__name__} (refused)"
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
    assert store.fsck() == []
    store.close()


def test_deleting_for_good_gives_quota_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub", limits=Limits(repo_bytes=2500))
    ann = store.create_account("ann")
    repo = store.create_repo("model", "ann/net", author="ann")
    empty = store.used_bytes(repo)

    def put(content: bytes) -> AddLarge:
        operation = upload(store, ann, content)
        store.commit(repo, "main", [operation], expected_parent=None, author="ann", title="t", uploader=ann)
        return operation

    for letter in b"abcdef":
        operation = put(bytes([letter]) * 600)
        assert store.used_bytes(repo) == empty + 600
        store.delete_large(repo, operation.sha256)
        assert store.used_bytes(repo) == empty
    put(b"a" * 600)
    with pytest.raises(HubHTTPError, match="storage limit"):
        put(b"g" * 600)
    assert store.used_bytes(repo) == empty + 600
    store.close()


def test_the_first_author_of_a_large_file_is_listed(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    ann = store.create_account("ann")
    repo = store.create_repo("model", "ann/net", author="ann")
    common = {"expected_parent": None, "title": "t", "uploader": ann}
    store.commit(repo, "main", [upload(store, ann, b"x", "a.bin")], author="ann", **common)
    store.commit(repo, "main", [CopyFile("z.bin", "a.bin", None)], author="bob", **common)
    assert [(path, author) for _, path, _, author, _ in store.list_large(repo)] == [("a.bin", "ann")]
    store.close()


def test_fsck_compares_and_repairs_counters(tmp_path: Path) -> None:
    store = Store(tmp_path / "hub")
    ann = store.create_account("ann")
    repo = store.create_repo("model", "ann/net", author="ann")
    store.like(repo, ann)
    right = store.used_bytes(repo)
    with store.database.transaction() as connection:
        connection.execute("UPDATE repos SET bytes = bytes + 7, likes = 9")
    assert store.fsck() == [
        f"model ann/net: {right + 7:,} bytes are counted, {right:,} are stored",
        "model ann/net: 9 likes are counted, 1 are stored",
    ]
    assert store.fsck(repair=True) == []
    assert (store.used_bytes(repo), store.likes(repo)) == (right, 1)
    store.close()

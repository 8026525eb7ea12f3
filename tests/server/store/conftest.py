"""Store in a temporary folder, with two users and a repository."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqhub.server.store import Store
from seqhub.server.types import Account, AddLarge, AddSmall, Commit, Operation, Repo


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "hub")
    yield store
    store.close()


@pytest.fixture
def alice(store: Store) -> Account:
    return store.accounts.create("alice")


@pytest.fixture
def bob(store: Store) -> Account:
    return store.accounts.create("bob")


@pytest.fixture
def repo(store: Store, alice: Account) -> Repo:
    return store.repos.create("model", "alice/lstm", author="alice")


Committer = Callable[..., Commit]


@pytest.fixture
def commit(store: Store, alice: Account) -> Committer:
    """commit(repo, *operations, ref="main", parent=None, by=alice)"""

    def run(repo: Repo, *operations: Operation, ref: str = "main", by: Account | None = None, **more: Any) -> Commit:
        settings = {"expected_parent": None, "author": "alice", "title": "change", "message": ""} | more
        return store.commits.create(repo, ref, operations, uploader=by or alice, **settings)

    return run


def small(path: str, text: str = "x") -> AddSmall:
    return AddSmall(path, text.encode())


def upload(store: Store, account: Account, content: bytes, path: str = "model.bin") -> AddLarge:
    writer = store.blobs.begin()
    writer.write(content)
    return AddLarge(path, *writer.finish(None, None, account))


def paths(store: Store, repo: Repo, revision: str = "main", *, folders: bool = False) -> set[str]:
    entries, _ = store.revisions.tree(repo, store.revisions.resolve(repo, revision), "", recursive=True, limit=100_000)
    return {entry.path for entry in entries if folders or not entry.is_folder} - {".gitattributes"}

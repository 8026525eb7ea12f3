"""Changes of many rows: many transactions, atomic visibility, and cleanup after interruption."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Limits, Store, database
from seqhub.server.types import Account, AddSmall, CopyFile, Delete, Operation, Repo
from tests.server.store.conftest import Committer, paths, small, upload

MANY = [small(f"{number % 40}/{number % 3}/f{number}", str(number)) for number in range(2000)]
TABLES = ("files", "lines", "commits", "objects", "refs", "repos", "discussions", "unfinished")


@pytest.fixture(autouse=True)
def thin_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(database, "_PAUSE", 0.0)


def counts(store: Store) -> dict[str, int]:
    with store.database.reading() as connection:
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


@contextmanager
def between(store: Store, work: Callable[[int], object]) -> Iterator[list[int]]:
    """Call `work` after each transaction; yield the numbers of the transactions."""
    numbers: list[int] = []
    transaction, is_inside = store.database.transaction, False

    @contextmanager
    def watched() -> Iterator[Any]:
        nonlocal is_inside
        with transaction() as connection:
            yield connection
        if not is_inside:
            is_inside = True
            try:
                numbers.append(len(numbers))
                work(numbers[-1])
            finally:
                is_inside = False

    store.database.transaction = watched  # type: ignore[method-assign]
    try:
        yield numbers
    finally:
        del store.database.transaction  # type: ignore[method-assign]


def test_large_commits_become_visible_at_the_end(store: Store, repo: Repo, commit: Committer) -> None:
    before = paths(store, repo)
    seen = []
    with between(store, lambda number: seen.append(paths(store, repo) == before)) as numbers:
        made = commit(repo, *MANY)
    assert len(numbers) > 10, "other writers can write in between"
    assert seen == [True] * (len(numbers) - 1) + [False]
    assert store.revisions.resolve(repo, "main") == made
    assert paths(store, repo) == {operation.path for operation in MANY}
    assert store.maintenance.fsck() == []
    assert counts(store)["unfinished"] == 0


def test_concurrent_commits_during_a_large_one(store: Store, repo: Repo, commit: Committer) -> None:
    """Commit to another repository, and to the same branch: then the large commit is planned again."""
    other = store.repos.create("model", "alice/other", author="alice")

    def work(number: int) -> None:
        commit(other, small(f"other{number}"))
        if number == 5:
            commit(repo, small("same branch"), small("3/x"))

    with between(store, work) as numbers:
        commit(repo, *MANY)
    assert len(paths(store, other)) == len(numbers)
    assert paths(store, repo) == {operation.path for operation in MANY} | {"same branch", "3/x"}
    assert store.maintenance.fsck() == []


def test_a_stale_parent_is_detected_at_the_end(store: Store, repo: Repo, commit: Committer) -> None:
    parent = store.revisions.resolve(repo, "main").oid
    with (
        between(store, lambda number: number == 3 and commit(repo, small("first"))),
        pytest.raises(HubHTTPError) as caught,
    ):
        commit(repo, *MANY, expected_parent=parent)
    assert caught.value.status == 412
    assert paths(store, repo) == {"first"}
    store.maintenance.gc(-1)
    assert store.maintenance.fsck() == []
    assert counts(store)["unfinished"] == 0


JOBS: dict[str, Callable[[Store, Repo, Account], object]] = {
    "commit": lambda store, repo, alice: apply(store, repo, alice, [*MANY, Delete("0", is_folder=True)][1:]),
    "deletion of a folder": lambda store, repo, alice: apply(store, repo, alice, [Delete("big", is_folder=True)]),
    "proposal": lambda store, repo, alice: store.discussions.propose(
        repo, MANY, author="alice", title="t", uploader=alice
    ),
    "squash": lambda store, repo, alice: store.commits.squash(repo, "main", "s", "alice"),
    "copy": lambda store, repo, alice: store.repos.duplicate(repo, "alice/copy", author="alice"),
}  # fmt: skip


def apply(store: Store, repo: Repo, alice: Account, operations: list[Operation]) -> object:
    return store.commits.create(
        repo, "main", operations, expected_parent=None, author="alice", title="t", uploader=alice
    )


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("place", [1, 4, 9])
def test_interrupted_work_leaves_nothing(
    store: Store, repo: Repo, alice: Account, commit: Committer, job: str, place: int
) -> None:
    """Simulate a kill after one of the transactions: only gc removes the remains."""
    commit(repo, *(small(f"big/{number}", str(number)) for number in range(2500)))
    commit(repo, small("one more"))
    before, shown, head = counts(store), paths(store, repo), store.revisions.resolve(repo, "main")

    def stop(number: int) -> None:
        if number >= place:
            raise HubHTTPError(503, "killed")

    with between(store, stop), suppress(HubHTTPError):  # some jobs need fewer transactions
        JOBS[job](store, repo, alice)
    store.maintenance.gc(-1)
    assert store.maintenance.fsck() == []
    left = counts(store)
    assert left["unfinished"] == 0
    if store.revisions.resolve(repo, "main") == head and left["repos"] == before["repos"] and not left["discussions"]:
        assert left == before
        assert paths(store, repo) == shown


def test_a_deleted_repository_disappears_immediately(store: Store, repo: Repo, commit: Committer) -> None:
    empty = counts(store)
    other = store.repos.create("model", "alice/other", author="alice")
    commit(other, *MANY)
    gone = []
    with between(store, lambda number: gone.append(store.repos.find("model", "alice/other") is None)) as numbers:
        store.repos.delete(other)
    assert all(gone)
    assert len(numbers) > 5
    assert counts(store) == empty
    assert store.listing.count() == {"model": 1}
    with pytest.raises(HubHTTPError):
        store.repos.delete(other)


def test_random_large_commits_equal_small_ones(
    store: Store, repo: Repo, alice: Account, commit: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apply the same operations in single transactions and as large commits, and compare the trees."""
    other = store.repos.create("model", "alice/other", author="alice")
    chance, names = random.Random(5), set()
    for _ in range(12):
        operations: list[Operation] = []
        for _ in range(chance.randrange(1, 12)):
            path = f"{chance.choice('abc')}/{chance.choice('abc')}/{chance.randrange(9)}"
            operations.append(small(path, str(chance.random())))
            names.add(path)
        present = paths(store, repo)
        if chance.random() < 0.5 and present:
            operations.append(CopyFile(f"copy{chance.randrange(9)}", chance.choice(sorted(present)), None))
        if chance.random() < 0.5:
            operations.insert(0, Delete("a", is_folder=True)) if any(p.startswith("a/") for p in present) else None
        commit(repo, *operations)
        with monkeypatch.context() as patch:
            patch.setattr("seqhub.server.store.tree_writer.SMALL_ROWS", 0)
            commit(other, *operations)
        trees = []
        for one in (repo, other):
            entries, _ = store.revisions.tree(
                one, store.revisions.resolve(one, "main"), "", recursive=True, limit=10_000
            )
            trees.append([(entry.path, entry.oid) for entry in entries])
        assert trees[0] == trees[1]
    assert store.maintenance.fsck() == []


def test_too_many_folders_raise_413(tmp_path: Path) -> None:
    store = Store(tmp_path / "few", limits=Limits(commit_folders=100))
    alice = store.accounts.create("alice")
    repo = store.repos.create("model", "alice/x", author="alice")
    with pytest.raises(HubHTTPError, match="at most 100 folders") as caught:
        apply(store, repo, alice, [small("/".join(f"{n}.{level}" for level in range(30)) + "/f") for n in range(4)])
    assert caught.value.status == 413
    assert "\n" not in caught.value.message
    store.close()


def test_long_contents_are_files(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    """Long contents can be read by ranges and by git, are used by gc, and equal ones are stored once."""
    content = random.Random(1).randbytes(300_000)
    commit(repo, AddSmall("a", content), AddSmall("b", content), AddSmall("c", content[:1000]))
    head = store.revisions.resolve(repo, "main")
    for path, expected in (("a", content), ("b", content)):
        entry = store.revisions.entry(repo, head, path)
        assert entry is not None
        assert entry.lfs is None
        found = store.revisions.content(repo, head, entry)
        assert isinstance(found, Path)
        assert found.read_bytes() == expected
        assert store.git.read(repo, entry.oid) == ("blob", expected)
    assert len(list((store.root / "blobs").glob("??/*"))) == 1
    assert store.maintenance.gc(-1)["files"] == 0
    assert store.maintenance.fsck() == []
    copy = store.repos.duplicate(repo, "alice/copy", author="alice")
    store.repos.delete(repo)
    assert store.maintenance.gc(-1)["blobs"] == 0
    store.repos.delete(copy)
    assert store.maintenance.gc(-1)["blobs"] == 1
    assert not list((store.root / "tmp").iterdir())
    assert upload(store, alice, content).size == 300_000


def test_an_invalid_commit_leaves_no_contents(store: Store, repo: Repo, commit: Committer) -> None:
    with pytest.raises(HubHTTPError):
        commit(repo, AddSmall("a", bytes(300_000)), Delete("absent", is_folder=False))
    assert not list((store.root / "tmp").iterdir())
    assert not list((store.root / "blobs").glob("??/*"))

"""Commits: compare-and-swap, commits without changes, conflicts, access to large files, quotas."""

from pathlib import Path

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Limits, Store
from seqhub.server.types import Account, AddLarge, AddSmall, CopyFile, Delete, Repo
from tests.server.store.conftest import Committer, paths, small, upload


def test_the_first_commit_contains_gitattributes(store: Store, repo: Repo) -> None:
    commits, after, total = store.revisions.log(repo, "main")
    assert ([c.title for c in commits], after, total) == (["initial commit"], None, 1)
    content = store.revisions.content(repo, commits[0], store.revisions.entry(repo, commits[0], ".gitattributes"))
    assert b"*.safetensors filter=lfs" in content


def test_a_commit_without_changes_returns_the_head(store: Store, repo: Repo, commit: Committer) -> None:
    first = commit(repo, small("a"))
    assert commit(repo, small("a")) == first
    assert commit(repo, small("b"), Delete("b", is_folder=False)) == first
    assert store.revisions.log(repo, "main")[2] == 2


def test_a_stale_parent_raises_412(store: Store, repo: Repo, commit: Committer) -> None:
    seen = store.revisions.resolve(repo, "main").oid
    commit(repo, small("a"), expected_parent=seen[:7].upper())
    for parent in (seen, "abc", "0" * 40):
        with pytest.raises(HubHTTPError, match="The branch was updated since") as caught:
            commit(repo, small("b"), expected_parent=parent)
        assert caught.value.status == 412
    assert paths(store, repo) == {"a"}


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a"), ("a", "a/b/c/d")])
def test_a_path_cannot_be_both_file_and_folder(
    store: Store, repo: Repo, commit: Committer, first: str, second: str
) -> None:
    with pytest.raises(HubHTTPError) as caught:
        commit(repo, small(first), small(second))
    assert caught.value.status == 422
    commit(repo, small(first))
    with pytest.raises(HubHTTPError, match="both a file and a folder"):
        commit(repo, small(second))
    top = first.partition("/")[0]
    commit(repo, Delete(top, is_folder="/" in first), small(second))
    assert paths(store, repo) == {second}
    assert store.maintenance.fsck() == []


def test_one_wrong_operation_leaves_nothing(store: Store, repo: Repo, commit: Committer) -> None:
    for wrong in (Delete("none", False), Delete("none", True), CopyFile("x", "none", None), small("../x")):
        with pytest.raises(HubHTTPError):
            commit(repo, small("good"), wrong)
    assert paths(store, repo) == set()
    assert store.revisions.log(repo, "main")[2] == 1


def test_copies_also_from_older_revisions(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    old = commit(repo, small("a", "old"), upload(store, alice, b"large", "m.bin"))
    commit(repo, small("a", "new"), Delete("m.bin", False))
    new = commit(repo, CopyFile("b", "a", old.oid), CopyFile("c", "a", None), CopyFile("m", "m.bin", old.oid))
    assert [store.revisions.content(repo, new, store.revisions.entry(repo, new, name)) for name in "bc"] == [
        b"old",
        b"new",
    ]
    assert store.revisions.content(repo, new, store.revisions.entry(repo, new, "m")).read_bytes() == b"large"


def test_last_commit_of_files_and_folders(store: Store, repo: Repo, commit: Committer) -> None:
    first = commit(repo, small("a/x"), small("b"))
    second = commit(repo, small("a/y"), title="second", message="body")
    found = store.revisions.entries(repo, second, ["a/x", "a", "b", "none"], with_last_commit=True)
    assert [entry.last_commit for entry in found] == [first, second, first]
    assert [entry.path for entry in store.revisions.entries(repo, first, ["a/x", "a/y"])] == ["a/x"]


def test_text_that_looks_like_a_pointer_is_not_a_pointer(
    store: Store, repo: Repo, alice: Account, bob: Account, commit: Committer
) -> None:
    """A committed text that looks like an LFS pointer must not grant access to the content."""
    from seqhub.server import git

    secret = upload(store, alice, b"secret")
    text = git.pointer(secret.sha256, secret.size)
    theirs = store.repos.create("model", "bob/x", author="bob")
    head = commit(theirs, AddSmall("model.bin", text), by=bob)
    entry = store.revisions.entry(theirs, head, "model.bin")
    assert entry.lfs is None
    assert entry.size == len(text)
    assert store.revisions.content(theirs, head, entry) == text
    assert not store.blobs.may_use(bob, secret.sha256)


def test_knowing_a_hash_does_not_grant_access(store: Store, alice: Account, bob: Account, commit: Committer) -> None:
    """An lfsFile operation must not make another user's private file readable by its SHA-256."""
    private = store.repos.create("model", "alice/secret", private=True, author="alice")
    add = upload(store, alice, b"secret" * 100)
    commit(private, add)
    theirs = store.repos.create("model", "bob/x", author="bob")
    absent = AddLarge("model.bin", "0" * 64, add.size)
    messages = []
    for operation in (add, absent):
        with pytest.raises(HubHTTPError) as caught:
            commit(theirs, operation, by=bob)
        messages.append((caught.value.status, caught.value.message.replace(operation.sha256, "")))
    assert messages[0] == messages[1]  # existence is not revealed
    assert not store.blobs.may_use(bob, add.sha256)
    store.repos.update(private, private=False)
    assert store.blobs.may_use(bob, add.sha256)
    store.repos.update(private, gated="manual")
    assert not store.blobs.may_use(bob, add.sha256)
    store.access_requests.create(store.repos.find("model", "alice/secret"), bob)
    assert not store.blobs.may_use(bob, add.sha256)
    store.access_requests.decide(private, "bob", "accepted")
    commit(theirs, add, by=bob)
    assert paths(store, theirs) == {"model.bin"}


def test_members_may_use_what_their_organisation_has(
    store: Store, alice: Account, bob: Account, commit: Committer
) -> None:
    store.accounts.create("lab", is_org=True)
    repo = store.repos.create("dataset", "lab/data", private=True, author="alice")
    add = upload(store, alice, b"x" * 50)
    commit(repo, add)
    assert not store.blobs.may_use(bob, add.sha256)
    store.accounts.add_member("lab", "bob", "read")
    assert store.blobs.may_use(bob, add.sha256)
    store.accounts.remove_member("lab", "bob")
    assert not store.blobs.may_use(bob, add.sha256)


def test_a_large_file_must_have_its_declared_size(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    add = upload(store, alice, b"12345")
    for wrong in (AddLarge("m", add.sha256, 6), AddLarge("m", add.sha256.upper(), 5), AddLarge("m", "xyz", 5)):
        with pytest.raises(HubHTTPError):
            commit(repo, wrong)
    assert store.revisions.entry(repo, commit(repo, add), "model.bin").lfs.size == 5


def test_quotas(tmp_path: Path) -> None:
    limits = Limits(
        repo_bytes=10_000, account_bytes=15_000, repos=2, commit_operations=3, small_bytes=9000, file_bytes=99
    )
    store = Store(tmp_path / "hub", limits=limits)
    alice = store.accounts.create("alice")
    one, two = (store.repos.create("model", f"alice/{name}", author="alice") for name in ("one", "two"))
    common = {"expected_parent": None, "author": "a", "title": "t", "uploader": alice}
    with pytest.raises(HubHTTPError, match="the maximum number allowed"):
        store.repos.create("dataset", "alice/three", author="alice")
    with pytest.raises(HubHTTPError, match="at most 3 operations"):
        store.commits.create(one, "main", [small(str(n)) for n in range(4)], **common)
    with pytest.raises(HubHTTPError, match="more than 9,000 bytes"):
        store.commits.create(one, "main", [small("a", "x" * 9001)], **common)
    store.commits.create(one, "main", [small("a", "x" * 8000)], **common)
    with pytest.raises(HubHTTPError, match="alice/one would take"):
        store.commits.create(one, "main", [small("b", "x" * 8000)], **common)
    with pytest.raises(HubHTTPError, match="alice would take"):
        store.commits.create(two, "main", [small("b", "x" * 8000)], **common)
    writer = store.blobs.begin()
    with pytest.raises(HubHTTPError, match="at most 99 bytes"):
        writer.write(b"x" * 100)
    assert not list((tmp_path / "hub" / "tmp").iterdir())
    assert store.repos.used_bytes(one) < 10_000
    store.close()


def test_permanent_deletion_of_a_large_file(
    store: Store, repo: Repo, alice: Account, bob: Account, commit: Committer
) -> None:
    add = upload(store, alice, b"large" * 10)
    old = commit(repo, add, small("stays"))
    store.refs.create_branch(repo, "other")
    assert [(sha, path, size, author) for sha, path, size, author, _ in store.blobs.large_files(repo)] == [
        (add.sha256, "model.bin", 50, "alice")
    ]
    assert store.blobs.may_use(bob, add.sha256)
    store.commits.delete_large(repo, add.sha256)
    assert paths(store, repo) == paths(store, repo, "other") == {"stays"}
    assert store.blobs.large_files(repo) == []
    assert not store.blobs.may_use(bob, add.sha256)
    with pytest.raises(HubHTTPError) as caught:
        store.revisions.content(repo, old, store.revisions.entry(repo, old, "model.bin"))
    assert caught.value.status == 410
    assert store.maintenance.gc(-1)["blobs"] == 1
    assert store.maintenance.fsck() == []
    again = commit(repo, upload(store, alice, b"large" * 10))
    assert (
        store.revisions.content(repo, again, store.revisions.entry(repo, again, "model.bin")).read_bytes()
        == b"large" * 10
    )


def test_lone_surrogates_and_huge_numbers_are_rejected(store: Store, repo: Repo, commit: Committer) -> None:
    for text in ("\ud800", "a\udfffb"):
        with pytest.raises(HubHTTPError) as caught:
            commit(repo, small("a"), title=text)
        assert caught.value.status == 400
        with pytest.raises(HubHTTPError):
            store.revisions.resolve(repo, text)
        with pytest.raises(HubHTTPError):
            store.repos.find("model", text)
    with pytest.raises(HubHTTPError):
        store.discussions.find(repo, 2**70)

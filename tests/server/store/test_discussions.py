"""Discussions, pull requests and merges."""

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store
from seqhub.server.types import Account, Delete, Repo
from tests.server.store.conftest import Committer, paths, small


def test_a_discussion(store: Store, repo: Repo) -> None:
    opened = store.discussions.open(repo, "Title", "Text", "bob", pull_request=False)
    assert (opened.number, opened.status, opened.comments[0].content) == (1, "open", "Text")
    comment = store.discussions.comment(repo, 1, "alice", "Answer")
    assert store.discussions.edit_comment(repo, 1, comment.id, "Better").content == "Better"
    assert store.discussions.rename(repo, 1, "New", "bob").extra == {"from": "Title", "to": "New"}
    closed = store.discussions.change_status(repo, 1, "closed", "bob", "done")
    assert closed.extra["status"] == "closed"
    hidden = store.discussions.hide_comment(repo, 1, comment.id)
    assert (hidden.hidden, hidden.content) == (True, "")
    found = store.discussions.find(repo, 1)
    assert (found.title, found.status) == ("New", "closed")
    assert [event.kind for event in found.comments] == ["comment", "comment", "title-change", "status-change"]
    for call in (
        lambda: store.discussions.find(repo, 2),
        lambda: store.discussions.comment(repo, 2, "bob", "x"),
        lambda: store.discussions.edit_comment(repo, 1, comment.id, "again"),
        lambda: store.discussions.edit_comment(repo, 1, "none", "again"),
        lambda: store.discussions.edit_comment(repo, 1, closed.id, "again"),
        lambda: store.discussions.change_status(repo, 1, "closed", "bob"),
        lambda: store.discussions.merge(repo, 1, "bob"),
        lambda: store.discussions.rename(repo, 1, " ", "bob"),
    ):
        with pytest.raises(HubHTTPError):
            call()


def test_a_comment_of_another_repository_cannot_be_reached(store: Store, repo: Repo, alice: Account) -> None:
    """Users must not edit or hide comments of other repositories."""
    other = store.repos.create("model", "alice/other", author="alice")
    for one in (repo, other):
        store.discussions.open(one, "Title", "Text", "alice", pull_request=False)
    comment = store.discussions.comment(repo, 1, "alice", "mine")
    for call in (
        lambda: store.discussions.edit_comment(other, 1, comment.id, "x"),
        lambda: store.discussions.hide_comment(other, 1, comment.id),
    ):
        with pytest.raises(HubHTTPError) as caught:
            call()
        assert caught.value.status == 404


def test_filters(store: Store, repo: Repo) -> None:
    for number in range(7):
        store.discussions.open(repo, f"{number}", "", "bob" if number % 2 else "alice", pull_request=number > 3)
    store.discussions.change_status(repo, 2, "closed", "bob")
    page, total = store.discussions.page(repo, page=1, page_size=3)
    assert ([d.number for d in page], total) == ([4, 3, 2], 7)
    assert store.discussions.page(repo, author="BOB")[1] == 3
    assert store.discussions.page(repo, pull_requests=True)[1] == 3
    assert store.discussions.page(repo, status="closed", pull_requests=False)[1] == 1


@pytest.mark.parametrize("pull_first", [True, False])
def test_merging(store: Store, repo: Repo, commit: Committer, pull_first: bool) -> None:
    commit(repo, small("both/kept"), small("both/gone"), small("changed", "old"))
    pull = store.discussions.open(repo, "Improve", "why", "bob", pull_request=True, status="draft")
    store.discussions.change_status(repo, pull.number, "open", "bob")
    steps = [
        lambda: commit(repo, small("changed", "new"), Delete("both/gone", False), small("n/e/w"), ref="refs/pr/1"),
        lambda: commit(repo, small("both/other"), small("main")),
    ]
    for step in steps if pull_first else steps[::-1]:
        step()
    assert paths(store, repo, "refs/pr/1") == {"both/kept", "changed", "n/e/w"}
    changes = store.revisions.changes(
        repo, store.revisions.resolve(repo, "main~".rstrip("~")), store.revisions.resolve(repo, "refs/pr/1")
    )
    assert set(changes) == {"both/gone", "both/other", "main", "changed", "n/e/w"}
    merged = store.discussions.merge(repo, 1, "alice", "thanks")
    assert merged.title == "Improve (#1)"
    assert paths(store, repo) == {"both/kept", "both/other", "main", "changed", "n/e/w"}
    assert store.revisions.content(repo, merged, store.revisions.entry(repo, merged, "changed")) == b"new"
    found = store.discussions.find(repo, 1)
    assert (found.status, found.merge_commit) == ("merged", merged.oid)
    assert [event.kind for event in found.comments] == ["comment", "status-change", "commit", "status-change"]
    for call in (lambda: store.discussions.merge(repo, 1, "x"), lambda: commit(repo, small("y"), ref="refs/pr/1")):
        with pytest.raises(HubHTTPError):
            call()
    assert store.maintenance.fsck() == []


def test_conflicts(store: Store, repo: Repo, commit: Committer) -> None:
    commit(repo, small("a", "old"), small("same", "old"))
    store.discussions.open(repo, "Title", "", "bob", pull_request=True)
    commit(repo, small("a", "theirs"), small("same", "new"), ref="refs/pr/1")
    commit(repo, small("a", "ours"), small("same", "new"))
    with pytest.raises(HubHTTPError, match="conflict: 'a'") as caught:
        store.discussions.merge(repo, 1, "alice")
    assert caught.value.status == 409
    assert store.discussions.find(repo, 1).status == "open"
    commit(repo, small("a", "theirs"))
    before = store.revisions.log(repo, "main")[2]
    store.discussions.merge(repo, 1, "alice")  # no file changes, but a merge is always recorded by a commit
    assert store.revisions.log(repo, "main")[2] == before + 1


def test_the_target_must_be_a_branch(store: Store, repo: Repo) -> None:
    store.refs.create_tag(repo, "v1", "main", None)
    for target in ("none", "v1", "refs/tags/v1", "refs/pr/1", store.revisions.resolve(repo, "main").oid):
        with pytest.raises(HubHTTPError) as caught:
            store.discussions.open(repo, "Title", "", "bob", pull_request=True, target=target)
        assert caught.value.code == "RevisionNotFound"
    assert store.discussions.page(repo) == ([], 0)


def test_a_pull_request_with_its_first_commit_is_both_or_neither(
    store: Store, repo: Repo, alice: Account, commit: Committer
) -> None:
    base = commit(repo, small("a", "old"))
    commit(repo, small("a", "new"))
    more = {"author": "alice", "title": "Improve", "uploader": alice}
    with pytest.raises(HubHTTPError):
        store.discussions.propose(repo, [Delete("none", False)], **more)
    assert store.discussions.page(repo)[1] == 0
    assert len(store.refs.of_repo(repo)) == 1
    opened, head = store.discussions.propose(repo, [small("b")], base=base.oid[:10], message="why", **more)
    assert head.parent == base.oid
    assert [event.kind for event in opened.comments] == ["comment", "commit"]
    assert store.revisions.resolve(repo, "refs/pr/1") == head
    store.discussions.merge(repo, 1, "alice")
    merged = store.revisions.resolve(repo, "main")
    assert store.revisions.content(repo, merged, store.revisions.entry(repo, merged, "a")) == b"new"
    assert paths(store, repo) == {"a", "b"}

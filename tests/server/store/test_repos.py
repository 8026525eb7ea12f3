"""Repositories: names, moves and lists."""

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store
from seqhub.server.types import Account, Repo
from tests.server.store.conftest import Committer, paths, small, upload


def test_names_are_unique_in_any_case(store: Store, repo: Repo) -> None:
    assert store.repos.find("model", "ALICE/Lstm") == repo
    with pytest.raises(HubHTTPError, match=r"A model repository called .* already exists") as caught:
        store.repos.create("model", "alice/LSTM", author="alice")
    assert caught.value.status == 409
    assert store.repos.create("dataset", "alice/lstm", author="alice").id != repo.id
    with pytest.raises(HubHTTPError, match="rights to create") as caught:
        store.repos.create("model", "unknown/x", author="alice")
    assert caught.value.status == 403


def test_moving_there_and_back_creates_no_redirect_loop(store: Store, repo: Repo) -> None:
    moved = store.repos.move(repo, "alice/gru")
    assert (moved.id, moved.repo_id) == (repo.id, "alice/gru")
    assert store.repos.find("model", "alice/lstm") is None
    assert store.repos.redirect("model", "Alice/LSTM") == moved
    back = store.repos.move(moved, "alice/lstm")
    assert store.repos.redirect("model", "alice/lstm") is None
    assert store.repos.redirect("model", "alice/gru") == back
    again = store.repos.move(back, "alice/Lstm")
    assert (again.name, store.repos.redirect("model", "alice/lstm")) == ("Lstm", None)


def test_a_new_repository_takes_an_old_name(store: Store, repo: Repo) -> None:
    store.repos.move(repo, "alice/gru")
    new = store.repos.create("model", "alice/lstm", author="alice")
    assert store.repos.find("model", "alice/lstm") == new
    assert store.repos.redirect("model", "alice/lstm") is None
    with pytest.raises(HubHTTPError) as caught:
        store.repos.move(new, "alice/gru")
    assert caught.value.status == 409


def test_redirect_returns_private_repositories_to_the_caller(store: Store, repo: Repo) -> None:
    """The caller receives the repository and must check whether it is private."""
    store.repos.update(store.repos.move(repo, "alice/gru"), private=True)
    assert store.repos.redirect("model", "alice/lstm").private


def test_deletion_leaves_no_rows(store: Store, repo: Repo, alice: Account, commit: Committer) -> None:
    commit(repo, small("a"), upload(store, alice, b"large"))
    store.refs.create_tag(repo, "v1", "main", "message")
    store.discussions.open(repo, "title", "text", "alice", pull_request=True)
    store.likes.add(repo, alice)
    store.repos.move(repo, "alice/gru")
    store.repos.delete(repo)
    assert store.repos.find("model", "alice/gru") is None
    assert store.repos.redirect("model", "alice/lstm") is None
    with pytest.raises(HubHTTPError) as caught:
        store.repos.delete(repo)
    assert caught.value.code == "RepoNotFound"
    with pytest.raises(HubHTTPError):
        commit(repo, small("b"))
    with store.database.reading() as connection:
        for table in [
            "commits",
            "refs",
            "lines",
            "files",
            "objects",
            "names",
            "tags",
            "redirects",
            "discussions",
            "comments",
            "likes",
        ]:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert store.maintenance.gc(-1)["blobs"] == 1
    assert store.maintenance.fsck() == []


def test_settings(store: Store, repo: Repo) -> None:
    assert store.repos.update(repo, private=True).private
    changed = store.repos.update(repo, gated="manual")
    assert (changed.private, changed.gated) == (True, "manual")
    with pytest.raises(HubHTTPError):
        store.repos.update(repo, gated="maybe")  # type: ignore[arg-type]


def listed(store: Store, **filters: object) -> list[str]:
    """Return all names, page by page."""
    names, after = [], None
    while True:
        page, after = store.listing.repos("model", **({"viewer": None, "limit": 3} | filters), after=after)
        names += [repo.repo_id for repo in page]
        if after is None:
            return names


def test_lists(store: Store, alice: Account, bob: Account, commit: Committer) -> None:
    store.accounts.create("lab", is_org=True)
    store.accounts.add_member("lab", "bob", "read")
    repos = [store.repos.create("model", f"alice/model-{n}", author="alice") for n in range(8)]
    secret = store.repos.create("model", "alice/secret", private=True, author="alice")
    store.repos.create("model", "lab/hidden", private=True, author="alice")
    public = [repo.repo_id for repo in repos]
    assert listed(store) == public[::-1]
    assert listed(store, descending=False) == public
    assert set(listed(store, viewer=alice)) == {*public, "alice/secret"}
    assert set(listed(store, viewer=bob)) == {*public, "lab/hidden"}
    assert listed(store, author="LAB") == []
    assert listed(store, author="unknown") == []
    assert listed(store, search=["MODEL", "-3"]) == ["alice/model-3"]
    assert listed(store, search=["alice/mod", '"x']) == []
    assert listed(store, search=["secret"]) == []
    assert listed(store, search=["secret"], viewer=alice) == ["alice/secret"]
    commit(repos[2], small("a"))
    assert listed(store)[0] == "alice/model-2"
    assert listed(store, sort="createdAt") == public[::-1]
    store.likes.add(repos[5], bob)
    store.repos.count_download(repos[6], 3)
    assert listed(store, sort="likes")[0] == "alice/model-5"
    assert listed(store, sort="downloads")[0] == "alice/model-6"
    store.repos.update(repos[1], gated="auto")
    assert listed(store, gated=True) == listed(store, gated="auto") == ["alice/model-1"]
    assert len(listed(store, gated=False)) == 7
    assert [repo.repo_id for repo, _ in store.likes.repos_of(bob)] == ["alice/model-5"]
    store.likes.add(secret, alice)
    assert store.likes.repos_of(alice) == []
    assert len(store.likes.repos_of(alice, viewer=alice)) == 1
    for wrong in ({"sort": "x"}, {"after": "x"}, {"after": "W10="}):
        with pytest.raises(HubHTTPError) as caught:
            store.listing.repos("model", viewer=None, limit=1, **wrong)  # type: ignore[arg-type]
        assert caught.value.status == 400


def test_search_conditions_agree(store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqhub.server.store import listing

    for n in range(12):
        repo = store.repos.create("model", f"alice/m{n}", author="alice")
        content = f"---\ntags: [all, {'even' if n % 2 == 0 else 'odd'}]\n---\n"
        store.commits.create(
            repo, "main", [small("README.md", content)], expected_parent=None, author="a", title="t", uploader=alice
        )
    filter_sets = [
        {"tags": ["all", "even"]},
        {"search": ["alice", "e/m1"]},
        {"tags": ["odd"], "search": ["m1"]},
        {"tags": ["none"]},
    ]
    few = [listed(store, **filters) for filters in filter_sets]
    monkeypatch.setattr(listing, "_FEW", 2)
    assert [listed(store, **filters) for filters in filter_sets] == few
    assert [len(names) for names in few] == [6, 3, 2, 0]
    assert store.listing.tag_counts("model")[0] == ("all", 12)


def test_revisions(store: Store, repo: Repo, commit: Committer) -> None:
    first = store.revisions.resolve(repo, "HEAD")
    second = commit(repo, small("a"))
    store.refs.create_branch(repo, "dev/x", first.oid[:8])
    store.refs.create_tag(repo, "v1", "dev/x", "hello")
    for name in ("dev/x", "refs/heads/dev/x", "v1", "refs/tags/v1", first.oid, first.oid[:7], first.oid.upper()):
        assert store.revisions.resolve(repo, name) == first
    for name in ("HEAD", "main", "refs/heads/main", second.oid):
        assert store.revisions.resolve(repo, name) == second
    for name in ("none", first.oid[:6], "0" * 40, "refs/x", "", "refs/heads/", "main\0", "%00", "x" * 5000):
        with pytest.raises(HubHTTPError, match="Invalid rev id") as caught:
            store.revisions.resolve(repo, name)
        assert caught.value.code == "RevisionNotFound"
    assert [(ref.name, ref.ref, ref.message) for ref in store.refs.of_repo(repo)] == [
        ("main", "refs/heads/main", None), ("dev/x", "refs/heads/dev/x", None), ("v1", "refs/tags/v1", "hello"),
    ]  # fmt: skip
    for call, words, status in (
        (lambda: store.refs.create_branch(repo, "main", "main"), "Reference refs/heads/main already exists", 409),
        (lambda: store.refs.create_branch(repo, "dev", "main"), "Reference refs/heads/dev/x already exists", 409),
        (lambda: store.refs.create_branch(repo, "dev/x/y", "main"), "Reference refs/heads/dev/x already exists", 409),
        (lambda: store.refs.create_branch(repo, "new", "none"), "Invalid rev id", 404),
        (lambda: store.refs.create_tag(repo, "v1", "main", None), "Reference refs/tags/v1 already exists", 409),
        (lambda: store.refs.delete_branch(repo, "main"), "Cannot delete refs/heads/main", 403),
        (lambda: store.refs.delete_branch(repo, "v1"), "Invalid rev id", 404),
        (lambda: store.refs.delete_tag(repo, "main"), "Invalid rev id", 404),
        (lambda: commit(repo, small("b"), ref="refs/tags/v1"), "Invalid rev id", 404),
        (lambda: commit(repo, small("b"), ref=first.oid), "Invalid rev id", 404),
    ):
        with pytest.raises(HubHTTPError, match=words) as caught:
            call()
        assert caught.value.status == status
    store.refs.delete_branch(repo, "dev/x")
    store.refs.delete_tag(repo, "v1")
    assert len(store.refs.of_repo(repo)) == 1


def test_pages_of_commits_across_forks(store: Store, repo: Repo, commit: Committer) -> None:
    for number in range(5):
        commit(repo, small("a", str(number)), title=f"main {number}")
    store.refs.create_branch(repo, "side", "main")
    commit(repo, small("a", "main"), title="main 5")
    for number in range(4):
        commit(repo, small("b", str(number)), title=f"side {number}", ref="side")
    titles, after = [], None
    while True:
        page, after, total = store.revisions.log(repo, "side", after=after, limit=3)
        titles += [found.title for found in page]
        if after is None:
            break
    assert titles == [*(f"side {n}" for n in (3, 2, 1, 0)), *(f"main {n}" for n in (4, 3, 2, 1, 0)), "initial commit"]
    assert total == len(titles)
    squashed = store.commits.squash(repo, "side", "all in one", "alice")
    assert ([c.title for c in store.revisions.log(repo, "side")[0]], squashed.parent) == (["all in one"], None)
    assert paths(store, repo, "side") == {"a", "b"}
    commit(repo, small("c"), ref="side")
    assert store.revisions.log(repo, "side")[2] == 2
    with pytest.raises(HubHTTPError):
        store.revisions.log(repo, "main", after="x")


def test_a_duplicate_is_independent(store: Store, repo: Repo, alice: Account, bob: Account, commit: Committer) -> None:
    commit(repo, small("README.md", "---\nlicense: mit\n---\n"), upload(store, alice, b"large"))
    commit(repo, *(small(f"many/{n:04}-with-a-long-name") for n in range(200)))
    commit(repo, small("many/x"))
    store.refs.create_branch(repo, "side", "main")
    commit(repo, small("main-only"))
    commit(repo, small("many/side"), ref="side")
    store.refs.create_tag(repo, "v1", "side", "message")
    store.discussions.open(repo, "Title", "", "bob", pull_request=True)
    new = store.repos.duplicate(repo, "bob/copy", private=True, author="bob")
    assert new.private
    assert [(ref.ref, ref.oid) for ref in store.refs.of_repo(new)] == [
        (ref.ref, ref.oid) for ref in store.refs.of_repo(repo) if not ref.ref.startswith("refs/pr/")
    ]
    for revision in ("main", "side", "v1"):
        assert store.revisions.log(new, revision) == store.revisions.log(repo, revision)
        head = store.revisions.resolve(repo, revision)
        listings = [store.revisions.tree(one, head, "", recursive=True, with_last_commit=True) for one in (repo, new)]
        assert listings[0] == listings[1]
    assert store.repos.card(store.repos.find("model", "bob/copy")) == {"license": "mit"}
    assert len(store.listing.repos("model", tags=["license:mit"], viewer=bob, limit=5)[0]) == 2
    commit(new, small("many/new"), by=bob)
    assert "many/new" not in paths(store, repo)
    store.repos.delete(repo)
    assert store.revisions.content(new, head, store.revisions.entry(new, head, "model.bin")).read_bytes() == b"large"
    assert store.maintenance.gc(-1)["blobs"] == 0
    assert store.maintenance.fsck() == []

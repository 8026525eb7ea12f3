"""Valid and invalid names."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store
from seqhub.server.store.names import check_path, check_ref_name, check_repo_name
from seqhub.server.types import Account, Delete, Repo
from tests.server.store.conftest import Committer, paths, small

BAD_PATHS = [
    "",
    "/",
    "/etc/passwd",
    "a//b",
    "a/",
    ".",
    "..",
    "./a",
    "a/./b",
    "../a",
    "a/../b",
    "a/..",
    "..\\ddd",
    "a\\..\\b",
    "a\\b",
    "folder/..\\..\\..\\file",
    ".git",
    ".git/config",
    "a/.GIT/hooks/post-checkout",
    ".Git",
    ".git.",
    ".git ",
    ".git::$DATA",
    "git~1/x",
    "GIT~1",
    ".g\u200cit",
    ".gi\u200dt/x",
    "\ufeff.git",
    "C:/x",
    "c:x",
    "a\0b",
    "a\nb",
    "a\x7f",
    "a\x85",
    "\ud800",
    "x" * 256,
    "é" * 128,
    "/".join(["x" * 100] * 11),
    "/".join(["x"] * 65),
]
GOOD_PATHS = [
    "a",
    ".gitattributes",
    ".gitignore",
    "a/.github/x",
    "...",
    "a..b",
    "ünï",
    "a b",
    "日本語/ファイル",
    "git",
    "a.git",
    "x" * 255,
    "/".join(["x"] * 64),
    "-a",
    "aux",
    "%00",
    "a'b\"c",
    "💾",
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
def test_invalid_paths(path: str) -> None:
    with pytest.raises(HubHTTPError, match="Invalid path") as caught:
        check_path(path)
    assert caught.value.status == 422
    assert caught.value.message.isascii()  # it is also sent in a header
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("path", GOOD_PATHS, ids=ascii)
def test_valid_paths(path: str) -> None:
    assert check_path(path) == path


@given(st.text())
def test_no_path_raises_anything_else(path: str) -> None:
    with suppress(HubHTTPError):
        assert check_path(check_path(path)) == check_path(path)


def test_unicode_twins(store: Store, repo: Repo, commit: Committer) -> None:
    with pytest.raises(HubHTTPError, match="differ only in the Unicode normalisation"):
        commit(repo, small("caf\u00e9"), small("cafe\u0301"))
    commit(repo, small("cafe\u0301", "one"))
    head = commit(repo, small("caf\u00e9", "two"))
    assert paths(store, repo) == {"caf\u00e9"}
    assert store.revisions.entry(repo, head, "cafe\u0301").path == "caf\u00e9"
    commit(repo, Delete("cafe\u0301", False))
    assert paths(store, repo) == set()


def test_invalid_paths_are_absent(store: Store, repo: Repo) -> None:
    head = store.revisions.resolve(repo, "main")
    for path in BAD_PATHS:
        assert store.revisions.entry(repo, head, path) is None
        if path.strip("/"):
            with pytest.raises(HubHTTPError) as caught:
                store.revisions.tree(repo, head, path, recursive=True)
            assert caught.value.code == "EntryNotFound"


BAD_REPOS = [
    "",
    "a",
    "a/b/c",
    "/a",
    "a/",
    "a/-b",
    "a/b-",
    "a/.b",
    "a/b.",
    "a/b--c",
    "a/b..c",
    "a/b.git",
    "a/b.GIT",
    "a/b c",
    "a/é",
    "a/" + "x" * 97,
    "a/revision",
    "a/Tree",
    "resolve/a",
    "datasets/x",
    "api/x",
    "a/b\n",
    "a/..",
    "a/b%2f",
]


@pytest.mark.parametrize("name", BAD_REPOS)
def test_invalid_repository_names(store: Store, alice: Account, repo: Repo, name: str) -> None:
    for call in (
        lambda: check_repo_name(name),
        lambda: store.repos.create("model", name, author="alice"),
        lambda: store.repos.move(repo, name),
    ):
        with pytest.raises(HubHTTPError) as caught:
            call()
        assert caught.value.status == 400
    assert store.repos.find("model", "alice/lstm") == repo


def test_valid_repository_names() -> None:
    for name in ("a/b", "A_1/x.y-z", "__DUMMY_USER__/" + "x" * 96, "a/git", "0/0"):
        assert check_repo_name(name) == tuple(name.split("/"))


BAD_REFS = [
    "",
    "HEAD",
    "@",
    "refs/pr/5",
    "refs/heads/x",
    "a b",
    "a..b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[",
    "a\\b",
    "a/",
    "/a",
    "a//b",
    "a.lock",
    "a/b.lock/c",
    ".a",
    "a/.b",
    "a.",
    "a@{1}",
    "a\x00",
    "0" * 40,
    "x" * 256,
    "-a",
]


@pytest.mark.parametrize("name", BAD_REFS)
def test_invalid_branches_and_tags(store: Store, repo: Repo, name: str) -> None:
    with pytest.raises(HubHTTPError, match="Invalid reference for a branch") as caught:
        store.refs.create_branch(repo, name, "main")
    assert caught.value.status == 400
    with pytest.raises(HubHTTPError, match="Invalid reference for a tag"):
        store.refs.create_tag(repo, name, "main", None)


@given(st.text(max_size=12))
def test_git_accepts_all_valid_ref_names(name: str) -> None:
    import subprocess

    try:
        check_ref_name(name, "branch")
    except HubHTTPError:
        return
    assert subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"], timeout=60).returncode == 0

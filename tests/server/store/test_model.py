"""Random sequences of operations, compared with a plain dict for each branch."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store, index
from seqhub.server.types import AddSmall, Commit, CopyFile, Delete, Operation, Repo
from tests.server.store.test_git import run_git

PATHS = ["a", "b", "a/b", "a/c", "a/b/c", "a.b", "a-b", "a0", "d/e/f/g", "d/e"]
BRANCHES = ["main", "one", "two"]
path = st.sampled_from(PATHS)
operation = st.one_of(
    st.builds(AddSmall, path, st.sampled_from([b"", b"x", b"y"])),
    st.builds(Delete, path, st.booleans()),
    st.builds(CopyFile, path, path, st.sampled_from([None, "one", "main"])),
)
step = st.one_of(
    st.tuples(st.just("commit"), st.sampled_from(BRANCHES), st.lists(operation, min_size=1, max_size=4)),
    st.tuples(st.just("branch"), st.sampled_from(BRANCHES), st.sampled_from(BRANCHES)),
    st.tuples(st.just("delete"), st.sampled_from(BRANCHES[1:]), st.none()),
    st.tuples(st.just("squash"), st.sampled_from(BRANCHES), st.none()),
)
Files = dict[str, bytes]


def expected_files(files: Files, operations: list[Operation], branches: dict[str, Files]) -> Files | None:
    """Return the files after the operations; None if one of them is not possible."""
    after = dict(files)
    for operation in operations:
        if isinstance(operation, AddSmall):
            after[operation.path] = operation.content
        elif isinstance(operation, CopyFile):
            source = files if operation.source_revision is None else branches.get(operation.source_revision, {})
            if operation.source not in source:
                return None
            after[operation.path] = source[operation.source]
        elif isinstance(operation, Delete):
            below = [name for name in after if name.startswith(operation.path + "/")]
            # A folder that an earlier operation has emptied may be deleted again.
            was = [name for name in files if name.startswith(operation.path + "/")]
            # The official client deletes a folder by its name alone; a file added under that name goes first.
            named = bool(was) and operation.path not in after
            if (operation.is_folder or named) and (below or was):
                after = {name: content for name, content in after.items() if name not in below}
            elif not operation.is_folder and operation.path in after:
                del after[operation.path]
            else:
                return None
    if any(name.startswith(other + "/") for name in after for other in after):
        return None
    return after


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=4, max_size=14), st.integers(2, 9))
def test_branches_equal_plain_dicts(tmp_path_factory: pytest.TempPathFactory, steps: list, deep: int) -> None:
    folder: Path = tmp_path_factory.mktemp("model")
    store = Store(folder / "hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "DEEP", deep)
        check_steps(store, steps, folder)
    store.close()


def check_steps(store: Store, steps: list, folder: Path) -> None:
    alice = store.accounts.create("alice")
    repo = store.repos.create("model", "alice/x", author="alice")
    first = store.revisions.resolve(repo, "main")
    start = {
        ".gitattributes": store.revisions.content(repo, first, store.revisions.entry(repo, first, ".gitattributes"))
    }
    branches: dict[str, Files] = {"main": start}
    seen: dict[str, Files] = {first.oid: start}
    for verb, branch, more in steps:
        try:
            if verb == "branch":
                store.refs.create_branch(repo, branch, more)
                branches[branch] = branches[more]
            elif verb == "delete":
                store.refs.delete_branch(repo, branch)
                del branches[branch]
            elif verb == "squash":
                squashed = store.commits.squash(repo, branch, "squash", "alice")
                seen[squashed.oid] = branches[branch]
            else:
                wanted = expected_files(branches[branch], more, branches) if branch in branches else None
                before = len(store.revisions.log(repo, branch)[0]) if branch in branches else 0
                commit = store.commits.create(
                    repo, branch, more, expected_parent=None, author="alice", title="t", uploader=alice
                )
                assert wanted is not None, (branches[branch], more)
                assert len(store.revisions.log(repo, branch)[0]) == before + (wanted != branches[branch])
                branches[branch] = seen[commit.oid] = wanted
        except HubHTTPError as error:
            impossible = verb != "commit" or branch not in branches or wanted is None
            if error.status not in (404, 409, 422) or not impossible:
                raise
    for oid, files in seen.items():
        commit = store.revisions.resolve(repo, oid)
        entries, _ = store.revisions.tree(repo, commit, "", recursive=True, with_last_commit=True)
        assert [entry.path for entry in entries] == sorted(entry.path for entry in entries)
        assert {e.path: store.revisions.content(repo, commit, e) for e in entries if not e.is_folder} == files
        folders = {"/".join(name.split("/")[:depth]) for name in files for depth in range(1, name.count("/") + 1)}
        assert {entry.path for entry in entries if entry.is_folder} == folders
        for inside in ["", *folders]:
            direct = {entry.path for entry in entries if entry.path.rpartition("/")[0] == inside}
            pages, after = set(), None
            while True:
                page, after = store.revisions.tree(repo, commit, inside, recursive=False, after=after, limit=1)
                pages |= {entry.path for entry in page}
                if after is None:
                    break
            assert pages == direct
    assert {ref.name for ref in store.refs.of_repo(repo)} == set(branches)
    for branch in branches:
        check_logs_of_paths(store, repo, branch)
    assert store.maintenance.fsck() == []
    store.git.export(repo, folder / "git")
    assert "error" not in run_git(folder / "git", "fsck", "--strict")


def check_logs_of_paths(store: Store, repo: Repo, branch: str) -> None:
    """Compare the commits that changed each path with those in which it differs from the commit before."""
    commits, _, _ = store.revisions.log(repo, branch, limit=1000)
    for path in [*PATHS, "d", "d/e/f", "absent", "../a", ".gitattributes"]:
        states = [state_of(store, repo, commit, path) for commit in commits] + [None]
        wanted = [commit for commit, now, before in zip(commits, states, states[1:], strict=False) if now != before]
        if not wanted:
            with pytest.raises(HubHTTPError, match="Entry not found"):
                store.revisions.log_of_path(repo, branch, path)
            continue
        found, after = store.revisions.log_of_path(repo, branch, path, limit=2)
        while after is not None:
            page, after = store.revisions.log_of_path(repo, branch, path, after=after, limit=2)
            found += page
        assert [commit.oid for commit in found] == [commit.oid for commit in wanted], (branch, path)


def state_of(store: Store, repo: Repo, commit: Commit, path: str) -> tuple[bool, str] | None:
    entry = store.revisions.entry(repo, commit, path)
    return (entry.is_folder, entry.oid) if entry else None

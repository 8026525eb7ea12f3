"""Ids and bytes of objects, compared with git."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqhub.server import git
from seqhub.server.store import Store
from seqhub.server.types import Account, AddSmall, Delete, Repo
from tests.server.store.conftest import Committer, small, upload


def run_git(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True)
    return done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize("content", [b"", b"x", b"\0\xff" * 5000])
def test_blob_ids_are_those_of_hash_object(tmp_path: Path, content: bytes) -> None:
    assert git.blob_id(content) == run_git(tmp_path, "hash-object", "--stdin", data=content).strip()


names = st.text("ab.-0", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
entries = st.dictionaries(names.map(str.encode), st.sampled_from([git.FILE_MODE, git.FOLDER_MODE]), max_size=12)


@given(entries, entries, st.lists(names.map(str.encode), max_size=4))
def test_an_edited_tree_equals_a_new_tree(old: dict, new: dict, removed: list[bytes]) -> None:
    oid = bytes(range(20))
    before = git.apply_edits(b"", git.edit_tree(b"", {name: (mode, oid) for name, mode in old.items()}))
    changes: dict = {name: None for name in removed} | {name: (mode, oid[::-1]) for name, mode in new.items()}
    after = git.apply_edits(before, git.edit_tree(before, changes))
    kept = {name: (mode, oid) for name, mode in old.items() if name not in changes}
    wanted = kept | {name: change for name, change in changes.items() if change}
    assert after == git.apply_edits(b"", git.edit_tree(b"", wanted))
    order = [name + b"/" * (mode == git.FOLDER_MODE) for mode, name, _ in git.parse_tree(after)]
    assert order == sorted(order)
    assert {name: (mode, id) for mode, name, id in git.parse_tree(after)} == wanted


def test_git_fsck_accepts_an_exported_repository(
    store: Store, repo: Repo, alice: Account, commit: Committer, tmp_path: Path
) -> None:
    commit(repo, *(small(f"folder/{number}/file.{number}.txt", str(number)) for number in range(60)))
    commit(repo, small("folder.txt"), small("folder-a"), small("folder0"), upload(store, alice, b"large" * 1000))
    for number in range(40):  # enough that trees become edits of edits of edits
        commit(repo, *(small(f"many/{number:03}-{i:03}", f"{number}") for i in range(60)))
    commit(
        repo, Delete("folder/3", is_folder=True), title="Löschen\0<x>\n", author=" <Evil>\n. ", message="two\n\nparts"
    )
    store.refs.create_branch(repo, "other/branch", "main")
    commit(repo, small("folder/3", "now a file"), ref="other/branch")
    store.refs.create_tag(repo, "v1", "main", "an annotated tag")
    store.refs.create_tag(repo, "v2", "other/branch")
    store.commits.squash(repo, "main", "squashed", "alice")
    store.git.export(repo, tmp_path / "git")
    assert "error" not in run_git(tmp_path / "git", "fsck", "--strict", "--full")
    head = store.revisions.resolve(repo, "main")
    listing = run_git(tmp_path / "git", "ls-tree", "-r", "-t", "main").splitlines()
    ours = store.revisions.tree(repo, head, "", recursive=True, limit=100_000)[0]
    theirs = {line.split("\t")[1]: line.split()[2] for line in listing}
    assert theirs == {entry.path: entry.oid for entry in ours}
    assert run_git(tmp_path / "git", "rev-parse", "v1^{commit}", "v2").split() == [
        store.revisions.resolve(repo, name).oid for name in ("v1", "v2")
    ]
    assert run_git(tmp_path / "git", "show", "main:model.bin").startswith("version https://git-lfs")
    assert store.maintenance.fsck() == []


part = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), max_size=8)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(part, min_size=1, max_size=3).map("/".join), min_size=1, max_size=12))
def test_git_accepts_all_valid_paths(tmp_path_factory: pytest.TempPathFactory, tried: list[str]) -> None:
    from seqhub.server.errors import HubHTTPError

    folder = tmp_path_factory.mktemp("paths")
    store = Store(folder / "hub")
    alice = store.accounts.create("alice")
    repo = store.repos.create("model", "alice/x", author="alice")
    taken, statuses = 0, {422}
    for path in [*tried, "ok/.gitx", "a/.git .txt"]:
        try:
            store.commits.create(
                repo, "main", [AddSmall(path, b"x")], expected_parent=None, author="a", title="", uploader=alice
            )
            taken += 1
        except HubHTTPError as error:
            statuses.add(error.status)
    assert taken >= 1
    assert statuses == {422}
    store.git.export(repo, folder / "git")
    assert "error" not in run_git(folder / "git", "fsck", "--strict")
    store.close()

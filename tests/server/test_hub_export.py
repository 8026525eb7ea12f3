"""Export of repositories to another Hub: files, history, and continuation after an interruption."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.server.serve import Running, running
from seqhub.server.store import Store
from seqhub.server.types import AddLarge, AddSmall, Delete, Operation, Repo

LIMIT = 60


def commit(store: Store, repo: Repo, title: str, *operations: Operation, branch: str = "main") -> str:
    ada = store.accounts.find("ada")
    assert ada is not None
    made = store.commits.create(
        repo,
        f"refs/heads/{branch}",
        operations,
        expected_parent=None,
        author="ada",
        title=title,
        message="",
        uploader=ada,
    )
    return made.oid


def filled(store: Store) -> Repo:
    store.accounts.create("ada")
    repo = store.repos.create("dataset", "ada/d", private=True, author="ada")
    ada = store.accounts.find("ada")
    assert ada is not None
    writer = store.blobs.begin()
    writer.write(b"\0" * 300_000)
    sha256, size = writer.finish(None, None, ada)
    commit(store, repo, "one", AddSmall("a.txt", b"1"), AddSmall("b/c.txt", b"2"), AddLarge("big.bin", sha256, size))
    two = commit(store, repo, "two", Delete("a.txt", is_folder=False), AddSmall("b/c.txt", b"3"))
    store.refs.create_tag(repo, "v1", two, "first release")
    store.refs.create_branch(repo, "side", two)
    commit(store, repo, "aside", AddSmall("side.txt", b"s"), branch="side")
    commit(store, repo, "three", AddSmall("ünï.txt", b"x"))
    store.repos.create("model", "ada/m", author="ada")
    return repo


def command(root: Path, hub: Running, *more: str) -> list[str]:
    line = "from seqhub.cli import main; main()"
    return [sys.executable, "-c", line, "hub", "export", "--root", str(root), "--to", hub.url, *more]


def run(root: Path, hub: Running, home: Path, *more: str, code: int = 0, note: str = "") -> str:
    environment = os.environ | hub.environment(home, token=hub.token("ada"))
    done = subprocess.run(
        command(root, hub, "--json", *more),
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert note in done.stderr
    return done.stdout if code == 0 else done.stderr


def titles(store: Store, branch: str) -> list[str]:
    repo = store.repos.find("dataset", "ada/d")
    assert repo is not None
    return [one.title for one in store.revisions.log(repo, branch)[0]][::-1]


def files(store: Store, revision: str) -> dict[str, tuple[str, int]]:
    repo = store.repos.find("dataset", "ada/d")
    assert repo is not None
    page, _ = store.revisions.tree(repo, store.revisions.resolve(repo, revision), "", recursive=True)
    return {entry.path: (entry.oid, entry.size) for entry in page if not entry.is_folder}


def test_history_is_exported_and_continued(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    try:
        repo = filled(source)
        with running(tmp_path / "target") as hub:
            first = json.loads(run(source.root, hub, tmp_path / "home"))
            assert [one["repo"] for one in first] == ["model:ada/m", "dataset:ada/d"]
            for revision in ("main", "side", "v1"):
                assert files(hub.store, revision) == files(source, revision), revision
            assert titles(hub.store, "main")[1:] == ["one", "two", "three"]
            assert titles(hub.store, "side")[1:] == ["one", "two", "aside"]
            there = hub.store.repos.find("dataset", "ada/d")
            assert there is not None
            assert there.private

            commit(source, repo, "four", AddSmall("four.txt", b"4"))
            source.refs.create_tag(repo, "v2", "main", None)
            again = json.loads(run(source.root, hub, tmp_path / "home", "--repo", "dataset:ada/D"))
            assert [(one["revisions"], one["tags"]) for one in again] == [(1, 1)]
            assert titles(hub.store, "main")[1:] == ["one", "two", "three", "four"]
            assert files(hub.store, "v2") == files(source, "main")

            hub_ada = hub.store.accounts.find("ada")
            assert hub_ada is not None
            commit(hub.store, there, "foreign", AddSmall("x", b"x"))
            assert "revisions that do not come from an export" in run(
                source.root, hub, tmp_path / "home", "--repo", "dataset:ada/d", code=2
            )
    finally:
        source.close()


def test_items_that_are_not_exported_are_counted(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    try:
        repo = filled(source)
        bob = source.accounts.create("bob")
        source.discussions.open(repo, "why?", "so", "bob", pull_request=False)
        source.discussions.open(repo, "how?", "", "bob", pull_request=False)
        source.discussions.propose(repo, [AddSmall("new.txt", b"n")], author="bob", title="new", uploader=bob)
        source.likes.add(repo, bob)
        source.access_requests.create(repo, bob)
        with running(tmp_path / "target") as hub:
            note = "not copied, since the other Hub would attribute them to you: "
            counts = "1 pull request, 2 discussions, 1 like, 1 access request"
            done = json.loads(run(source.root, hub, tmp_path / "home", note=note + counts))
            left = {"pull requests": 1, "discussions": 2, "likes": 1, "access requests": 1}
            assert [one["left_behind"] for one in done] == [{}, left]
            there = hub.store.repos.find("dataset", "ada/d")
            assert there is not None
            assert [ref.ref for ref in hub.store.refs.of_repo(there)] == [
                "refs/heads/main",
                "refs/heads/side",
                "refs/tags/v1",
            ]
    finally:
        source.close()


@pytest.mark.slow
def test_tags_of_squashed_history_are_exported(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    try:
        repo = filled(source)
        source.refs.delete_branch(repo, "side")
        source.commits.squash(repo, "main", "all at once", "ada")
        source.refs.create_tag(repo, "v2", "main", None)
        with running(tmp_path / "target") as hub:
            for sent in (4, 0):  # a squashed revision, and three of the tag
                done = json.loads(run(source.root, hub, tmp_path / "home", "--repo", "dataset:ada/d"))
                assert done[0]["revisions"] == sent
            for tag in ("v1", "v2"):
                assert files(hub.store, tag) == files(source, tag), tag
            assert titles(hub.store, "v1")[-2:] == ["one", "two"]
            there = hub.store.repos.find("dataset", "ada/d")
            assert there is not None
            assert [ref.ref for ref in hub.store.refs.of_repo(there)] == [
                "refs/heads/main",
                "refs/tags/v1",
                "refs/tags/v2",
            ]
    finally:
        source.close()


@pytest.mark.slow
def test_export_of_a_space_that_the_target_creates_with_a_card(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    try:
        source.accounts.create("ada")
        repo = source.repos.create("space", "ada/s", sdk="static", author="ada")
        commit(source, repo, "page", AddSmall("index.html", b"<p>"))
        with running(tmp_path / "target") as hub:
            for sent in (2, 0):
                assert json.loads(run(source.root, hub, tmp_path / "home"))[0]["revisions"] == sent
    finally:
        source.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_export_continues_after_sigkill(tmp_path: Path) -> None:
    """Kill the export after each third revision, while the next one is sent, until a run finishes."""
    source = Store(tmp_path / "source")
    try:
        repo = filled(source)
        ada = source.accounts.find("ada")
        assert ada is not None
        for number in range(12):
            writer = source.blobs.begin()
            writer.write(os.urandom(200_000))
            commit(source, repo, f"large {number}", AddLarge("big.bin", *writer.finish(None, None, ada)))
        with running(tmp_path / "target") as hub:
            environment = os.environ | hub.environment(tmp_path / "home", token=hub.token("ada"))
            environment["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # so that each line is about a revision
            kills = 0
            while kills < 10 and not killed_or_done(command(source.root, hub), environment, lines=3):
                kills += 1
            assert 1 <= kills < 10
            for revision in ("main", "side", "v1"):
                assert files(hub.store, revision) == files(source, revision), revision
            expected = ["one", "two", "three", *(f"large {number}" for number in range(12))]
            assert titles(hub.store, "main")[1:] == expected
            assert titles(hub.store, "side")[1:] == ["one", "two", "aside"]
            assert all(one["revisions"] == 0 for one in json.loads(run(source.root, hub, tmp_path / "home")))
    finally:
        source.close()


def killed_or_done(line: list[str], environment: dict[str, str], lines: int) -> bool:
    """Return whether a command succeeded before it printed `lines` lines; otherwise it is killed there."""
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stderr is not None
            lines_read = [text for _, text in zip(range(lines), child.stderr, strict=False)]
            if len(lines_read) == lines:
                return False
            assert child.wait(LIMIT) == 0, lines_read
            return True
        finally:
            child.kill()


def test_errors_are_one_line(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    source.close()
    with running(tmp_path / "target") as hub:
        output = run(source.root, hub, tmp_path / "home", "--repo", "model:ada/none", code=2)
        assert output == "error: no repository 'model:ada/none'; allowed: kind:namespace/name, as in model:ada/x\n"

"""A Hub's repositories on another Hub: same files, same history, and on again after a stop."""

import json
import os
import subprocess
import sys
from pathlib import Path

from seqhub.server.model import AddLarge, AddSmall, Delete, Operation, Repo
from seqhub.server.serve import Running, running
from seqhub.server.store import Store

LIMIT = 60


def commit(store: Store, repo: Repo, title: str, *operations: Operation, branch: str = "main") -> str:
    ada = store.account("ada")
    assert ada is not None
    made = store.commit(
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
    store.create_account("ada")
    repo = store.create_repo("dataset", "ada/d", private=True, author="ada")
    ada = store.account("ada")
    assert ada is not None
    writer = store.begin_blob()
    writer.write(b"\0" * 300_000)
    sha256, size = writer.finish(None, None, ada)
    commit(store, repo, "one", AddSmall("a.txt", b"1"), AddSmall("b/c.txt", b"2"), AddLarge("big.bin", sha256, size))
    two = commit(store, repo, "two", Delete("a.txt", is_folder=False), AddSmall("b/c.txt", b"3"))
    store.create_tag(repo, "v1", two, "first release")
    store.create_branch(repo, "side", two)
    commit(store, repo, "aside", AddSmall("side.txt", b"s"), branch="side")
    commit(store, repo, "three", AddSmall("ünï.txt", b"x"))
    store.create_repo("model", "ada/m", author="ada")
    return repo


def run(root: Path, hub: Running, home: Path, *more: str, code: int = 0) -> str:
    line = [
        "-c",
        "from seqhub.cli import main; main()",
        "hub",
        "export",
        "--root",
        str(root),
        "--to",
        hub.url,
        "--json",
    ]
    environment = os.environ | hub.environment(home, token=hub.token("ada"))
    done = subprocess.run(
        [sys.executable, *line, *more], env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def titles(store: Store, branch: str) -> list[str]:
    repo = store.repo("dataset", "ada/d")
    assert repo is not None
    return [one.title for one in store.commits(repo, branch)[0]][::-1]


def files(store: Store, revision: str) -> dict[str, tuple[str, int]]:
    repo = store.repo("dataset", "ada/d")
    assert repo is not None
    page, _ = store.tree(repo, store.resolve(repo, revision), "", recursive=True)
    return {entry.path: (entry.oid, entry.size) for entry in page if not entry.is_folder}


def test_history_arrives_and_goes_on(tmp_path: Path) -> None:
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
            there = hub.store.repo("dataset", "ada/d")
            assert there is not None
            assert there.private

            commit(source, repo, "four", AddSmall("four.txt", b"4"))
            source.create_tag(repo, "v2", "main", None)
            again = json.loads(run(source.root, hub, tmp_path / "home", "--repo", "dataset:ada/D"))
            assert [(one["revisions"], one["tags"]) for one in again] == [(1, 1)]
            assert titles(hub.store, "main")[1:] == ["one", "two", "three", "four"]
            assert files(hub.store, "v2") == files(source, "main")

            hub_ada = hub.store.account("ada")
            assert hub_ada is not None
            commit(hub.store, there, "foreign", AddSmall("x", b"x"))
            assert "no export made" in run(source.root, hub, tmp_path / "home", "--repo", "dataset:ada/d", code=2)
    finally:
        source.close()


def test_mistakes_take_one_line(tmp_path: Path) -> None:
    source = Store(tmp_path / "source")
    source.close()
    with running(tmp_path / "target") as hub:
        said = run(source.root, hub, tmp_path / "home", "--repo", "model:ada/none", code=2)
        assert said == "error: no repository 'model:ada/none'; allowed: kind:namespace/name, as in model:ada/x\n"

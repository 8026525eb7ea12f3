"""State machine that compares a Hub, used through huggingface_hub, with a model of plain dicts.

Run by test_machine.py in a process of its own: `python hub_state_machine.py EXAMPLES STEPS`. HF_ENDPOINT and HF_TOKEN
must be set.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

KINDS = ["model", "dataset"]
NAMES = ["one", "one", "two"]  # most steps should use results of earlier ones
PATHS = ["a.txt", "b.txt", "d/a.txt", "d/b.bin", "d/e/c.txt", "d", "d/e"]
CONTENTS = [b"x", b"y", b"", b"z" * 5000, b"\0binary", bytes(range(256)) * 50]
BRANCHES = ["main", "main", "dev", "feature/new"]
TAGS = ["v1", "v2"]
Files = dict[str, bytes]

api = HfApi()
numbers = count()


@dataclass
class Branch:
    files: Files
    commits: list[str]  # oids, oldest first; a branch begins with those of its origin


@dataclass
class Repository:
    branches: dict[str, Branch]
    tags: dict[str, Branch] = field(default_factory=dict)

    def revision(self, name: str) -> Branch | None:
        return self.branches.get(name) or self.tags.get(name)


def after(files: Files, adds: Files, deletes: set[str]) -> Files | None:
    """Return the files after a commit; None if it is invalid. Deleting a folder's path deletes everything below it."""
    new = files | adds
    for path in deletes:
        if path in files:
            del new[path]
        elif any(name.startswith(f"{path}/") for name in files):
            new = {name: content for name, content in new.items() if not name.startswith(f"{path}/")}
        else:
            return None
    return None if any(path.startswith(f"{other}/") for path in new for other in new) else new


class Clients(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"ada/e{next(numbers)}"
        self.kind = ""
        self.repos: dict[str, Repository] = {}
        self.moved: dict[str, Repository] = {}  # old names that redirect

    def call(self, method: Callable[..., Any], *arguments: Any, fails: bool | int = False, **named: Any) -> Any:
        """Call a method of the client and check that it fails with a 4xx error, with a given status, or not at all."""
        try:
            answer, error = method(*arguments, repo_type=self.kind, **named), None
        except HfHubHTTPError as caught:
            answer, error = None, caught
        if fails is False:
            assert error is None, error
        else:
            assert error is not None, f"{method.__name__}{arguments}{named} should have failed"
            status = error.response.status_code
            assert status == fails if fails is not True else 400 <= status < 500, error
            assert error.response.headers["X-Error-Message"]
            assert error.response.headers["X-Error-Code"]
        return answer

    def id(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def found(self, name: str) -> Repository | None:
        """Return a repository by its name or a former name."""
        return self.repos.get(name) or self.moved.get(name)

    @initialize(kind=st.sampled_from(KINDS))
    def begin(self, kind: str) -> None:
        self.kind = kind
        self.create("one")

    @rule(name=st.sampled_from(NAMES))
    def create(self, name: str) -> None:
        self.call(api.create_repo, self.id(name), fails=409 if name in self.repos else False)
        if name not in self.repos:
            self.moved.pop(name, None)
            first = api.list_repo_commits(self.id(name), repo_type=self.kind)
            content = Path(api.hf_hub_download(self.id(name), ".gitattributes", repo_type=self.kind)).read_bytes()
            self.repos[name] = Repository({"main": Branch({".gitattributes": content}, [first[0].commit_id])})

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        gone = self.repos.pop(name, None)
        if gone is not None or name not in self.moved:
            self.call(api.delete_repo, self.id(name), fails=gone is None and 404)
        self.moved = {key: repo for key, repo in self.moved.items() if repo is not gone}

    @precondition(lambda self: self.repos)
    @rule(name=st.sampled_from(NAMES), new=st.sampled_from(NAMES))
    def move(self, name: str, new: str) -> None:
        here, there = name, new
        if here not in self.repos or here == there:
            return
        fails = there in self.repos
        self.call(api.move_repo, self.id(name), self.id(new), fails=fails)
        if not fails:
            self.moved.pop(there, None)
            self.moved[here] = self.repos[there] = self.repos.pop(here)

    @rule(
        name=st.sampled_from(NAMES),
        branch=st.sampled_from(BRANCHES),
        adds=st.dictionaries(st.sampled_from(PATHS), st.sampled_from(CONTENTS), max_size=3),
        deletes=st.sets(st.sampled_from(PATHS), max_size=1),
        parent=st.sampled_from(["none", "head", "older"]),
    )
    def commit(self, name: str, branch: str, adds: Files, deletes: set[str], parent: str) -> None:
        deletes = deletes - adds.keys()
        repo = self.found(name)
        there = None if repo is None else repo.branches.get(branch)
        if not adds and not deletes:
            return
        new = None if there is None else after(there.files, adds, deletes)
        expected = None
        if there is not None and parent != "none":
            expected = there.commits[-1 if parent == "head" else 0]
        changes = new is None or there is None or new != there.files
        is_stale = there is not None and expected not in (None, there.commits[-1]) and changes
        added = [CommitOperationAdd(path, content) for path, content in adds.items()]
        deleted = [CommitOperationDelete(path, is_folder=False) for path in deletes]
        done = self.call(
            api.create_commit, self.id(name), [*added, *deleted], commit_message="change", revision=branch,
            parent_commit=expected, fails=412 if is_stale and new is not None else new is None,
        )  # fmt: skip
        if done is not None and there is not None and new is not None:
            assert (done.oid != there.commits[-1]) == changes
            there.files = new
            there.commits += [done.oid] if changes else []

    @rule(
        name=st.sampled_from(NAMES),
        branch=st.sampled_from(BRANCHES),
        revision=st.sampled_from([*BRANCHES, *TAGS]),
    )
    def branch(self, name: str, branch: str, revision: str) -> None:
        repo = self.found(name)
        start = None if repo is None else repo.revision(revision)
        exists = repo is not None and branch in repo.branches
        fails = start is None or exists
        self.call(api.create_branch, self.id(name), branch=branch, revision=revision, fails=fails)
        if repo is not None and start is not None and not exists:
            repo.branches[branch] = Branch(start.files, list(start.commits))

    @rule(name=st.sampled_from(NAMES), branch=st.sampled_from(BRANCHES))
    def delete_branch(self, name: str, branch: str) -> None:
        repo = self.found(name)
        fails = repo is None or branch == "main" or branch not in repo.branches
        self.call(api.delete_branch, self.id(name), branch=branch, fails=fails)
        if repo is not None and not fails:
            del repo.branches[branch]

    @rule(
        name=st.sampled_from(NAMES),
        tag=st.sampled_from(TAGS),
        revision=st.sampled_from(BRANCHES),
    )
    def tag(self, name: str, tag: str, revision: str) -> None:
        repo = self.found(name)
        there = None if repo is None else repo.branches.get(revision)
        fails = repo is None or there is None or tag in repo.tags
        self.call(api.create_tag, self.id(name), tag=tag, revision=revision, fails=fails)
        if repo is not None and there is not None and not fails:
            repo.tags[tag] = Branch(there.files, list(there.commits))

    @rule(name=st.sampled_from(NAMES), tag=st.sampled_from(TAGS))
    def delete_tag(self, name: str, tag: str) -> None:
        repo = self.found(name)
        fails = repo is None or tag not in repo.tags
        self.call(api.delete_tag, self.id(name), tag=tag, fails=fails)
        if repo is not None and not fails:
            del repo.tags[tag]

    @rule(
        name=st.sampled_from(NAMES),
        revision=st.sampled_from([*BRANCHES, *TAGS]),
        path=st.sampled_from(PATHS),
    )
    def download(self, name: str, revision: str, path: str) -> None:
        repo = self.found(name)
        there = None if repo is None else repo.revision(revision)
        content = None if there is None else there.files.get(path)
        fails = content is None
        local = self.call(api.hf_hub_download, self.id(name), path, revision=revision, fails=fails)
        if local is not None:
            assert Path(local).read_bytes() == content

    @rule(name=st.sampled_from(NAMES), revision=st.sampled_from([*BRANCHES, *TAGS]))
    def files(self, name: str, revision: str) -> None:
        self.list_files(name, revision)

    def list_files(self, name: str, revision: str) -> None:
        repo = self.found(name)
        there = None if repo is None else repo.revision(revision)
        items = self.call(
            lambda *given, **named: list(api.list_repo_tree(*given, **named)),
            self.id(name), revision=revision, recursive=True, fails=there is None,
        )  # fmt: skip
        if there is not None:
            sizes = {item.path: item.size for item in items if hasattr(item, "size")}
            assert sizes == {path: len(content) for path, content in there.files.items()}
            commits = api.list_repo_commits(self.id(name), repo_type=self.kind, revision=revision)
            assert [commit.commit_id for commit in commits] == there.commits[::-1]

    @invariant()
    def every_name_leads_where_it_should(self) -> None:
        for name, repo in [*self.repos.items(), *self.moved.items()]:
            refs = api.list_repo_refs(self.id(name), repo_type=self.kind)
            assert {ref.name: ref.target_commit for ref in refs.branches} == {
                branch: there.commits[-1] for branch, there in repo.branches.items()
            }
            assert {ref.name for ref in refs.tags} == repo.tags.keys()

    @invariant()
    def the_list_names_what_is_there(self) -> None:
        listed = api.list_models if self.kind == "model" else api.list_datasets
        found = {repo.id for repo in listed(author="ada") if repo.id.startswith(f"{self.prefix}-")}
        assert found == {self.id(name) for name in self.repos}

    def teardown(self) -> None:
        for name, repo in self.repos.items():
            for revision in [*repo.branches, *repo.tags]:
                self.list_files(name, revision)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("examples", type=int)
    parser.add_argument("steps", type=int)
    given = parser.parse_args()
    chosen = settings(
        max_examples=given.examples,
        stateful_step_count=given.steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # shrinking a failure would exceed the time limit
    )
    run_state_machine_as_test(Clients, settings=chosen)
    sys.stdout.write("ok\n")

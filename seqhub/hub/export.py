"""Whole repositories to another Hub, revision by revision.

Nothing is noted on this side: every revision says in its description which one it is a copy of, so an export that was
cut off goes on where the other Hub's own history ends. Pull requests, discussions and likes stay behind, and the other
Hub sets its own author and time; those of the original stand in the description.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile

from seqhub.errors import HubError
from seqhub.hub.client import hub_errors

MARK = re.compile(r"^seqhub-export: ([0-9a-f]{40})\b", re.MULTILINE)
ADVICE = "run the same command again to go on"


class Revision(NamedTuple):
    """One commit as it is told to the other Hub."""

    oid: str
    title: str
    message: str
    author: str
    date: str


class Source(Protocol):
    """One repository to export."""

    kind: Literal["model", "dataset", "space"]
    full_name: str
    private: bool
    gated: Literal["auto", "manual"] | Literal[False]
    sdk: str | None

    def branches(self) -> Sequence[str]:
        """Their names, main first."""

    def tags(self) -> Sequence[tuple[str, str, str | None]]:
        """Name, revision and message of each."""

    def history(self, branch: str) -> Sequence[Revision]:
        """Revisions of a branch, oldest first."""

    def changes(self, old: str | None, new: str) -> Mapping[str, bytes | Path | None]:
        """Contents by path; None for a file that is no longer there."""

    def sizes(self, revision: str) -> Mapping[str, int]:
        """Bytes by path."""


class Exported(NamedTuple):
    """What an export did to one repository."""

    repo: str
    revisions: int  # sent now
    branches: int
    tags: int  # made now


def export(source: Source, api: HfApi, progress: Callable[[str], None]) -> Exported:
    """Copy one repository, or what is missing of it.

    Args:
        source: The repository.
        api: A client for the other Hub.
        progress: Called with one line per revision that was sent.

    Raises:
        HubError: The other Hub refuses, or its repository holds what no export made.
    """
    with hub_errors(api, f"export {source.full_name}", ADVICE):
        return _Export(source, api, progress).run()


class _Export:
    def __init__(self, source: Source, api: HfApi, progress: Callable[[str], None]) -> None:
        self.source, self.api, self.progress = source, api, progress
        self.copies: dict[str, str] = {}  # revision here -> revision there
        self.sent = 0

    def run(self) -> Exported:
        source, api = self.source, self.api
        name, kind = source.full_name, source.kind
        api.create_repo(name, repo_type=kind, private=source.private, space_sdk=source.sdk, exist_ok=True)
        if source.gated:
            api.update_repo_settings(name, repo_type=kind, gated=source.gated)
        there = api.list_repo_refs(name, repo_type=kind)
        known = {branch.name for branch in there.branches}
        for branch in source.branches():
            self._branch(branch, exists=branch in known)
        missing = [tag for tag in source.tags() if tag[0] not in {tag.name for tag in there.tags}]
        for tag, oid, message in missing:
            if oid not in self.copies:
                raise HubError(f"{name}: tag {tag!r} points to a revision of no branch, which is not exported")
            api.create_tag(name, tag=tag, revision=self.copies[oid], tag_message=message, repo_type=kind, exist_ok=True)
        return Exported(f"{kind}:{name}", self.sent, len(source.branches()), len(missing))

    def _branch(self, branch: str, *, exists: bool) -> None:
        revisions = self.source.history(branch)
        start = self._known(revisions)
        if not exists:
            self._make(branch, None if start < 0 else self.copies[revisions[start].oid])
        else:
            start = max(start, self._found_there(branch, revisions))
        for number in range(start + 1, len(revisions)):
            old = revisions[number - 1].oid if number else None
            self.copies[revisions[number].oid] = self._send(branch, old, revisions[number])
        self._compare(branch, revisions[-1].oid)

    def _known(self, revisions: Sequence[Revision]) -> int:
        """Number of the last revision that another branch has brought over; -1 for none."""
        return max((number for number, revision in enumerate(revisions) if revision.oid in self.copies), default=-1)

    def _make(self, branch: str, start: str | None) -> None:
        """Fork where this branch forked; one without a common past starts at main and drops everything."""
        name, kind = self.source.full_name, self.source.kind
        self.api.create_branch(name, branch=branch, revision=start, repo_type=kind, exist_ok=True)

    def _found_there(self, branch: str, revisions: Sequence[Revision]) -> int:
        """Read from the other Hub what an earlier run has sent; the number of the last revision of it."""
        numbers = {revision.oid: number for number, revision in enumerate(revisions)}
        last, foreign = -1, 0
        commits = self.api.list_repo_commits(self.source.full_name, repo_type=self.source.kind, revision=branch)
        for commit in reversed(commits):  # oldest first
            mark = MARK.search(f"{commit.title}\n{commit.message}")
            if mark and mark[1] in numbers:
                last = numbers[mark[1]]
                self.copies[mark[1]] = commit.commit_id
            elif mark is None:
                foreign += 1
        if foreign > 1 or (commits and last >= 0 and not MARK.search(f"{commits[0].title}\n{commits[0].message}")):
            name = self.source.full_name
            raise HubError(f"{branch} of {name} at {self.api.endpoint} holds revisions that no export made")
        if commits and last >= 0:  # a first revision that changed nothing there has no copy of its own
            self.copies.setdefault(revisions[0].oid, commits[-1].commit_id)
        return last

    def _send(self, branch: str, old: str | None, revision: Revision) -> str:
        name, kind = self.source.full_name, self.source.kind
        changes = self.source.changes(old, revision.oid)
        operations = [_operation(path, content) for path, content in changes.items()]
        if old is None:
            there = self.api.list_repo_files(name, repo_type=kind, revision=branch)
            operations += [CommitOperationDelete(path, is_folder=False) for path in there if path not in changes]
        origin = f"seqhub-export: {revision.oid}\nby {revision.author} on {revision.date}"
        done = self.api.create_commit(
            name,
            operations,
            commit_message=revision.title or "untitled",
            commit_description=f"{revision.message}\n\n{origin}".strip(),
            repo_type=kind,
            revision=branch,
            parent_commit=self.copies[old] if old else None,
        )
        self.sent += 1
        self.progress(f"{kind}:{name} {branch} {revision.oid[:8]} {revision.title}")
        return str(done.oid)

    def _compare(self, branch: str, oid: str) -> None:
        name, kind = self.source.full_name, self.source.kind
        entries = self.api.list_repo_tree(name, repo_type=kind, revision=branch, recursive=True)
        there = {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}
        different = sorted(path for path, _ in there.items() ^ dict(self.source.sizes(oid)).items())
        if different:
            raise HubError(
                f"{branch} of {name} differs at {self.api.endpoint} after the export, first in {different[0]!r}"
            )


def _operation(path: str, content: bytes | Path | None) -> CommitOperationAdd | CommitOperationDelete:
    if content is None:
        return CommitOperationDelete(path, is_folder=False)
    return CommitOperationAdd(path, content)

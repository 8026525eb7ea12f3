"""Export of whole repositories to another Hub, revision by revision.

No state is kept on this side: every revision names the one that it is a copy of in its description, so an interrupted
export continues where the other Hub's history ends. The other Hub sets its own author and time; the description has
those of the original. Discussions, likes and the like are not exported but counted: the other Hub would attribute them
to the user who exports.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile

from seqhub.errors import HubError
from seqhub.hub.client import hub_errors

MARK = re.compile(r"^seqhub-export: ([0-9a-f]{40})\b", re.MULTILINE)
ADVICE = "run the same command again to continue"
INITIAL = "initial commit"  # title of the commit that a Hub itself makes in a new repository
STRAY = "seqhub-export-"  # prefix of temporary branches, which are deleted once a tag refers to their commits


class Revision(NamedTuple):
    """One commit with its author and date."""

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
        """Return the names of the branches, main first."""

    def tags(self) -> Sequence[tuple[str, str, str | None]]:
        """Return name, revision and message of each tag."""

    def history(self, revision: str) -> Sequence[Revision]:
        """Return the revisions up to a branch or revision, oldest first."""

    def changes(self, old: str | None, new: str) -> Mapping[str, bytes | Path | None]:
        """Return changed contents by path; None for a deleted file."""

    def sizes(self, revision: str) -> Mapping[str, int]:
        """Return file sizes in bytes by path."""

    def left_behind(self) -> Mapping[str, int]:
        """Return the number of items that are not exported, by what they are: "pull requests", "likes", ..."""


class Exported(NamedTuple):
    """Result of exporting one repository."""

    repo: str
    revisions: int  # sent by this export
    branches: int
    tags: int  # created by this export
    left_behind: Mapping[str, int]  # number of items that are not exported; without zeros


def export(source: Source, api: HfApi, progress: Callable[[str], None]) -> Exported:
    """Copy one repository, or the part of it that is missing.

    Args:
        source: The repository.
        api: A client for the other Hub.
        progress: Called with one line per revision that was sent.

    Raises:
        HubError: The other Hub refuses, or its repository has revisions that do not come from an export.
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
            self._branch(branch, f"refs/heads/{branch}", exists=branch in known)
        missing = [tag for tag in source.tags() if tag[0] not in {tag.name for tag in there.tags}]
        for tag, oid, message in missing:
            if oid not in self.copies:  # only the tag refers to it, after a squash or a deleted branch
                self._branch(STRAY + oid, oid, exists=STRAY + oid in known)
                known.add(STRAY + oid)
            api.create_tag(name, tag=tag, revision=self.copies[oid], tag_message=message, repo_type=kind, exist_ok=True)
        for branch in known:
            if branch.startswith(STRAY):
                api.delete_branch(name, branch=branch, repo_type=kind)
        left = {what: count for what, count in source.left_behind().items() if count}
        return Exported(f"{kind}:{name}", self.sent, len(source.branches()), len(missing), left)

    def _branch(self, branch: str, revision: str, *, exists: bool) -> None:
        """Copy a revision and its history to a branch of this name."""
        revisions = self.source.history(revision)
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
        """Return the number of the last revision that another branch has already copied; -1 if there is none."""
        return max((number for number, revision in enumerate(revisions) if revision.oid in self.copies), default=-1)

    def _make(self, branch: str, start: str | None) -> None:
        """Create the branch at its fork point; without a common history it starts at main and drops all files."""
        name, kind = self.source.full_name, self.source.kind
        self.api.create_branch(name, branch=branch, revision=start, repo_type=kind, exist_ok=True)

    def _found_there(self, branch: str, revisions: Sequence[Revision]) -> int:
        """Read from the other Hub what an earlier export sent, and return the number of its last revision."""
        numbers = {revision.oid: number for number, revision in enumerate(revisions)}
        last, foreign = -1, False
        commits = self.api.list_repo_commits(self.source.full_name, repo_type=self.source.kind, revision=branch)
        for commit in reversed(commits):  # oldest first
            mark = MARK.search(f"{commit.title}\n{commit.message}")
            if mark and mark[1] in numbers:
                last = numbers[mark[1]]
                self.copies[mark[1]] = commit.commit_id
            elif mark is None and (commit.title != INITIAL or last >= 0):
                foreign = True
        if foreign:
            name = self.source.full_name
            raise HubError(f"{branch} of {name} at {self.api.endpoint} has revisions that do not come from an export")
        if commits and last >= 0:  # a first revision without changes has no copy of its own
            self.copies.setdefault(revisions[0].oid, commits[-1].commit_id)
        return last

    def _send(self, branch: str, old: str | None, revision: Revision) -> str:
        name, kind = self.source.full_name, self.source.kind
        changes = dict(self.source.changes(old, revision.oid))
        if old is None:  # the other Hub may have put files there, perhaps the same ones
            there = {path: file.blob_id for path, file in self._files(branch).items()}
            changes = dict.fromkeys(path for path in there if path not in changes) | {
                path: content for path, content in changes.items() if there.get(path, "") != _blob_id(content)
            }
            if not changes:
                return str(self.api.repo_info(name, repo_type=kind, revision=branch).sha)
        operations = [_operation(path, content) for path, content in changes.items()]
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

    def _files(self, branch: str) -> dict[str, RepoFile]:
        """Return every file of a branch on the other Hub, by path."""
        name, kind = self.source.full_name, self.source.kind
        entries = self.api.list_repo_tree(name, repo_type=kind, revision=branch, recursive=True)
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def _compare(self, branch: str, oid: str) -> None:
        there = {path: file.size for path, file in self._files(branch).items()}
        different = sorted(path for path, _ in there.items() ^ dict(self.source.sizes(oid)).items())
        if different:
            name, where = self.source.full_name, self.api.endpoint
            raise HubError(f"{branch} of {name} differs at {where} after the export, first in {different[0]!r}")


def _operation(path: str, content: bytes | Path | None) -> CommitOperationAdd | CommitOperationDelete:
    if content is None:
        return CommitOperationDelete(path, is_folder=False)
    return CommitOperationAdd(path, content)


def _blob_id(content: bytes | Path | None) -> str | None:
    """Return git's id of a small file; None for others."""
    if not isinstance(content, bytes):
        return None
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

"""Export of whole repositories to another Hub, revision by revision.

No state is kept locally. The description of each exported revision contains the id of its original, so an interrupted
export continues where the history on the target Hub ends. The target Hub sets author and time; the description
contains the original ones. Discussions, likes and similar items are counted but not exported, since the target Hub
would attribute them to the user who runs the export.
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

ORIGIN_PATTERN = re.compile(r"^seqhub-export: ([0-9a-f]{40})\b", re.MULTILINE)
ADVICE = "run the same command again to continue"
INITIAL_TITLE = "initial commit"  # title of the first commit, which a Hub creates in a new repository
TEMPORARY_PREFIX = "seqhub-export-"  # of branches that are deleted once a tag refers to their commits


class Revision(NamedTuple):
    """Commit with its author and date."""

    oid: str
    title: str
    message: str
    author: str
    date: str


class Source(Protocol):
    """Repository to export."""

    repo_type: Literal["model", "dataset", "space"]
    repo_id: str
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
        """Return the number of items that are not exported, by category: "pull requests", "likes", ..."""


class Exported(NamedTuple):
    """Result of exporting one repository."""

    repo: str
    revisions: int  # sent by this export
    branches: int
    tags: int  # created by this export
    left_behind: Mapping[str, int]  # number of items that are not exported; without zeros


def export(source: Source, api: HfApi, progress: Callable[[str], None]) -> Exported:
    """Copy one repository, or the missing part of it.

    Args:
        source: The repository.
        api: Client for the target Hub.
        progress: Callback that receives one line for each copied revision.

    Raises:
        HubError: The target Hub returns an error, or its repository has revisions that do not come from an export.
    """
    with hub_errors(api, f"export {source.repo_id}", ADVICE):
        return _Export(source, api, progress).run()


class _Export:
    def __init__(self, source: Source, api: HfApi, progress: Callable[[str], None]) -> None:
        self.source, self.api, self.progress = source, api, progress
        self.copies: dict[str, str] = {}  # original revision -> copied revision
        self.sent = 0

    def run(self) -> Exported:
        source, api = self.source, self.api
        name, repo_type = source.repo_id, source.repo_type
        api.create_repo(name, repo_type=repo_type, private=source.private, space_sdk=source.sdk, exist_ok=True)
        if source.gated:
            api.update_repo_settings(name, repo_type=repo_type, gated=source.gated)
        there = api.list_repo_refs(name, repo_type=repo_type)
        known = {branch.name for branch in there.branches}
        for branch in source.branches():
            self._export_branch(branch, f"refs/heads/{branch}", exists=branch in known)
        missing = [tag for tag in source.tags() if tag[0] not in {tag.name for tag in there.tags}]
        for tag, oid, message in missing:
            if oid not in self.copies:  # after a squash or a deleted branch only the tag refers to it
                self._export_branch(TEMPORARY_PREFIX + oid, oid, exists=TEMPORARY_PREFIX + oid in known)
                known.add(TEMPORARY_PREFIX + oid)
            api.create_tag(
                name, tag=tag, revision=self.copies[oid], tag_message=message, repo_type=repo_type, exist_ok=True
            )
        for branch in known:
            if branch.startswith(TEMPORARY_PREFIX):
                api.delete_branch(name, branch=branch, repo_type=repo_type)
        left = {what: count for what, count in source.left_behind().items() if count}
        return Exported(f"{repo_type}:{name}", self.sent, len(source.branches()), len(missing), left)

    def _export_branch(self, branch: str, revision: str, *, exists: bool) -> None:
        """Copy a revision and its history to a branch of this name."""
        revisions = self.source.history(revision)
        start = self._last_copied(revisions)
        if not exists:
            self._create_branch(branch, None if start < 0 else self.copies[revisions[start].oid])
        else:
            start = max(start, self._read_exported(branch, revisions))
        for number in range(start + 1, len(revisions)):
            old = revisions[number - 1].oid if number else None
            self.copies[revisions[number].oid] = self._copy_revision(branch, old, revisions[number])
        self._compare(branch, revisions[-1].oid)

    def _last_copied(self, revisions: Sequence[Revision]) -> int:
        """Return the index of the last revision that was copied with another branch; -1 if there is none."""
        return max((number for number, revision in enumerate(revisions) if revision.oid in self.copies), default=-1)

    def _create_branch(self, branch: str, start: str | None) -> None:
        """Create the branch at its fork point; without a common history it starts at main and deletes all files."""
        name, repo_type = self.source.repo_id, self.source.repo_type
        self.api.create_branch(name, branch=branch, revision=start, repo_type=repo_type, exist_ok=True)

    def _read_exported(self, branch: str, revisions: Sequence[Revision]) -> int:
        """Register the revisions of an earlier export, and return the index of the last one; -1 if there is none."""
        numbers = {revision.oid: number for number, revision in enumerate(revisions)}
        last, foreign = -1, False
        commits = self.api.list_repo_commits(self.source.repo_id, repo_type=self.source.repo_type, revision=branch)
        for commit in reversed(commits):  # oldest first
            mark = ORIGIN_PATTERN.search(f"{commit.title}\n{commit.message}")
            if mark and mark[1] in numbers:
                last = numbers[mark[1]]
                self.copies[mark[1]] = commit.commit_id
            elif mark is None and (commit.title != INITIAL_TITLE or last >= 0):
                foreign = True
        if foreign:
            name = self.source.repo_id
            raise HubError(f"{branch} of {name} at {self.api.endpoint} has revisions that do not come from an export")
        if commits and last >= 0:  # a first revision without changes is not copied
            self.copies.setdefault(revisions[0].oid, commits[-1].commit_id)
        return last

    def _copy_revision(self, branch: str, old: str | None, revision: Revision) -> str:
        name, repo_type = self.source.repo_id, self.source.repo_type
        changes = dict(self.source.changes(old, revision.oid))
        if old is None:  # the target Hub may have created files, possibly the same ones
            there = {path: file.blob_id for path, file in self._files(branch).items()}
            changes = dict.fromkeys(path for path in there if path not in changes) | {
                path: content for path, content in changes.items() if there.get(path, "") != _blob_id(content)
            }
            if not changes:
                return str(self.api.repo_info(name, repo_type=repo_type, revision=branch).sha)
        operations = [_operation(path, content) for path, content in changes.items()]
        origin = f"seqhub-export: {revision.oid}\nby {revision.author} on {revision.date}"
        done = self.api.create_commit(
            name,
            operations,
            commit_message=revision.title or "untitled",
            commit_description=f"{revision.message}\n\n{origin}".strip(),
            repo_type=repo_type,
            revision=branch,
            parent_commit=self.copies[old] if old else None,
        )
        self.sent += 1
        self.progress(f"{repo_type}:{name} {branch} {revision.oid[:8]} {revision.title}")
        return str(done.oid)

    def _files(self, branch: str) -> dict[str, RepoFile]:
        """Return every file of a branch on the target Hub, by path."""
        name, repo_type = self.source.repo_id, self.source.repo_type
        entries = self.api.list_repo_tree(name, repo_type=repo_type, revision=branch, recursive=True)
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def _compare(self, branch: str, oid: str) -> None:
        there = {path: file.size for path, file in self._files(branch).items()}
        different = sorted(path for path, _ in there.items() ^ dict(self.source.sizes(oid)).items())
        if different:
            name, where = self.source.repo_id, self.api.endpoint
            raise HubError(f"{branch} of {name} differs at {where} after the export, first in {different[0]!r}")


def _operation(path: str, content: bytes | Path | None) -> CommitOperationAdd | CommitOperationDelete:
    if content is None:
        return CommitOperationDelete(path, is_folder=False)
    return CommitOperationAdd(path, content)


def _blob_id(content: bytes | Path | None) -> str | None:
    """Return the git id of a small file; None for other files."""
    if not isinstance(content, bytes):
        return None
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

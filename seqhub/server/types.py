"""Value types shared by storage and routes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from seqhub.server.store.objects import Packed

RepoType = Literal["model", "dataset", "space"]
Gated = Literal["no", "auto", "manual"]
Role = Literal["read", "write", "admin"]

REPO_TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")
DEFAULT_BRANCH = "main"


@dataclass(frozen=True, slots=True)
class Account:
    """User or organisation, which can own repositories."""

    id: int
    name: str
    is_org: bool
    full_name: str
    email: str | None
    created: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """Access token; only the SHA-256 of its secret is stored."""

    id: int
    account_id: int
    name: str
    role: Role
    last4: str
    repos: tuple[str, ...]  # "model:ns/name" ...; empty for no restriction
    created: datetime
    expires: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, slots=True)
class Repo:
    """Repository of a model, dataset or space."""

    id: int
    repo_type: RepoType
    namespace: str  # name of the owner
    name: str
    private: bool
    gated: Gated
    created: datetime
    updated: datetime
    sdk: str | None  # spaces only

    @property
    def repo_id(self) -> str:
        """Repository id, `namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Lfs:
    """Large file: stored by content, and a pointer in git. Read from the database, never from a pointer file."""

    sha256: str
    size: int  # bytes of the content
    pointer_size: int  # bytes of the pointer in git


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit of a repository."""

    oid: str  # git SHA-1, 40 hexadecimal digits
    parent: str | None
    author: str
    title: str
    message: str
    date: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """File or folder at a commit."""

    path: str
    is_folder: bool
    oid: str  # git id of the blob (for a large file, of its pointer) or of the tree
    size: int  # bytes of the content; 0 for folders
    lfs: Lfs | None
    last_commit: Commit | None  # set only on request


@dataclass(frozen=True, slots=True)
class Ref:
    """Branch, tag, or head of a pull request."""

    name: str  # without refs/heads/ and the like
    ref: str  # refs/heads/main, refs/tags/v1, refs/pr/3
    oid: str
    message: str | None = None  # annotated tags only


@dataclass(frozen=True, slots=True)
class AddSmall:
    """Add a file whose content is in the commit request."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class AddStaged:
    """Add a file whose content is in the commit request and was written to disk."""

    path: str
    packed: "Packed"
    size: int  # bytes of the content
    opened: Callable[[], bytes | Path]


@dataclass(frozen=True, slots=True)
class AddLarge:
    """Add a file whose content was uploaded before."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a file, or a folder with everything below it."""

    path: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class CopyFile:
    """Copy `source` at `source_revision` (None: the parent) of the same repository to `path`."""

    path: str
    source: str
    source_revision: str | None


Operation = AddSmall | AddStaged | AddLarge | Delete | CopyFile


@dataclass(frozen=True, slots=True)
class Comment:
    """Event of a discussion."""

    id: str
    author: str
    kind: Literal["comment", "status-change", "commit", "title-change"]
    content: str
    created: datetime
    edited: bool
    hidden: bool
    extra: dict[str, str]  # commit: oid and subject; change: old and new value


@dataclass(frozen=True, slots=True)
class Discussion:
    """Discussion, or pull request with the ref refs/pr/NUMBER."""

    number: int
    title: str
    author: str
    status: Literal["open", "closed", "merged", "draft"]
    is_pull_request: bool
    created: datetime
    target: str  # target branch of a pull request
    merge_commit: str | None
    comments: Sequence[Comment]

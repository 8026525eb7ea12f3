"""Serializers: header names and JSON objects in the form that clients expect."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from seqhub.server.pickle_scan import Status
from seqhub.server.types import Account, Comment, Commit, Discussion, Entry, Ref, Repo, RepoType

ERROR_CODE, ERROR_MESSAGE, REQUEST_ID = "X-Error-Code", "X-Error-Message", "X-Request-Id"
REPO_COMMIT, LINKED_SIZE, LINKED_ETAG = "X-Repo-Commit", "X-Linked-Size", "X-Linked-Etag"

Shape = dict[str, object]

REPO_TYPE_OF: Final[Mapping[str, RepoType]] = {"models": "model", "datasets": "dataset", "spaces": "space"}
PREFIX_OF: Final[Mapping[RepoType, str]] = {"model": "", "dataset": "datasets/", "space": "spaces/"}

_UNPRINTABLE = re.compile(r"[^ -~]")

DEFAULT_NAMESPACE = "seqhub"  # target of redirects for repository names without a namespace


def timestamp(moment: datetime) -> str:
    """Return a time in the format that clients parse, with milliseconds and Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def header_text(text: str) -> str:
    r"""Return text for a header: one line of printable ASCII, "?" for other characters, at most 1000 characters.

    >>> header_text("Entry not found: \x01\n\u00e9")
    'Entry not found: ? ?'
    """
    return _UNPRINTABLE.sub("?", " ".join(text.split())[:1000])


def page_url(base_url: str, repo: Repo) -> str:
    return f"{base_url}/{PREFIX_OF[repo.repo_type]}{repo.repo_id}"


def next_link(url: str) -> dict[str, str]:
    return {"Link": f'<{url}>; rel="next"'}


def commit_reference(commit: Commit) -> Shape:
    return {"id": commit.oid, "title": commit.title, "date": timestamp(commit.date)}


def tree_entry(entry: Entry, *, expand: bool = False, copyable: bool = False, scan: Status = "not scanned") -> Shape:
    """Return a file or folder for the routes tree and paths-info.

    Clients copy large files between repositories only if `xetHash` is set. With a valid Xet hash they would download by
    Xet. So the field is set only in paths-info, which copies use, and has a form that downloads do not accept.
    """
    shape: Shape = {
        "type": "directory" if entry.is_folder else "file",
        "oid": entry.oid,
        "size": entry.size,
        "path": entry.path,
    }
    if entry.lfs is not None:
        shape["lfs"] = {"oid": entry.lfs.sha256, "size": entry.lfs.size, "pointerSize": entry.lfs.pointer_size}
        if copyable:
            shape["xetHash"] = f"sha256-{entry.lfs.sha256}"
    if expand:
        shape["lastCommit"] = None if entry.last_commit is None else commit_reference(entry.last_commit)
        if not entry.is_folder:
            shape["securityFileStatus"] = security_status(scan)
    return shape


def security_status(scan: Status) -> Shape:
    """Return the scan status of a file. It is never "safe", since a scan without findings does not prove safety."""
    status = {"suspicious": "suspicious", "failed": "error"}.get(scan, "unscanned")
    return {
        "status": status,
        "avScan": {"status": "unscanned"},
        "pickleImportScan": {"status": status, "pickleImports": []},
    }


def sibling(entry: Entry, *, blobs: bool) -> Shape:
    shape: Shape = {"rfilename": entry.path}
    if blobs:
        shape |= {"size": entry.size, "blobId": entry.oid}
        if entry.lfs is not None:
            shape["lfs"] = {"sha256": entry.lfs.sha256, "size": entry.lfs.size, "pointerSize": entry.lfs.pointer_size}
    return shape


def commit_item(commit: Commit, *, formatted: bool) -> Shape:
    shape: Shape = {
        **commit_reference(commit),
        "message": commit.message,
        "authors": [{"user": commit.author, "avatar": ""}],
        "parents": [] if commit.parent is None else [commit.parent],
    }
    if formatted:
        shape["formatted"] = {"title": escaped(commit.title), "message": escaped(commit.message)}
    return shape


def refs(found: Sequence[Ref], *, pull_requests: bool) -> Shape:
    def with_prefix(prefix: str) -> list[Shape]:
        return [{"name": r.name, "ref": r.ref, "targetCommit": r.oid} for r in found if r.ref.startswith(prefix)]

    shape: Shape = {
        "branches": with_prefix("refs/heads/"),
        "converts": with_prefix("refs/convert/"),
        "tags": with_prefix("refs/tags/"),
    }
    if pull_requests:
        shape["pullRequests"] = with_prefix("refs/pr/")
    return shape


def account_item(account: Account) -> Shape:
    return {
        "_id": f"{account.id:024x}",
        "type": "org" if account.is_org else "user",
        "user": account.name,
        "name": account.name,
        "fullname": account.full_name or account.name,
        "avatarUrl": "",
    }


def author(name: str) -> Shape:
    return {"name": name, "fullname": name, "avatarUrl": "", "type": "user"}


def discussion(found: Discussion, repo: Repo) -> Shape:
    return {
        "num": found.number,
        "title": found.title,
        "author": author(found.author),
        "status": found.status,
        "isPullRequest": found.is_pull_request,
        "createdAt": timestamp(found.created),
        "repo": {"name": repo.repo_id, "type": repo.repo_type},
        "repoOwner": {"name": repo.namespace},
        "numComments": sum(comment.kind == "comment" for comment in found.comments),
        "pinned": False,
    }


def event(comment: Comment) -> Shape:
    """Return an event of a discussion with the fields that clients read."""
    data: Shape
    if comment.kind == "comment":
        text = "This comment has been hidden" if comment.hidden else comment.content
        latest = {
            "raw": text,
            "html": f"<p>{escaped(text)}</p>",
            "updatedAt": timestamp(comment.created),
            "author": author(comment.author),
        }
        data = {"edited": comment.edited, "hidden": comment.hidden, "latest": latest, "history": [latest]}
        data["numEdits"] = int(comment.edited)
    elif comment.kind == "status-change":
        data = {"status": comment.extra.get("status", "")}
    elif comment.kind == "commit":
        data = {"subject": comment.extra.get("subject", ""), "oid": comment.extra.get("oid", "")}
    else:
        data = {"from": comment.extra.get("from", ""), "to": comment.extra.get("to", "")}
    return {
        "id": comment.id,
        "type": comment.kind,
        "createdAt": timestamp(comment.created),
        "author": author(comment.author),
        "data": data,
    }


def escaped(text: str) -> str:
    """Escape text for fields that some clients render as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def path_in_url(path: str) -> str:
    return quote(path, safe="/")

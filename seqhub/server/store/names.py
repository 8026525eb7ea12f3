"""Validation of names: paths in repositories, repository ids, accounts, branches and tags."""

import re
import unicodedata

from seqhub.server.errors import HubHTTPError

PART_BYTES = 255
PATH_BYTES = 1024
PATH_PARTS = 64
NAME_LENGTH = 96

RESERVED = frozenset(
    [
        "datasets-server",
        "revision",
        "revisions",
        "tree",
        "resolve",
        "resolve-cache",
        "commit",
        "commits",
        "blob",
        "blame",
        "raw",
        "new",
        "edit",
        "upload",
        "settings",
        "api",
        "datasets",
        "models",
        "spaces",
        "kernels",
        "buckets",
        "main",
        "refs",
        "branch",
        "tag",
        "discussions",
        "discussion",
        "pulls",
        "preupload",
        "xet-write-token",
        "xet-read-token",
        "paths-info",
        "super-squash",
        "treesize",
        "compare",
        "like",
        "likers",
        "auth-check",
        "lfs-files",
        "duplicate",
        "user-access-request",
        "info",
        "git-upload-pack",
        "git-receive-pack",
        "login",
        "logout",
        "join",
        "docs",
        "organizations",
        "users",
        "whoami-v2",
        "healthz",
        "metrics",
        "v1",
        "v2",
        "none",
        "null",
        "undefined",
    ]
)
"""Words that have a meaning in URLs in place of a name."""

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\\ud800-\udfff]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|^\.|^/|/$")
# Characters that file systems of Apple ignore in names: ".g<U+200C>it" equals ".git" (git, utf8.c).
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def check_path(path: str) -> str:
    """Check a path, and return it in NFC, the form in which it is stored.

    Raises:
        HubHTTPError: 422 if the path could leave its folder, or is not valid in git or on some operating system.
    """
    path = unicodedata.normalize("NFC", path)
    parts = path.split("/")
    if not path:
        raise _bad(path, "is empty")
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in path):
        raise _bad(path, "contains control characters or a lone surrogate")
    if "\\" in path:
        raise _bad(path, "contains a backslash, a separator on Windows")
    if re.match(r"[A-Za-z]:", path):
        raise _bad(path, "starts with a drive letter")
    if any(part in ("", ".", "..") for part in parts):
        raise _bad(path, "is absolute or has an empty part, '.' or '..'")
    if any(_is_git(part) for part in parts):
        raise _bad(path, "has a part that equals .git on some file system")
    if len(parts) > PATH_PARTS or len(path.encode()) > PATH_BYTES or any(len(p.encode()) > PART_BYTES for p in parts):
        limits = f"{PART_BYTES} bytes a part, {PATH_BYTES} in all, {PATH_PARTS} parts"
        raise _bad(path[:64] + "...", f"is too long or too deep ({limits})")
    return path


def check_repo_name(repo_id: str) -> tuple[str, str]:
    """Check a repository id, and return its namespace and name.

    Raises:
        HubHTTPError: 400 if the name is not valid.
    """
    namespace, slash, name = repo_id.partition("/")
    if not slash or "/" in name:
        raise HubHTTPError(400, f"Invalid repository id {repo_id[:200]!r}: must be namespace/name")
    for part in (namespace, name):
        check_name(part)
    if name.lower().endswith(".git"):
        raise HubHTTPError(400, f"Invalid repository id {repo_id!r}: a name must not end in .git")
    return namespace, name


def check_name(name: str) -> str:
    """Check the name of a repository or account, and return it.

    Raises:
        HubHTTPError: 400 if the name is not valid.
    """
    if not 1 <= len(name) <= NAME_LENGTH or not _NAME.fullmatch(name) or "--" in name or ".." in name:
        rules = f"1 to {NAME_LENGTH} letters, digits, '-', '_', '.'; no '--' or '..', no '-' or '.' at an end"
        raise HubHTTPError(400, f"Invalid name {name[:200]!r}: {rules}")
    if name.lower() in RESERVED:
        raise HubHTTPError(400, f"Invalid name {name!r}: it is a reserved word")
    return name


def check_ref_name(name: str, kind: str) -> str:
    """Check the name of a branch or tag, without refs/heads/ or refs/tags/, and return it.

    Raises:
        HubHTTPError: 400 if the name is not valid in git, or is ambiguous.
    """
    looks_else = name.startswith("refs/") or name == "HEAD" or name == "@" or re.fullmatch(r"[0-9a-fA-F]{40}", name)
    if not name or len(name.encode("utf-8", "replace")) > PART_BYTES or _REF_FORBIDDEN.search(name) or looks_else:
        raise HubHTTPError(400, f"Invalid reference for a {kind}: {name[:200]}")
    if name.startswith("-"):
        raise HubHTTPError(400, f"Invalid reference for a {kind}: {name[:200]}")
    return name


def _is_git(part: str) -> bool:
    """Return whether a file system treats a name as .git because of case, ignored characters or trailing dots."""
    plain = part.translate(_IGNORED).casefold().split(":")[0].rstrip(" .")
    return plain in (".git", "git~1")


def _bad(path: str, why: str) -> HubHTTPError:
    return HubHTTPError(422, f"Invalid path {path!r}: it {why}".encode("ascii", "backslashreplace").decode())

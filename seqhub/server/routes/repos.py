"""Routes that create, move, change, copy and delete repositories; likes; lists of large files."""

import base64
import binascii
from datetime import UTC, datetime

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers
from seqhub.server.errors import HubHTTPError
from seqhub.server.json_body import Fields
from seqhub.server.pickle_scan import reject_pickles
from seqhub.server.request import RequestContext
from seqhub.server.routes.commits import scan_commit
from seqhub.server.routing import Route
from seqhub.server.store.names import check_repo_name
from seqhub.server.types import REPO_TYPES, AddSmall, Gated, Operation, Repo, RepoType

SDKS = ("gradio", "streamlit", "docker", "static")
MAX_FIRST_FILES = 100
MAX_BATCH = 1000
NEW_REPO_LIMIT = 16 * 2**20


def create(context: RequestContext) -> Response:
    """Create a repository with its first commit; 409 with its URL if it exists."""
    fields = context.json()
    repo_type, repo_id = repo_type_field(fields), repo_id_field(context, fields)
    namespace, _ = check_repo_name(repo_id)
    require_namespace_access(context, namespace)
    sdk = fields.optional_text("sdk", limit=40)
    if repo_type == "space" and sdk not in SDKS:
        raise HubHTTPError(400, f'Field "sdk" of a space must be one of {", ".join(SDKS)}.')
    first = first_files(fields)
    if repo_type == "space" and not any(operation.path == "README.md" for operation in first):
        # as on the public Hub: clients edit the card of a space, but do not create it
        card = f"---\ntitle: {repo_id.partition('/')[2]}\nsdk: {sdk}\n---\n"
        first.append(AddSmall("README.md", card.encode()))
    if context.settings.safetensors_only:
        reject_pickles(first)
    existing = context.store.repos.find(repo_type, repo_id)
    if existing is not None:
        raise already_exists(context, existing)
    try:
        repo = context.store.repos.create_with_files(
            repo_type,
            repo_id,
            first,
            private=is_private(fields) or False,
            sdk=sdk if repo_type == "space" else None,
            uploader=context.user,
            token=context.identity.token,
        )
    except HubHTTPError as error:
        existing = context.store.repos.find(repo_type, repo_id) if error.status == 409 else None
        if existing is None:
            raise
        raise already_exists(context, existing) from None  # another request created it in the meantime
    scan_commit(context, repo, context.store.revisions.resolve(repo, "main"), [operation.path for operation in first])
    return JSONResponse(
        {"url": serializers.page_url(context.base_url, repo), "name": repo.repo_id, "id": f"{repo.id:024x}"}
    )


def delete(context: RequestContext) -> Response:
    """Delete a repository."""
    fields = context.json()
    context.store.repos.delete(context.get_repo(repo_type_field(fields), repo_id_field(context, fields), "admin"))
    return JSONResponse({"success": True})


def move(context: RequestContext) -> Response:
    """Rename a repository; the former id redirects to it, for clients that may see it."""
    fields = context.json()
    repo_type = repo_type_field(fields)
    repo = context.get_repo(repo_type, fields.text("fromRepo", limit=200), "admin")
    target = fields.text("toRepo", limit=200)
    namespace, _ = check_repo_name(target)
    require_namespace_access(context, namespace)
    existing = context.store.repos.find(repo_type, target)
    if existing is not None and existing.id != repo.id:
        raise HubHTTPError(409, f"A {repo_type} repository called {target} already exists")
    context.store.repos.move(repo, target)
    return JSONResponse({"success": True})


def settings(context: RequestContext) -> Response:
    """Change visibility and gating."""
    fields = context.json()
    gated: Gated | None = None
    if "gated" in fields.values:
        given = fields.values["gated"]
        if given is not False and given not in ("auto", "manual"):
            raise HubHTTPError(400, 'Field "gated" must be "auto", "manual" or false.')
        gated = given if given in ("auto", "manual") else "no"
    repo = context.store.repos.update(context.repo, private=is_private(fields), gated=gated)
    shown = False if repo.gated == "no" else repo.gated
    return JSONResponse({"private": repo.private, "gated": shown})


def duplicate(context: RequestContext) -> Response:
    """Copy a repository with history, branches and tags; by default with the visibility of the original."""
    fields = context.json()
    repo_id = fields.text("repository", limit=200)
    namespace, _ = check_repo_name(repo_id)
    require_namespace_access(context, namespace)
    source = context.repo
    existing = context.store.repos.find(source.repo_type, repo_id)
    if existing is not None:
        raise already_exists(context, existing)
    private = is_private(fields)
    private = source.private if private is None else private
    copy = context.store.repos.duplicate(source, repo_id, private=private, author=context.user.name)
    return JSONResponse(
        {"url": serializers.page_url(context.base_url, copy), "name": copy.repo_id, "filesCopyPending": False}
    )


def like(context: RequestContext) -> Response:
    """Add a like."""
    context.store.likes.add(context.repo, context.user)
    return JSONResponse({"success": True})


def unlike(context: RequestContext) -> Response:
    """Remove a like."""
    context.store.likes.remove(context.repo, context.user)
    return JSONResponse({"success": True})


def likers(context: RequestContext) -> Response:
    """List the accounts that like a repository."""
    return JSONResponse([serializers.account_item(account) for account in context.store.likes.accounts(context.repo)])


def auth_check(context: RequestContext) -> Response:
    """Confirm a permission, which was checked by the table of routes."""
    return JSONResponse({"success": True})


def large_files(context: RequestContext) -> Response:
    """List large files of all revisions."""
    where = heads_with(context)
    items = []
    for sha256, path, size, author, seconds in context.store.blobs.large_files(context.repo):
        pushed = serializers.timestamp(datetime.fromtimestamp(seconds, UTC))
        item = {"fileOid": sha256, "oid": sha256, "filename": path, "pushedAt": pushed, "size": size}
        items.append(item | {"ref": where.get(sha256), "pusher": {"name": author}})
    return JSONResponse(items)


def heads_with(context: RequestContext) -> dict[str, str]:
    """Return for each large file the first branch that contains it at its head; main comes first."""
    where: dict[str, str] = {}
    for ref in context.store.refs.of_repo(context.repo):
        if ref.ref.startswith("refs/heads/"):
            for sha256 in context.store.revisions.large_at(context.repo, ref.ref):
                where.setdefault(sha256, ref.ref)
    return where


def delete_large_files(context: RequestContext) -> Response:
    """Delete large files permanently."""
    deletions = context.json().fields("deletions")
    context.store.commits.delete_large(context.repo, *deletions.texts("sha", limit=MAX_BATCH), author=context.user.name)
    return JSONResponse({"success": True})


def duplicate_large_files(context: RequestContext) -> Response:
    """Return which files can be copied from this repository to another one."""
    fields = context.json()
    target = fields.fields("target")
    context.get_repo(repo_type_field(target), target.text("name", limit=200), "write")
    present = {row[0] for row in context.store.blobs.large_files(context.repo)}
    wanted = [item.text("sha256", limit=64) for item in fields.objects("files", limit=MAX_BATCH)]
    failed = [
        {"sha256": sha256, "error": f"{context.repo.repo_id} does not contain this file"}
        for sha256 in wanted
        if sha256 not in present
    ]
    done = [{"sha256": sha256} for sha256 in wanted if sha256 in present]
    return JSONResponse({"success": done, "failed": failed})


def repo_type_field(fields: Fields) -> RepoType:
    """Return the field "type"."""
    given = fields.optional_text("type", limit=20) or "model"
    for repo_type in REPO_TYPES:
        if given == repo_type:
            return repo_type
    raise HubHTTPError(400, f'Field "type" must be one of {", ".join(REPO_TYPES)}, not {given!r}.')


def repo_id_field(context: RequestContext, fields: Fields) -> str:
    """Return the repository id of a body; the default namespace is the account of the client."""
    name, organization = fields.text("name", limit=200), fields.optional_text("organization", limit=100)
    if "/" in name and organization is None:
        return name
    return f"{organization or context.user.name}/{name}"


def require_namespace_access(context: RequestContext, namespace: str) -> None:
    """Check that the namespace exists and the client may write to it."""
    context.require_namespace("write", namespace)
    if context.store.accounts.find(namespace) is None:
        raise HubHTTPError(404, f"No user or organisation is called {namespace!r}.")


def is_private(fields: Fields) -> bool | None:
    """Return `visibility` (new clients) or `private` (old clients) as a bool; None if neither is set."""
    visibility = fields.optional_text("visibility", limit=20)
    if visibility is None:
        return fields.flag("private") if fields.values.get("private") is not None else None
    if visibility not in ("public", "private"):
        raise HubHTTPError(400, f'Field "visibility" must be public or private, not {visibility!r}.')
    return visibility == "private"


def already_exists(context: RequestContext, repo: Repo) -> HubHTTPError:
    """Return the error for a repository that already exists."""
    url = serializers.page_url(context.base_url, repo)
    return HubHTTPError(409, f"You already created this {repo.repo_type} repo: {repo.repo_id}", body={"url": url})


def first_files(fields: Fields) -> list[Operation]:
    """Return the files that the JavaScript client sends, and a card with the licence."""
    operations: list[Operation] = []
    for item in fields.objects("files", limit=MAX_FIRST_FILES):
        text = item.text("content", limit=NEW_REPO_LIMIT)
        try:
            is_base64 = item.optional_text("encoding") == "base64"
            content = base64.b64decode(text, validate=True) if is_base64 else text.encode()
        except (binascii.Error, ValueError):
            raise HubHTTPError(400, 'Field "content" of a file is not base64.') from None
        operations.append(AddSmall(item.text("path", limit=4096), content))
    name = fields.optional_text("license", limit=100)
    if name and not any(op.path == "README.md" for op in operations):
        if not all(letter.isalnum() or letter in "-.+" for letter in name):
            raise HubHTTPError(400, f'Field "license" must be the name of a licence, not {name!r}.')
        operations.append(AddSmall("README.md", f"---\nlicense: {name}\n---\n".encode()))
    return operations


_REPO = "/api/{kinds}/{repo}"
routes = [
    Route("POST", "/api/repos/create", "account", create, "`create_repo`", body_limit=NEW_REPO_LIMIT),
    Route("DELETE", "/api/repos/delete", "account", delete, "`delete_repo`; needs `admin`"),
    Route("POST", "/api/repos/move", "account", move, "`move_repo`; needs `admin`, and `write` on the target"),
    Route("PUT", f"{_REPO}/settings", "admin", settings, "`update_repo_settings`"),
    Route(
        "POST",
        f"{_REPO}/duplicate",
        "read",
        duplicate,
        "`duplicate_repo`: the files of main; needs `write` on the target",
    ),
    Route("POST", f"{_REPO}/like", "discuss", like, "like"),
    Route("DELETE", f"{_REPO}/like", "discuss", unlike, "`unlike`"),
    Route("GET", f"{_REPO}/likers", "info", likers, "`list_repo_likers`"),
    Route("GET", f"{_REPO}/auth-check", "read", auth_check, "`auth_check`"),
    Route("GET", f"{_REPO}/auth-check/write", "write", auth_check, "`auth_check(write=True)`"),
    Route("GET", f"{_REPO}/lfs-files", "write", large_files, "`list_lfs_files`", work="heavy"),
    Route("POST", f"{_REPO}/lfs-files/batch", "admin", delete_large_files, "`permanently_delete_lfs_files`"),
    Route("POST", f"{_REPO}/lfs-files/duplicate", "read", duplicate_large_files, "copy between repositories"),
]

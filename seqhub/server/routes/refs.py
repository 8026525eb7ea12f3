"""Routes of branches and tags."""

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers
from seqhub.server.errors import HubHTTPError, revision_not_found
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route


def list_refs(context: RequestContext) -> Response:
    """List branches, tags and, if requested, pull requests."""
    return JSONResponse(
        serializers.refs(context.store.refs.of_repo(context.repo), pull_requests=context.flag("include_prs"))
    )


def create_branch(context: RequestContext) -> Response:
    """Create a branch; the JavaScript client sends `overwrite` and `emptyBranch`."""
    name, fields = context.params["branch"], context.json()
    if name.startswith("refs/"):
        raise HubHTTPError(400, f"Invalid reference for a branch: {name}")
    start, overwrite = fields.optional_text("startingPoint"), fields.flag("overwrite")
    if fields.flag("emptyBranch"):
        raise HubHTTPError(501, "Empty branches are not supported by this Hub.")
    if not overwrite and any(ref.ref == f"refs/heads/{name}" for ref in context.store.refs.of_repo(context.repo)):
        raise HubHTTPError(409, f"Reference refs/heads/{name} already exists")
    context.store.refs.create_branch(context.repo, name, start or "main", overwrite=overwrite)
    return JSONResponse({"success": True})


def delete_branch(context: RequestContext) -> Response:
    """Delete a branch."""
    name = context.params["branch"]
    if name == "main":
        raise HubHTTPError(403, "Cannot delete refs/heads/main")
    if not any(ref.ref == f"refs/heads/{name}" for ref in context.store.refs.of_repo(context.repo)):
        raise revision_not_found(name)
    context.store.refs.delete_branch(context.repo, name)
    return JSONResponse({"success": True})


def create_tag(context: RequestContext) -> Response:
    """Create a tag."""
    fields = context.json()
    name = fields.text("tag", limit=255)
    if any(ref.ref == f"refs/tags/{name}" for ref in context.store.refs.of_repo(context.repo)):
        raise HubHTTPError(409, f"Tag reference refs/tags/{name} already exists")
    context.store.refs.create_tag(
        context.repo, name, context.params["revision"], fields.optional_text("message"), context.user.name
    )
    return JSONResponse({"success": True})


def delete_tag(context: RequestContext) -> Response:
    """Delete a tag."""
    name = context.params["revision"]
    if not any(ref.ref == f"refs/tags/{name}" for ref in context.store.refs.of_repo(context.repo)):
        raise revision_not_found(name)
    context.store.refs.delete_tag(context.repo, name)
    return JSONResponse({"success": True})


_REPO = "/api/{kinds}/{repo}"
routes = [
    Route("GET", f"{_REPO}/refs", "info", list_refs, "`list_repo_refs`"),
    Route("POST", f"{_REPO}/branch/{{branch}}", "write", create_branch, "`create_branch`"),
    Route("DELETE", f"{_REPO}/branch/{{branch}}", "write", delete_branch, "`delete_branch`"),
    Route("POST", f"{_REPO}/tag/{{revision}}", "write", create_tag, "`create_tag`"),
    Route("DELETE", f"{_REPO}/tag/{{revision}}", "write", delete_tag, "`delete_tag`"),
]

"""Routes of discussions and pull requests: open, list, read, comment, edit, hide, close, rename, merge."""

from collections.abc import Mapping
from typing import Literal

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers
from seqhub.server.diffs import Changes, diff
from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.discussions import Status
from seqhub.server.types import Comment, Commit, Discussion, Entry

PAGE = 50
STATUSES: Mapping[str, Status | None] = {"all": None, "open": "open", "closed": "closed", "merged": "merged"}
MAX_TEXT = 65_536
MAX_TITLE = 300


def list_discussions(context: RequestContext) -> Response:
    query = context.request.query_params
    kind = query.get("type")
    if kind not in (None, "all", "discussion", "pull_request"):
        raise HubHTTPError(400, f'"type" must be discussion or pull_request, not {kind[:40]!r}.')
    given = query.get("status", "all")
    if given not in STATUSES:
        raise HubHTTPError(400, f'"status" must be one of {", ".join(STATUSES)}, not {given[:40]!r}.')
    page = context.integer("p", 0, low=0, high=10**6)
    found, total = context.store.discussions.page(
        context.repo,
        pull_requests=None if kind in (None, "all") else kind == "pull_request",
        status=STATUSES[given],
        author=query.get("author"),
        page=page,
        page_size=PAGE,
    )
    shapes = [serializers.discussion(item, context.repo) for item in found]
    return JSONResponse({"discussions": shapes, "count": total, "start": page * PAGE})


def open_discussion(context: RequestContext) -> Response:
    fields = context.json()
    title = fields.text("title", limit=MAX_TITLE).strip()
    if not title:
        raise HubHTTPError(400, 'Field "title" must not be empty.')
    is_pull_request = fields.flag("pullRequest")
    opened = context.store.discussions.open(
        context.repo,
        title,
        fields.text("description", "", limit=MAX_TEXT),
        context.user.name,
        pull_request=is_pull_request,
        status="draft" if is_pull_request else "open",  # it has no commits yet
    )
    url = f"{serializers.page_url(context.base_url, context.repo)}/discussions/{opened.number}"
    return JSONResponse({"num": opened.number, "pullRequest": opened.is_pull_request, "url": url})


def details(context: RequestContext) -> Response:
    found = requested_discussion(context)
    if found.is_pull_request:
        context.require_heavy_worker()
    shape = serializers.discussion(found, context.repo) | {
        "events": [serializers.event(comment) for comment in found.comments]
    }
    if found.is_pull_request:
        merged = {"mergeCommitId": found.merge_commit} if found.merge_commit else {}
        shape["changes"] = {"base": f"refs/heads/{found.target}", **merged}
        shape["filesWithConflicts"] = conflicts(context, found)
        if context.flag("diff"):
            proposed = changes(context, found)
            shape["diff"] = "".join(diff(context, *proposed)) if proposed is not None else ""
    return JSONResponse(shape)


def comment(context: RequestContext) -> Response:
    text = context.json().text("comment", limit=MAX_TEXT)
    if not text.strip():
        raise HubHTTPError(400, 'Field "comment" must not be empty.')
    made = context.store.discussions.comment(
        context.repo, requested_discussion(context).number, context.user.name, text
    )
    return JSONResponse({"newMessage": serializers.event(made)})


def edit(context: RequestContext) -> Response:
    own_comment(context, "edit")
    text = context.json().text("content", limit=MAX_TEXT)
    made = context.store.discussions.edit_comment(context.repo, number(context), context.params["comment"], text)
    return JSONResponse({"updatedComment": serializers.event(made)})


def hide(context: RequestContext) -> Response:
    own_comment(context, "hide")
    made = context.store.discussions.hide_comment(context.repo, number(context), context.params["comment"])
    return JSONResponse({"updatedComment": serializers.event(made)})


def change_status(context: RequestContext) -> Response:
    fields = context.json()
    status = fields.text("status", limit=20)
    if status not in ("open", "closed"):
        raise HubHTTPError(400, f'Field "status" must be open or closed, not {status!r}.')
    found = own_discussion(context)
    text = fields.text("comment", "", limit=MAX_TEXT)
    wanted: Literal["open", "closed"] = "open" if status == "open" else "closed"
    made = context.store.discussions.change_status(context.repo, found.number, wanted, context.user.name, text)
    return JSONResponse({"newStatus": serializers.event(made)})


def rename(context: RequestContext) -> Response:
    title = context.json().text("title", limit=MAX_TITLE).strip()
    if not title:
        raise HubHTTPError(400, 'Field "title" must not be empty.')
    made = context.store.discussions.rename(context.repo, own_discussion(context).number, title, context.user.name)
    return JSONResponse({"newTitle": serializers.event(made)})


def merge(context: RequestContext) -> Response:
    text = context.json().text("comment", "", limit=MAX_TEXT)
    found = requested_discussion(context)
    if not found.is_pull_request:
        raise HubHTTPError(400, f"Discussion {found.number} is not a pull request.")
    made = context.store.discussions.merge(context.repo, found.number, context.user.name, text)
    return JSONResponse({"success": True, "mergeCommitId": made.oid})


def number(context: RequestContext) -> int:
    text = context.params["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise HubHTTPError(404, f"No discussion has the number {text[:40]!r}.")
    return int(text)


def requested_discussion(context: RequestContext) -> Discussion:
    return context.store.discussions.find(context.repo, number(context))


def own_discussion(context: RequestContext) -> Discussion:
    """Return the discussion, after a check that the client opened it or may write to the repository."""
    found = requested_discussion(context)
    if found.author != context.user.name:
        context.require("write")
    return found


def own_comment(context: RequestContext, verb: str) -> None:
    """Check that the client may change a comment: only its author may edit it, and writers may also hide it."""
    wanted = context.params["comment"].lower()
    found: Comment | None = next(
        (item for item in requested_discussion(context).comments if item.id.lower() == wanted), None
    )
    if found is None or found.kind != "comment":
        raise HubHTTPError(404, f"Discussion {number(context)} has no comment {wanted[:40]!r}.")
    if found.author == context.user.name:
        return
    if verb == "edit":
        raise HubHTTPError(403, "A comment may be edited by its author only.")
    context.require("write")


def changes(context: RequestContext, found: Discussion) -> tuple[Commit, Commit, Changes] | None:
    """Return base and head of a pull request, and the changed files; None before its first commit."""
    made = [item.extra["oid"] for item in found.comments if item.kind == "commit"]
    parent = context.store.revisions.resolve(context.repo, made[0]).parent if made else None
    if parent is None:
        return None
    base, head = (
        context.store.revisions.resolve(context.repo, parent),
        context.store.revisions.resolve(context.repo, f"refs/pr/{found.number}"),
    )
    return base, head, context.store.revisions.changes(context.repo, base, head)


def conflicts(context: RequestContext, found: Discussion) -> list[str]:
    """Return the files that conflict with changes of the target branch."""
    proposed = changes(context, found) if found.status in ("open", "draft") else None
    targets = [ref.ref for ref in context.store.refs.of_repo(context.repo) if ref.ref == f"refs/heads/{found.target}"]
    if proposed is None or not targets:
        return []
    base, _, theirs = proposed
    ours = context.store.revisions.changes(
        context.repo, base, context.store.revisions.resolve(context.repo, targets[0])
    )
    return [path for path in theirs if path in ours and content_id(theirs[path][1]) != content_id(ours[path][1])]


def content_id(entry: Entry | None) -> str | None:
    return None if entry is None else entry.oid


_ALL = "/api/{kinds}/{repo}/discussions"
_ONE = f"{_ALL}/{{number}}"
routes = [
    Route("GET", _ALL, "read", list_discussions, "`get_repo_discussions`"),
    Route(
        "POST",
        _ALL,
        "discuss",
        open_discussion,
        "`create_discussion`, `create_pull_request`, uploads",
    ),
    Route("GET", _ONE, "read", details, "`get_discussion_details`, with the diff of files"),
    Route("POST", f"{_ONE}/comment", "discuss", comment, "`comment_discussion`"),
    Route("POST", f"{_ONE}/comment/{{comment}}/edit", "discuss", edit, "`edit_discussion_comment`; its author only"),
    Route(
        "POST", f"{_ONE}/comment/{{comment}}/hide", "discuss", hide, "`hide_discussion_comment`; its author, or `write`"
    ),
    Route("POST", f"{_ONE}/status", "discuss", change_status, "`change_discussion_status`; its author, or `write`"),
    Route("POST", f"{_ONE}/title", "discuss", rename, "`rename_discussion`; its author, or `write`"),
    Route("POST", f"{_ONE}/merge", "write", merge, "`merge_pull_request`"),
]

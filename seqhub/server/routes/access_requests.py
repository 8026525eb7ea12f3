"""Routes of gated repositories: requests for access, and decisions."""

from starlette.responses import JSONResponse, Response

from seqhub.server import serializers
from seqhub.server.errors import HubHTTPError
from seqhub.server.json_body import Fields
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route
from seqhub.server.store.access_requests import AccessStatus
from seqhub.server.types import Account

STATUSES: tuple[AccessStatus, ...] = ("pending", "accepted", "rejected")


def request_access(context: RequestContext) -> Response:
    """Request access; it is granted immediately if `gated` is "auto"."""
    require_gated(context)
    context.store.access_requests.create(context.repo, context.user)
    return JSONResponse({"success": True})


def list_requests(context: RequestContext) -> Response:
    """List requests with a status; e-mail addresses are not included."""
    items = []
    for found in context.store.access_requests.of_repo(context.repo, parse_status(context.params["status"])):
        items.append(
            {
                "requestId": request_id(found.account),
                "user": serializers.account_item(found.account),
                "status": found.status,
                "timestamp": serializers.timestamp(found.created),
                "fields": found.fields or None,
            }
        )
    return JSONResponse(items)


def handle(context: RequestContext) -> Response:
    """Accept or reject a request, or reset it to pending; 404 if it has this status, as on the public Hub."""
    require_gated(context)
    fields = context.json()
    status = parse_status(fields.text("status", limit=20))
    user = named_user(context, fields)
    current = status_of(context, user)
    if current is None:
        raise HubHTTPError(404, f"{user.name} has not requested access to {context.repo.repo_id}.")
    if current == status:
        raise HubHTTPError(404, f"The request of {user.name} is {status} already.")
    context.store.access_requests.decide(context.repo, user.name, status)
    return JSONResponse({"success": True})


def grant(context: RequestContext) -> Response:
    """Give a user access without a request."""
    require_gated(context)
    user = named_user(context, context.json())
    if status_of(context, user) == "accepted":
        raise HubHTTPError(400, f"{user.name} has access to {context.repo.repo_id} already.")
    context.store.access_requests.decide(context.repo, user.name, "accepted", grant=True)
    return JSONResponse({"success": True})


def parse_status(given: str) -> AccessStatus:
    """Return a status after validation."""
    for status in STATUSES:
        if given == status:
            return status
    raise HubHTTPError(400, f'"status" must be one of {", ".join(STATUSES)}, not {given[:40]!r}.')


def require_gated(context: RequestContext) -> None:
    """Check that the repository is gated."""
    if context.repo.gated == "no":
        raise HubHTTPError(400, f"{context.repo.repo_id} is not gated.")


def request_id(user: Account) -> str:
    """Return the id of a request, which is the id of the user, since a user has one request per repository."""
    return f"{user.id:024x}"


def named_user(context: RequestContext, fields: Fields) -> Account:
    """Return the user in a body, given by name or by the id of a request."""
    name = fields.optional_text("user", limit=96)
    if name is None:
        wanted = fields.text("requestId", limit=24)
        for found in context.store.access_requests.of_repo(context.repo):
            if request_id(found.account) == wanted:
                return found.account
        raise HubHTTPError(404, f"No request has the id {wanted!r}.")
    user = context.store.accounts.find(name)
    if user is None or user.is_org:
        raise HubHTTPError(404, f"No user is called {name!r}.")
    return user


def status_of(context: RequestContext, user: Account) -> AccessStatus | None:
    """Return the status of the request of a user; None if there is none."""
    return next(
        (found.status for found in context.store.access_requests.of_repo(context.repo) if found.account.id == user.id),
        None,
    )


_GATE = "/api/{kinds}/{repo}/user-access-request"
routes = [
    Route(
        "POST", "/{prefix}{repo}/ask-access", "info", request_access, "access request on the page of a gated repository"
    ),
    Route(
        "GET",
        f"{_GATE}/{{status}}",
        "admin",
        list_requests,
        "`list_pending_access_requests`, `list_accepted_`, `list_rejected_`",
    ),
    Route("POST", f"{_GATE}/handle", "admin", handle, "`accept_`, `reject_`, `cancel_access_request`"),
    Route("POST", f"{_GATE}/grant", "admin", grant, "`grant_access`"),
]

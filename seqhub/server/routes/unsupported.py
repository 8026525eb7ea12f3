"""Unsupported routes, which return 501 with an explanation instead of 404."""

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Handler, Route


def _handler_of(what: str) -> Handler:
    def refuse(context: RequestContext) -> Response:
        raise HubHTTPError(501, f"{what} are not part of this Hub: see docs/hub-compatibility.md of seqhub.")

    return refuse


def _unsupported(pattern: str, what: str, reason: str) -> list[Route]:
    handler = _handler_of(what)
    return [
        Route("*", tail, "public", handler, f"{what}: {reason}", state="unsupported")
        for tail in (pattern, f"{pattern}/{{rest*}}")
    ]


routes = [
    *_unsupported("/api/buckets", "Buckets", "storage without revisions"),
    *_unsupported("/api/collections", "Collections", "a feature of the website"),
    *_unsupported("/api/settings/webhooks", "Webhooks", "this server sends no requests"),
    *_unsupported("/api/jobs", "Jobs", "this server runs no computations"),
    *_unsupported("/api/scheduled-jobs", "Scheduled jobs", "this server runs no computations"),
    *_unsupported("/api/kernels", "Kernels", "repository type not supported"),
    *_unsupported("/api/papers", "Papers", "a feature of the website"),
    *_unsupported("/api/daily_papers", "Daily papers", "a feature of the website"),
    *_unsupported("/oauth", "OAuth logins", "create tokens with `seqhub hub token`"),
    *_unsupported("/api/inference-endpoints", "Inference endpoints", "this server runs no computations"),
    *_unsupported("/api/{kinds}/{repo}/runtime", "Space runtimes", "spaces are not run"),
    *_unsupported("/api/{kinds}/{repo}/secrets", "Space secrets", "spaces are not run"),
    *_unsupported("/api/{kinds}/{repo}/variables", "Space variables", "spaces are not run"),
    *_unsupported("/api/{kinds}/{repo}/resource-group", "Resource groups", "organisations have roles only"),
    *_unsupported("/api/users/{name}/followers", "Followers", "a feature of the website"),
    *_unsupported("/api/users/{name}/following", "Followers", "a feature of the website"),
    *_unsupported("/api/organizations/{name}/followers", "Followers", "a feature of the website"),
]

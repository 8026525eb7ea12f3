"""Routes that are not supported: a clear line with 501 instead of a 404."""

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
    *_unsupported("/api/buckets", "Buckets", "another product, storage without revisions"),
    *_unsupported("/api/collections", "Collections", "lists for browsing; nothing here browses"),
    *_unsupported("/api/settings/webhooks", "Webhooks", "this server never calls out"),
    *_unsupported("/api/jobs", "Jobs", "nothing is computed here"),
    *_unsupported("/api/scheduled-jobs", "Scheduled jobs", "nothing is computed here"),
    *_unsupported("/api/kernels", "Kernels", "a repository type that this Hub does not have"),
    *_unsupported("/api/papers", "Papers", "a catalogue of the public Hub"),
    *_unsupported("/api/daily_papers", "Daily papers", "a catalogue of the public Hub"),
    *_unsupported("/oauth", "OAuth logins", "tokens are made with `seqhub hub token`"),
    *_unsupported("/api/inference-endpoints", "Inference endpoints", "nothing is computed here"),
    *_unsupported("/api/{kinds}/{repo}/runtime", "Space runtimes", "spaces are plain repositories"),
    *_unsupported("/api/{kinds}/{repo}/secrets", "Space secrets", "spaces are plain repositories"),
    *_unsupported("/api/{kinds}/{repo}/variables", "Space variables", "spaces are plain repositories"),
    *_unsupported("/api/{kinds}/{repo}/leaderboard", "Leaderboards", "a catalogue of the public Hub"),
    *_unsupported("/api/{kinds}/{repo}/resource-group", "Resource groups", "organisations have roles only"),
    *_unsupported("/api/users/{name}/followers", "Followers", "a social feature of the public Hub"),
    *_unsupported("/api/users/{name}/following", "Followers", "a social feature of the public Hub"),
    *_unsupported("/api/organizations/{name}/followers", "Followers", "a social feature of the public Hub"),
]

"""Routes that are not supported: a clear line with 501 instead of a 404."""

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Handler, Route


def _refusing(what: str) -> Handler:
    def refuse(call: RequestContext) -> Response:
        raise HubHTTPError(501, f"{what} are not part of this Hub: see docs/hub-compatibility.md of seqhub.")

    return refuse


def _left_out(pattern: str, what: str, reason: str) -> list[Route]:
    handler = _refusing(what)
    return [
        Route("*", tail, "public", handler, f"{what}: {reason}", state="left out")
        for tail in (pattern, f"{pattern}/{{rest*}}")
    ]


routes = [
    *_left_out("/api/buckets", "Buckets", "another product, storage without revisions"),
    *_left_out("/api/collections", "Collections", "lists for browsing; nothing here browses"),
    *_left_out("/api/settings/webhooks", "Webhooks", "this server never calls out"),
    *_left_out("/api/jobs", "Jobs", "nothing is computed here"),
    *_left_out("/api/scheduled-jobs", "Scheduled jobs", "nothing is computed here"),
    *_left_out("/api/kernels", "Kernels", "a kind of repository that trains nothing here"),
    *_left_out("/api/papers", "Papers", "a catalogue of the public Hub"),
    *_left_out("/api/daily_papers", "Daily papers", "a catalogue of the public Hub"),
    *_left_out("/oauth", "OAuth logins", "tokens are made with `seqhub hub token`"),
    *_left_out("/api/inference-endpoints", "Inference endpoints", "nothing is computed here"),
    *_left_out("/api/{kinds}/{repo}/runtime", "Space runtimes", "spaces are plain repositories"),
    *_left_out("/api/{kinds}/{repo}/secrets", "Space secrets", "spaces are plain repositories"),
    *_left_out("/api/{kinds}/{repo}/variables", "Space variables", "spaces are plain repositories"),
    *_left_out("/api/{kinds}/{repo}/leaderboard", "Leaderboards", "a catalogue of the public Hub"),
    *_left_out("/api/{kinds}/{repo}/resource-group", "Resource groups", "organisations have roles only"),
    *_left_out("/api/users/{name}/followers", "Followers", "a social feature of the public Hub"),
    *_left_out("/api/users/{name}/following", "Followers", "a social feature of the public Hub"),
    *_left_out("/api/organizations/{name}/followers", "Followers", "a social feature of the public Hub"),
]

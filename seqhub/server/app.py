"""The ASGI application: table of routes, matching, authentication, authorisation, dispatch.

Before a handler runs, the dispatcher identifies the client, finds the repository of the request and checks the
permission, in the same snapshot of the database as the handler.
"""

import inspect
import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from seqhub.server import serializers
from seqhub.server.answer_cache import AnswerCache
from seqhub.server.auth import Identity, absent, authorise, identify
from seqhub.server.errors import CODES, HubHTTPError
from seqhub.server.limits import BodyLimiter
from seqhub.server.middleware import VIEWER_HOST
from seqhub.server.pages.table import routes as page_routes
from seqhub.server.pages.templating import error_page
from seqhub.server.pickle_scan import Scanner
from seqhub.server.rate_limit import RateLimit
from seqhub.server.request import HeavyWork, RequestContext, accepts_html, raw_path
from seqhub.server.routes import (
    access_requests,
    account,
    commits,
    discussions,
    files,
    git_http,
    leaderboard,
    lfs,
    listing,
    refs,
    repos,
    unsupported,
    viewer,
    xet,
)
from seqhub.server.routing import PathPattern, PlainHandler, Route, StreamingHandler
from seqhub.server.settings import Settings
from seqhub.server.spool import IN_MEMORY_BYTES, spooled
from seqhub.server.types import RepoType
from seqhub.server.viewer.datasets import Viewer
from seqhub.server.workers import Workers

if TYPE_CHECKING:
    from seqhub.server.store import Store

logger = logging.getLogger(__name__)


def table() -> list[Route]:
    """Return all routes, in the order in which they are tried."""
    rows: list[Route] = []
    for group in (
        account,
        repos,
        commits,
        files,
        refs,
        discussions,
        access_requests,
        leaderboard,
        git_http,
        lfs,
        xet,
        viewer,
        unsupported,
        listing,
    ):
        rows += group.routes
    return rows + page_routes


def compatibility() -> str:
    """Render the table of routes as `docs/hub-compatibility.md`."""
    rows = "".join(
        f"| {route.method.replace('*', 'any')} | `{route.pattern}` | {route.permission} | {route.state} "
        f"| {route.purpose} |\n"
        for route in table()
    )
    works = sum(route.state == "works" for route in table())
    return f"""# Routes of the embedded Hub

Rendered from the table in `seqhub/server/app.py` by `seqhub.server.app.compatibility()`: {works} routes work. Other
requests return an error in JSON. A test compares this page with the table.

`{{kinds}}` is `models`, `datasets` or `spaces`; `{{prefix}}` is nothing, `datasets/` or `spaces/`; `{{repo}}` is
`namespace/name`, case-insensitive; a name without a namespace redirects to `seqhub/name`. GET routes also serve HEAD.
The routes under `{viewer.PREFIX}` take the repository as the parameter `dataset`, and also answer without this prefix
under the host name `datasets-server.HOST`, where `datasets` expects them.
`/healthz` and `/metrics` are not in the table. The routes of web pages exist for requests whose `Accept` header names
`text/html`, as that of a browser; for other requests these paths return 404. Permissions (see
`seqhub/server/auth.py`): `public` needs nothing, `signed` a signed URL, `account` any signed-in user, `info` a
repository that the client may see, `read` its files, `discuss` a signed-in reader with a token that may write, `write`
and `admin` the right to do so, `operator` a token of role admin that is not restricted to repositories.

| method | path | permission | state | for |
| --- | --- | --- | --- | --- |
{rows}"""


def create_app(store: "Store", *, settings: Settings | None = None, routes: Sequence[Route] | None = None) -> Starlette:
    """Create the ASGI application of a store."""
    app = Starlette()
    app.router.redirect_slashes = False
    app.router.default = Dispatcher(store, settings or Settings(), table() if routes is None else routes)
    return app


class Dispatcher:
    """Dispatch of requests: match, identify, find the repository, authorise, read the body, answer."""

    def __init__(self, store: "Store", settings: Settings, routes: Sequence[Route]) -> None:
        self.store = store
        self.settings = settings
        self.scanner = Scanner(store.scans) if self.settings.scan_pickles else None
        self.body_limiter = BodyLimiter()
        self.workers = Workers()
        self.diffs: AnswerCache[str] = AnswerCache(4 * 2**20)
        self.headers: AnswerCache[bytes] = AnswerCache(8 * 2**20)
        self.viewer = Viewer()
        self.rendered: AnswerCache[str] = AnswerCache(16 * 2**20)
        self.wrong_tokens = RateLimit(settings.max_wrong_tokens, settings.wrong_token_seconds)
        self.rows = [(PathPattern(route.pattern), route) for route in routes]

    def close(self) -> None:
        """Stop the child processes and the threads."""
        self.workers.close()
        self.viewer.close()
        if self.scanner is not None:
            self.scanner.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = scope.setdefault("seqhub.request_id", uuid.uuid4().hex)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        request = Request(scope, receive)
        try:
            response = await self.answer(request)
        except HubHTTPError as error:
            response = error_response(error, request)
        except Exception:
            logger.exception("request %s failed", request_id)
            message = f"Internal error; see {request_id} in the log of the server."
            response = error_response(HubHTTPError(500, message), request)
        await response(scope, receive, send_with_id)

    async def answer(self, request: Request) -> Response:
        """Return the response to a request."""
        path = viewer_path(request) or raw_path(request)
        wants_page = accepts_html(request) and request.method in ("GET", "HEAD")
        request.scope["seqhub.is_page"] = wants_page  # also for the error of a path that has no route
        route, params = self.match("GET" if request.method == "HEAD" else request.method, path, pages=wants_page)
        request.scope["seqhub.is_page"] = route.is_page
        if route.takes_dataset:
            params |= {"kinds": "datasets", "repo": dataset_parameter(request)}
        request.scope["seqhub.route"] = route.pattern  # for log and metrics: labels must not contain paths
        context = RequestContext(
            request=request,
            store=self.store.session(),
            shared_store=self.store,
            settings=self.settings,
            identity=Identity(),
            params=params,
            scanner=self.scanner,
            body_limiter=self.body_limiter,
            workers=self.workers,
            diffs=self.diffs,
            headers=self.headers,
            viewer=self.viewer,
            rendered=self.rendered,
            body_limit=route.body_limit,
        )
        if inspect.iscoroutinefunction(route.handler):
            redirect = await context.run("light", lambda: self.admit(context, route, path))
            return redirect or await cast(StreamingHandler, route.handler)(context)
        handler = cast(PlainHandler, route.handler)
        folder = self.store.root / "tmp"

        def admitted() -> Response:
            """Admit the request and answer it in one snapshot."""
            return self.admit(context, route, path) or spooled(handler(context), folder)

        if not has_body(request) and route.pool == "light":
            try:
                return await context.run("light", admitted)
            except HeavyWork as moved:
                context.is_heavy = True
                return await context.run(moved.work, admitted)
        # No snapshot is held while a body is read or the request waits for a worker of another pool.
        redirect = await context.run("light", lambda: self.admit(context, route, path))
        if redirect is not None:
            return redirect
        file, size = await context.spooled_body()

        def answered() -> Response:
            file.seek(0)
            context.body = file.read()
            return admitted()

        try:
            context.is_heavy = route.pool == "heavy" or size > IN_MEMORY_BYTES
            try:
                return await context.run("heavy" if context.is_heavy else route.pool, answered)
            except HeavyWork as moved:
                context.is_heavy = True
                return await context.run(moved.work, answered)
        finally:
            context.body = b""
            file.close()

    def match(self, method: str, path: str, *, pages: bool = False) -> tuple[Route, dict[str, str]]:
        """Return the route of a path, and its parameters; web pages are found with `pages` only."""
        allowed: set[str] = set()
        for pattern, route in self.rows:
            if (route.is_page and not pages) or pattern.regex.fullmatch(path) is None:
                continue
            if route.method in (method, "*"):
                return route, pattern.match(path) or {}
            allowed.add(route.method)
        if allowed:
            allow = ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set())))
            raise HubHTTPError(405, f"{method} is not allowed here; allowed: {allow}.", headers={"Allow": allow})
        raise HubHTTPError(404, "Sorry, this page does not exist: no route of this Hub has that path.")

    def admit(self, context: RequestContext, route: Route, path: str) -> Response | None:
        """Identify and authorise the client; return a redirect if the repository has another id now."""
        if route.permission == "signed":
            return None
        context.identity = self.identify(context, route.challenge)
        if "repo" not in context.params:
            authorise(context.store, context.identity, route.permission)
            return None
        repo_id = context.params["repo"]
        repo_type = repo_type_of(context.params)
        repo = context.store.repos.find(repo_type, repo_id) if "/" in repo_id else None
        if repo is None:
            return self.redirect(context, route, path, repo_type, repo_id)
        authorise(context.store, context.identity, route.permission, repo)
        context.found_repo = repo
        return None

    def identify(self, context: RequestContext, challenge: str) -> Identity:
        """Identify the client; after many wrong tokens from its address, raise 429 for each further one."""
        try:
            return identify(context.request, context.store, challenge=challenge)
        except HubHTTPError as error:
            if error.status != 401:
                raise
            client = context.request.client
            wait = math.ceil(self.wrong_tokens.record_wrong(client.host if client else ""))
            if not wait:
                raise
            limit = f"{self.settings.max_wrong_tokens} in {self.settings.wrong_token_seconds:g} seconds"
            raise HubHTTPError(
                429,
                f"Too many wrong tokens from your address (limit {limit}): try again in {wait} s, or with a valid one.",
                headers={"Retry-After": str(wait)},
            ) from None

    def redirect(self, context: RequestContext, route: Route, path: str, repo_type: RepoType, repo_id: str) -> Response:
        """Return a redirect from the former id of a moved repository, or from a name without a namespace.

        Raises 404 if the client may not see the target, as for the current id of a private repository.
        """
        if "/" in repo_id:
            target = context.store.repos.redirect(repo_type, repo_id)
        else:
            target = context.store.repos.find(repo_type, f"{serializers.DEFAULT_NAMESPACE}/{repo_id}")
        if target is None:
            raise absent(context.identity)
        try:
            authorise(context.store, context.identity, "info", target)
        except HubHTTPError:
            raise absent(context.identity) from None
        if route.takes_dataset:
            url = context.request.url.include_query_params(dataset=target.repo_id)
            return RedirectResponse(f"{raw_path(context.request)}?{url.query}", status_code=307)
        found = PathPattern(route.pattern).regex.fullmatch(path)
        if found is None:
            raise absent(context.identity)
        location = path[: found.start("repo")] + target.repo_id + path[found.end("repo") :]
        query = context.request.url.query
        return RedirectResponse(location + (f"?{query}" if query else ""), status_code=307)


def repo_type_of(params: Mapping[str, str]) -> RepoType:
    """Return the repository type from `{kinds}` or `{prefix}` of a path."""
    return serializers.REPO_TYPE_OF[params.get("kinds") or params.get("prefix", "").rstrip("/") or "models"]


def viewer_path(request: Request) -> str | None:
    """Return the path of a route of the dataset viewer for a request to its host name; None for other hosts."""
    is_viewer = request.headers.get("host", "").strip().lower().startswith(VIEWER_HOST)
    return viewer.PREFIX + raw_path(request) if is_viewer else None


def dataset_parameter(request: Request) -> str:
    """Return the repository id in a query."""
    given = request.query_params.get("dataset", "")
    if not given.strip():
        raise HubHTTPError(422, "Parameter 'dataset' is required", code="MissingRequiredParameter")
    if "\0" in given:
        raise HubHTTPError(400, "The parameter 'dataset' contains a NUL.")
    return given


def has_body(request: Request) -> bool:
    """Return whether a request has a body."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def error_response(error: HubHTTPError, request: Request) -> Response:
    """Return the response of an error, with the headers by which clients choose their exceptions: JSON, or a page."""
    headers = {
        serializers.ERROR_MESSAGE: serializers.header_text(error.message),
        serializers.ERROR_CODE: error.code or CODES[error.status],
        **error.headers,
    }
    if request.scope.get("seqhub.is_page"):
        return error_page(error, request, headers)
    body = {"error": error.message.encode(errors="replace").decode(), **error.body}
    return JSONResponse(body, error.status, headers)

"""Request context: identity, repository, parameters and body of a request, and a session of the store."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from seqhub.server.answer_cache import AnswerCache
from seqhub.server.auth import Identity, Permission, absent, authorise, unauthorised
from seqhub.server.errors import HubHTTPError
from seqhub.server.json_body import Fields, as_texts, parse_object
from seqhub.server.limits import JSON_LIMIT, BodyLimiter, limited_stream
from seqhub.server.pickle_scan import Scanner
from seqhub.server.settings import Settings
from seqhub.server.spool import IN_MEMORY_BYTES, spool
from seqhub.server.store.database import storage_errors
from seqhub.server.types import Account, Commit, Repo, RepoType
from seqhub.server.viewer.datasets import Viewer
from seqhub.server.workers import Work, Workers

if TYPE_CHECKING:
    from seqhub.server.store import Store, StoreSession

T = TypeVar("T")


class HeavyWork(Exception):  # noqa: N818  not an error: the request moves to another pool
    """Raised by a handler, so that it is run again in another pool.

    Args:
        work: Pool of workers.
    """

    def __init__(self, work: Work = "heavy") -> None:
        super().__init__(work)
        self.work = work


@dataclass(slots=True)
class RequestContext:
    """Request that was matched to a route, identified and authorised."""

    request: Request
    store: "StoreSession"
    shared_store: "Store"  # for work that continues after the request
    settings: Settings
    identity: Identity
    params: Mapping[str, str]  # parameters of the path, percent-decoded once
    scanner: Scanner | None = None  # None if scans are disabled
    body_limiter: BodyLimiter = field(default_factory=BodyLimiter, repr=False)
    workers: Workers = field(default_factory=Workers, repr=False)
    is_heavy: bool = False  # True on a heavy worker, and after a handler has asked for another pool
    diffs: AnswerCache[str] = field(default_factory=lambda: AnswerCache(0), repr=False)
    headers: AnswerCache[bytes] = field(default_factory=lambda: AnswerCache(0), repr=False)  # of safetensors files
    rendered: AnswerCache[str] = field(default_factory=lambda: AnswerCache(0), repr=False)  # parts of web pages
    viewer: Viewer = field(default_factory=Viewer, repr=False)
    found_repo: Repo | None = None  # if the pattern has {repo}, or the query a dataset
    body_limit: int = JSON_LIMIT
    body: bytes = field(default=b"", repr=False)  # plain handlers only, read before they start

    @property
    def repo(self) -> Repo:
        """Repository in the path of the request."""
        if self.found_repo is None:
            raise RuntimeError(f"the route of {self.request.url.path} has no repository")
        return self.found_repo

    @property
    def account(self) -> Account | None:
        """Account of the request; None for an anonymous request."""
        return self.identity.account

    @property
    def user(self) -> Account:
        """Account of the request; an anonymous request raises 401."""
        if self.identity.account is None:
            raise unauthorised("Sign in first: this needs a token", self.identity.challenge)
        return self.identity.account

    @property
    def base_url(self) -> str:
        """Scheme, host and port as sent by the client, for URLs in responses."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    def may_use(self, sha256: str) -> bool:
        """Return whether this request may commit a large file: see `viewer_values` of the store."""
        return self.store.blobs.may_use(self.user, sha256, self.identity.token)

    def require(self, permission: Permission) -> None:
        """Check a further permission that depends on body or query."""
        authorise(self.store, self.identity, permission, self.repo)

    def require_namespace(self, permission: Permission, namespace: str) -> None:
        """Check a permission in a namespace."""
        authorise(self.store, self.identity, permission, namespace)

    def get_repo(self, repo_type: RepoType, repo_id: str, permission: Permission) -> Repo:
        """Return a repository given in a body; the error for absent and for invisible repositories is the same."""
        repo = self.store.repos.find(repo_type, repo_id)
        if repo is None:
            raise absent(self.identity)
        authorise(self.store, self.identity, permission, repo)
        return repo

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter; clients send True, true or 1."""
        return is_true(self.request.query_params.get(name))

    def next_url(self, cursor: str) -> str:
        """Return the URL of the next page."""
        url = self.request.url.include_query_params(cursor=cursor)
        path = quote(raw_path(self.request), safe="/%:@!$&'()*+,;=~")  # clients may send < and > unquoted
        return f"{self.base_url}{path}?{url.query}"

    def values(self, name: str) -> list[str]:
        """Return the values of a repeated query parameter, with or without `[]`, or comma-separated."""
        query = self.request.query_params
        given = [*query.getlist(name), *query.getlist(f"{name}[]")]
        return [part for value in given for part in value.split(",") if part]

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return an integer query parameter."""
        text = self.request.query_params.get(name)
        return default if text is None else parse_integer(text, name, low=low, high=high)

    def commit(self, name: str = "revision") -> Commit:
        """Return the commit of the revision in the path; without one, the head of main."""
        return self.store.revisions.resolve(self.repo, self.params.get(name, "main"))

    def json(self) -> "Fields":
        """Return the body as a JSON object; {} for an empty body."""
        return Fields(parse_object(self.body)) if self.body.strip() else Fields({})

    def form(self) -> dict[str, list[str]]:
        """Return the fields of a form body; a JSON body with the same fields is also accepted."""
        if "json" in self.request.headers.get("content-type", ""):
            return {key: as_texts(value, key) for key, value in parse_object(self.body).items()}
        try:
            return parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=20_000, errors="strict")
        except ValueError as problem:
            raise HubHTTPError(400, f"Invalid form body: {problem}") from None

    @property
    def client(self) -> str:
        """Key of this client in queues: its account, or its address."""
        if self.identity.account is not None:
            return self.identity.account.name
        return f"@{self.request.client.host}" if self.request.client else "@"

    def require_heavy_worker(self, work: Work = "heavy") -> None:
        """Raise HeavyWork unless the request already runs in the pool for such work."""
        if not self.is_heavy:
            raise HeavyWork(work)

    async def run(self, work: Work, function: Callable[[], T]) -> T:
        """Run a blocking function in a pool, within one snapshot of the database."""
        return await self.workers.run(work, self.client, partial(self._in_snapshot, function))

    def iterate(self, work: Work, pieces: Iterator[T]) -> AsyncIterator[T]:
        """Yield the pieces of a response, each computed in a pool."""
        return self.workers.iterate(work, self.client, pieces)

    async def spooled_body(self) -> tuple[IO[bytes], int]:
        """Return the body as a file, which is kept in memory if it is short, and its size."""
        file, size = spool(self.store.root / "tmp"), 0
        try:
            async for chunk in self.chunks():
                size += len(chunk)
                if size > IN_MEMORY_BYTES:
                    await run_in_threadpool(file.write, chunk)
                else:
                    file.write(chunk)
            file.seek(0)
        except BaseException as problem:
            file.close()
            if isinstance(problem, OSError):
                with storage_errors():
                    raise
            raise
        return file, size

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, up to the limit of the route."""
        async for chunk in limited_stream(self.request, self.body_limit):
            yield chunk

    async def in_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking call of the store in a thread, within one snapshot of the database."""
        return await run_in_threadpool(self._in_snapshot, partial(function, *args, **kwargs))

    def _in_snapshot(self, function: Callable[[], T]) -> T:
        with self.store.snapshot():
            return function()


def is_true(text: str | None) -> bool:
    """Return whether a query or form value is true."""
    return text is not None and text.lower() in {"1", "true", "yes"}


def parse_integer(text: str, name: str, *, low: int, high: int) -> int:
    """Parse an integer query parameter."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
        raise HubHTTPError(400, f'"{name}" must be a whole number from {low} to {high}, not {text[:40]!r}.')
    return int(text)


def accepts_html(request: Request) -> bool:
    """Return whether the client asks for HTML by name, as browsers do; API clients send `*/*` or JSON."""
    return any("text/html" in value.lower() for value in request.headers.getlist("accept"))


def raw_path(request: Request) -> str:
    """Return the path as sent by the client: `refs%2Fpr%2F1` is one segment."""
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    try:
        return str(raw.decode("ascii"))
    except UnicodeDecodeError:
        raise HubHTTPError(400, "The path is not percent-encoded ASCII.") from None

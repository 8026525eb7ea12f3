"""What every route is made of: a row of the table, the call it answers, and how bodies are read within limits.

A handler is either a plain function, which runs in a worker thread with the whole body read (`call.body`), or a
coroutine function, which reads the stream itself through `call.chunks()`. Either returns a response or raises Refusal.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import parse_qs, quote
from weakref import WeakValueDictionary

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from seqhub.server import strict_json
from seqhub.server.answer_cache import AnswerCache
from seqhub.server.auth import Identity, Permission, absent, authorise, unauthorised
from seqhub.server.errors import HubHTTPError
from seqhub.server.pickle_scan import Scanner
from seqhub.server.settings import Settings
from seqhub.server.spool import HELD_BYTES, spool
from seqhub.server.store.database import refusing
from seqhub.server.types import Account, Commit, Kind, Repo
from seqhub.server.workers import FairQueue, Work, Workers

if TYPE_CHECKING:
    from seqhub.server.store import Store, StoreSession

JSON_LIMIT = 2 * 2**20
_HALF_OR_NUL = re.compile("[\ud800-\udfff\0]")

State = Literal["works", "left out"]
T = TypeVar("T")


class BodyLimiter:
    """Limit the shards that are held in memory at a time, and let commits to one branch follow one another."""

    def __init__(self) -> None:
        self._small, self._large = FairQueue(4), FairQueue(1)
        self._branches: WeakValueDictionary[str, FairQueue] = WeakValueDictionary()

    def for_body(self, size: int, small_bytes: int) -> FairQueue:
        return self._small if size <= small_bytes else self._large

    def branch(self, name: str) -> FairQueue:
        """The queue of the commits to one branch: they would only overtake one another."""
        queue = self._branches.get(name)
        if queue is None:
            queue = self._branches[name] = FairQueue(1)
        return queue


class HeavyWork(Exception):  # noqa: N818  not an error: the request moves to another pool
    """Raised by a handler on a light worker that finds more to do than such a worker should."""


@dataclass(slots=True)
class RequestContext:
    """One request, after the table has decided who asks, for which repository, and that they may."""

    request: Request
    store: "StoreSession"
    lasting_store: "Store"  # for work that outlives the request
    settings: Settings
    identity: Identity
    params: Mapping[str, str]  # what the pattern caught, percent-decoded once
    scanner: Scanner | None = None  # None: nothing is scanned
    turns: BodyLimiter = field(default_factory=BodyLimiter, repr=False)
    workers: Workers = field(default_factory=Workers, repr=False)
    is_heavy: bool = False  # it runs on a heavy worker
    diffs: AnswerCache[str] = field(default_factory=lambda: AnswerCache(0), repr=False)
    headers: AnswerCache[bytes] = field(default_factory=lambda: AnswerCache(0), repr=False)  # of safetensors files
    found_repo: Repo | None = None  # where the pattern has {repo}
    body_limit: int = JSON_LIMIT
    body: bytes = field(default=b"", repr=False)  # of plain handlers: read before they start

    @property
    def repo(self) -> Repo:
        if self.found_repo is None:
            raise RuntimeError(f"the route of {self.request.url.path} names no repository")
        return self.found_repo

    @property
    def account(self) -> Account | None:
        return self.identity.account

    @property
    def user(self) -> Account:
        """Whoever asks, on routes that only signed-in accounts reach."""
        if self.identity.account is None:
            raise unauthorised("Sign in first: this needs a token", self.identity.challenge)
        return self.identity.account

    @property
    def base_url(self) -> str:
        """Scheme, host and port as the client wrote them, for URLs in answers."""
        return f"{self.request.url.scheme}://{self.request.url.netloc}"

    def may_use(self, sha256: str) -> bool:
        """Return whether this request may commit the content of a large file: see `viewer_values` of the store."""
        return self.store.blobs.may_use(self.user, sha256, self.identity.token)

    def require(self, permission: Permission) -> None:
        """Ask for more than the route declares, where the body or the query decides what is needed."""
        authorise(self.store, self.identity, permission, self.repo)

    def require_namespace(self, permission: Permission, namespace: str) -> None:
        authorise(self.store, self.identity, permission, namespace)

    def reach(self, kind: Kind, full_name: str, permission: Permission) -> Repo:
        """A repository that a body names, if the caller may; absent and private ones get the same answer."""
        repo = self.store.repos.find(kind, full_name)
        if repo is None:
            raise absent(self.identity)
        authorise(self.store, self.identity, permission, repo)
        return repo

    def flag(self, name: str) -> bool:
        """A query flag: clients write True, true or 1."""
        return is_true(self.request.query_params.get(name))

    def next_url(self, cursor: str) -> str:
        """The same request one page on."""
        url = self.request.url.include_query_params(cursor=cursor)
        path = quote(raw_path(self.request), safe="/%:@!$&'()*+,;=~")  # a client may leave < and > as they are
        return f"{self.base_url}{path}?{url.query}"

    def values(self, name: str) -> list[str]:
        """A repeated query parameter, with and without `[]`, also comma-separated."""
        query = self.request.query_params
        given = [*query.getlist(name), *query.getlist(f"{name}[]")]
        return [part for value in given for part in value.split(",") if part]

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        text = self.request.query_params.get(name)
        return default if text is None else whole_number(text, name, low=low, high=high)

    def commit(self, name: str = "revision") -> Commit:
        """The commit that the path names; without one, the head of main."""
        return self.store.revisions.resolve(self.repo, self.params.get(name, "main"))

    def json(self) -> "Fields":
        """The body as a JSON object; an empty one where the client sent none."""
        return Fields(parse_object(self.body)) if self.body.strip() else Fields({})

    def form(self) -> dict[str, list[str]]:
        """The body as a form, or as JSON: clients in other languages send the same fields so."""
        if "json" in self.request.headers.get("content-type", ""):
            return {key: as_texts(value, key) for key, value in parse_object(self.body).items()}
        try:
            return parse_qs(self.body.decode(), keep_blank_values=True, max_num_fields=20_000, errors="strict")
        except ValueError as problem:
            raise HubHTTPError(400, f"Invalid form body: {problem}") from None

    @property
    def client(self) -> str:
        """Whose requests wait for one another: the account, without one the address."""
        if self.identity.account is not None:
            return self.identity.account.name
        return f"@{self.request.client.host}" if self.request.client else "@"

    def need_heavy(self) -> None:
        """Begin again on a heavy worker, unless this is one."""
        if not self.is_heavy:
            raise HeavyWork

    async def run(self, work: Work, function: Callable[[], T]) -> T:
        """Run a blocking function in a pool; its reads see one state of the database."""
        return await self.workers.run(work, self.client, partial(self._in_snapshot, function))

    def iterate(self, work: Work, pieces: Iterator[T]) -> AsyncIterator[T]:
        """Pieces of an answer, each computed in a pool."""
        return self.workers.iterate(work, self.client, pieces)

    async def spooled_body(self) -> tuple[IO[bytes], int]:
        """The whole body in a file that is in memory only while it is short, and its size."""
        file, size = spool(self.store.root / "tmp"), 0
        try:
            async for chunk in self.chunks():
                size += len(chunk)
                if size > HELD_BYTES:
                    await run_in_threadpool(file.write, chunk)
                else:
                    file.write(chunk)
            file.seek(0)
        except BaseException as problem:
            file.close()
            if isinstance(problem, OSError):
                with refusing():
                    raise
            raise
        return file, size

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, never more of it than the route allows."""
        async for chunk in limited_stream(self.request, self.body_limit):
            yield chunk

    async def in_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking call of the store without holding up other requests; its reads see one state."""
        return await run_in_threadpool(self._in_snapshot, partial(function, *args, **kwargs))

    def _in_snapshot(self, function: Callable[[], T]) -> T:
        with self.store.snapshot():
            return function()


PlainHandler = Callable[[RequestContext], Response]
StreamingHandler = Callable[[RequestContext], Awaitable[Response]]
Handler = PlainHandler | StreamingHandler


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table.

    Args:
        method: GET answers HEAD too.
        pattern: Raw path. `{kinds}` is models, datasets or spaces; `{prefix}` is nothing, `datasets/` or `spaces/`;
            `{repo}` one or two segments; `{name}` one segment, maybe with encoded slashes; `{name*}` the rest.
        permission: What the caller needs; asked for the repository where the pattern has one.
        handler: See the module.
        purpose: One line for `docs/hub-compatibility.md`.
        state: Left-out routes answer 501.
        body_limit: Bytes; more is answered with 413.
        work: Pool of workers; None for `light` where the method is GET and `write` otherwise.
        takes_basic: Whether Basic credentials are taken, as git sends them.
    """

    method: str
    pattern: str
    permission: Permission
    handler: Handler
    purpose: str
    state: State = "works"
    body_limit: int = JSON_LIMIT
    work: Work | None = None
    takes_basic: bool = False

    @property
    def pool(self) -> Work:
        """The pool of its plain handler."""
        return self.work or ("light" if self.method == "GET" else "write")


class Fields:
    """Typed reading of a JSON object: an ill-typed field is the client's fault, said in one line."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self.values = values

    def text(self, name: str, default: str | None = None, *, limit: int = 65_536) -> str:
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise HubHTTPError(400, f'Field "{name}" must be a string.')
        if len(value) > limit:
            raise HubHTTPError(400, f'Field "{name}" has {len(value)} characters; at most {limit} are allowed.')
        if _HALF_OR_NUL.search(value):
            raise HubHTTPError(400, f'Field "{name}" holds a NUL or half of a surrogate pair.')
        return value

    def optional_text(self, name: str, *, limit: int = 65_536) -> str | None:
        return None if self.values.get(name) is None else self.text(name, limit=limit)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise HubHTTPError(400, f'Field "{name}" must be true or false.')
        return value

    def integer(self, name: str, *, low: int = 0, high: int = 2**53) -> int:
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise HubHTTPError(400, f'Field "{name}" must be a whole number from {low} to {high}.')
        return value

    def objects(self, name: str, *, limit: int) -> "list[Fields]":
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise HubHTTPError(400, f'Field "{name}" must be a list of objects.')
        if len(value) > limit:
            raise HubHTTPError(413, f'Field "{name}" has {len(value)} items; at most {limit} are allowed.')
        return [Fields(item) for item in value]

    def texts(self, name: str, *, limit: int) -> list[str]:
        value = as_texts(self.values.get(name, []), name)
        if len(value) > limit:
            raise HubHTTPError(413, f'Field "{name}" has {len(value)} items; at most {limit} are allowed.')
        return value

    def fields(self, name: str) -> "Fields":
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise HubHTTPError(400, f'Field "{name}" must be an object.')
        return Fields(value)


def parse_object(raw: bytes) -> dict[str, object]:
    """A JSON object from outside, read strictly: see `strict_json`."""
    try:
        value = strict_json.parse(raw)
    except ValueError as problem:
        raise HubHTTPError(400, f"Invalid JSON: {problem}".splitlines()[0]) from None
    if not isinstance(value, dict):
        raise HubHTTPError(400, "Invalid JSON: an object is expected.")
    return value


def as_texts(value: object, name: str) -> list[str]:
    if isinstance(value, bool):
        return [str(value)]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return list(value)
    raise HubHTTPError(400, f'Field "{name}" must be a string or a list of strings.')


def is_true(text: str | None) -> bool:
    return text is not None and text.lower() in {"1", "true", "yes"}


def whole_number(text: str, name: str, *, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
        raise HubHTTPError(400, f'"{name}" must be a whole number from {low} to {high}, not {text[:40]!r}.')
    return int(text)


def raw_path(request: Request) -> str:
    """The path as it was sent: `refs%2Fpr%2F1` is one segment there."""
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    try:
        return str(raw.decode("ascii"))
    except UnicodeDecodeError:
        raise HubHTTPError(400, "The path is not percent-encoded ASCII.") from None


async def limited_stream(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Chunks of a body; refuses by the declared length first, then by what really comes."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise HubHTTPError(413, f"The body has {declared} bytes; at most {limit} are allowed here.")
    seen = 0
    try:
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > limit:
                raise HubHTTPError(413, f"The body has more than the {limit} bytes that are allowed here.")
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise HubHTTPError(400, "The client went away before the body was complete.") from None

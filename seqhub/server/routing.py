"""Routes of the table, and their path patterns with Starlette convertors for the parameters of Hub URLs.

Patterns match the raw path, because revisions arrive percent-encoded (`refs%2Fpr%2F1` is one segment).

A handler is either a plain function, which runs in a worker thread after the body was read (`context.body`), or a
coroutine function, which reads the body as a stream through `context.chunks()`. Both return a response or raise
HubHTTPError.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import compile_path

from seqhub.server.auth import BASIC, BEARER, OPERATOR, Permission
from seqhub.server.errors import HubHTTPError
from seqhub.server.limits import JSON_LIMIT
from seqhub.server.request import RequestContext
from seqhub.server.store.names import RESERVED
from seqhub.server.workers import Work

State = Literal["works", "unsupported"]
PlainHandler = Callable[[RequestContext], Response]
StreamingHandler = Callable[[RequestContext], Awaitable[Response]]
Handler = PlainHandler | StreamingHandler


@dataclass(frozen=True, slots=True)
class Route:
    """Row of the table of routes.

    Args:
        method: HTTP method; GET routes also serve HEAD. "*" for any method.
        pattern: Raw path. `{kinds}` is models, datasets or spaces; `{prefix}` is nothing, `datasets/` or `spaces/`;
            `{repo}` one or two segments; `{name}` one segment, which may contain encoded slashes; `{name*}` the rest.
        permission: Required permission, for the repository if the pattern has one.
        handler: Plain or coroutine function, see above.
        purpose: Description in `docs/hub-compatibility.md`.
        state: "works" or "unsupported".
        body_limit: Maximum size of the body in bytes; a larger body raises 413.
        work: Pool of workers; None for `light` if the method is GET, and for `write` otherwise.
        takes_dataset: Whether the repository is the query parameter `dataset`, as in the dataset viewer.
        takes_basic: Whether Basic credentials are accepted, which git sends, and browsers with `operator`.
        is_page: Whether the response is a web page; the route exists for clients that accept HTML only.
    """

    method: str
    pattern: str
    permission: Permission
    handler: Handler
    purpose: str
    state: State = "works"
    body_limit: int = JSON_LIMIT
    work: Work | None = None
    takes_dataset: bool = False
    takes_basic: bool = False
    is_page: bool = False

    @property
    def challenge(self) -> str:
        """Challenge in a 401, by which clients choose the scheme of their credentials."""
        return OPERATOR if self.permission == "operator" else BASIC if self.takes_basic else BEARER

    @property
    def pool(self) -> Work:
        """Pool of workers of a plain handler."""
        return self.work or ("light" if self.method == "GET" else "write")


class SegmentConvertor(Convertor[str]):
    """Segment of a path, percent-decoded once."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        try:
            text = unquote(value, errors="strict")
        except UnicodeDecodeError:
            raise HubHTTPError(400, "The path is not valid UTF-8.") from None
        if "\0" in text:
            raise HubHTTPError(400, "The path contains a NUL.")
        return text

    def to_string(self, value: str) -> str:
        return value


class RestConvertor(SegmentConvertor):
    """Rest of a path."""

    regex = ".+"


class TypesConvertor(SegmentConvertor):
    """Repository type in an API route."""

    regex = "models|datasets|spaces"


class PrefixConvertor(SegmentConvertor):
    """Repository type in the URL of a file: empty for a model."""

    regex = "(?:datasets/|spaces/)?"


class RepoConvertor(SegmentConvertor):
    """Repository id: a name, or a namespace and a name that is not a reserved word."""

    regex = rf"[^/]+?(?:/(?!(?:{'|'.join(map(re.escape, sorted(RESERVED)))})(?:/|$))[^/]+?)?"


class RevisionConvertor(SegmentConvertor):
    """Revision; some clients do not encode the slashes of `refs/pr/1`."""

    regex = "refs/(?:pr|convert)/[^/]+|[^/]+"


_CONVERTORS = {  # by the name of a parameter
    "kinds": TypesConvertor,
    "prefix": PrefixConvertor,
    "repo": RepoConvertor,
    "revision": RevisionConvertor,
}
for _name, _convertor in (*_CONVERTORS.items(), ("segment", SegmentConvertor), ("rest", RestConvertor)):
    register_url_convertor(f"hub_{_name}", _convertor())


class PathPattern:
    """Compiled path pattern of a route.

    >>> PathPattern("/api/{kinds}/{repo}/refs").match("/api/models/a/refs")["repo"]
    'a'
    >>> PathPattern("/{prefix}{repo}/resolve/{revision}/{path*}").match("/a/b/resolve/refs%2Fpr%2F1/c/d")["revision"]
    'refs/pr/1'
    """

    def __init__(self, pattern: str) -> None:
        self.regex, _, self._convertors = compile_path(re.sub(r"\{(\w+)(\*?)\}", _with_convertor, pattern))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the percent-decoded parameters of a raw path; None if it does not match.

        Raises:
            HubHTTPError: 400 if a parameter is not UTF-8 or contains a NUL.
        """
        found = self.regex.fullmatch(path)
        if found is None:
            return None
        return {name: self._convertors[name].convert(value) for name, value in found.groupdict().items()}


def _with_convertor(parameter: re.Match[str]) -> str:
    name, star = parameter.groups()
    convertor = "rest" if star else name if name in _CONVERTORS else "segment"
    return f"{{{name}:hub_{convertor}}}"

"""Rendering of pages: templates, security headers, compression and conditional requests."""

import gzip
import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from seqhub.server.conditional import is_known
from seqhub.server.errors import HubHTTPError
from seqhub.server.pages.links import segment
from seqhub.server.pages.static import asset_url, takes_gzip
from seqhub.server.request import RequestContext
from seqhub.server.serializers import path_in_url

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_TITLES = {401: "Not signed in", 403: "Not allowed", 404: "Not found", 410: "Deleted", 429: "Too many requests"}
_MIN_COMPRESSED = 512  # bytes


def page(context: RequestContext, template: str, *, status: int = 200, **values: Any) -> Response:
    """Return a page.

    Args:
        context: Context of the request.
        template: Name of the template.
        status: HTTP status, also a variable of the template.
        values: Further variables of the template.
    """
    values["status"] = status
    return _response(context.request, status, template, {"base_url": context.base_url, **values})


def error_page(error: HubHTTPError, request: Request, headers: dict[str, str]) -> Response:
    """Return the page of an error, with the headers of its JSON response."""
    is_hidden = error.code in ("RepoNotFound", "GatedRepo")  # also with a 401
    status = 404 if is_hidden and error.status == 401 else error.status
    title = _TITLES.get(status, "Error" if status < 500 else "The Hub cannot answer")
    message = error.message.encode(errors="replace").decode()
    values = {"status": error.status, "title": title, "message": message, "is_missing": status == 404}
    response = _response(request, error.status, "error.html", values)
    response.headers.update(headers)
    return response


def _response(request: Request, status: int, template: str, values: dict[str, Any]) -> Response:
    html = environment().get_template(template).render(**values).encode("utf-8", "replace")
    etag = f'"{hashlib.sha256(html).hexdigest()[:32]}"'
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Content-Type": "text/html; charset=utf-8",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding, Authorization",
    }
    if status == 200:
        headers["ETag"] = f"W/{etag}"
        if is_known(request.headers.getlist("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
    if len(html) >= _MIN_COMPRESSED and takes_gzip(request.headers.get("accept-encoding", "")):
        html = gzip.compress(html, 5, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(html, status, headers)


@cache
def environment() -> Environment:
    """Return the environment of the templates; all values are escaped unless they are `Markup`."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {
        "size": size,
        "number": number,
        "day": day,
        "minute": minute,
        "moment": moment,
        "path": path_in_url,
        "part": segment,
    }
    found.globals["asset"] = asset_url
    return found


def size(count: int) -> str:
    """Return a number of bytes for a reader.

    >>> size(0), size(999), size(1234), size(5_600_000)
    ('0 B', '999 B', '1.23 kB', '5.6 MB')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def number(count: int) -> str:
    """Return a whole number with separators of thousands.

    >>> number(1234567)
    '1,234,567'
    """
    return f"{count:,}"


def day(date: datetime) -> str:
    """Return the day of a time, in UTC.

    >>> day(datetime(2026, 1, 2, tzinfo=UTC))
    '2 Jan 2026'
    """
    date = date.astimezone(UTC)
    return f"{date.day} {date:%b %Y}"


def minute(date: datetime) -> str:
    """Return the day and minute of a time, in UTC.

    >>> minute(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2 Jan 2026, 03:04 UTC'
    """
    return f"{day(date)}, {date.astimezone(UTC):%H:%M} UTC"


def moment(date: datetime) -> str:
    """Return a time in the format of the HTML attribute `datetime`."""
    return date.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

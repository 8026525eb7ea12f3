"""Static files of the pages: style sheet, modules of JavaScript, icon.

Their URL contains a digest of all of them, so that browsers may keep them for a year, and a module may import another
one by its relative path.
"""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.responses import Response

from seqhub.server.errors import HubHTTPError
from seqhub.server.request import RequestContext
from seqhub.server.routing import Route

FOLDER = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PREFIX = "/-/static"  # names of accounts do not begin with "-"


@dataclass(frozen=True, slots=True)
class Asset:
    """Static file."""

    content: bytes
    compressed: bytes  # with gzip
    media_type: str


@cache
def assets() -> dict[str, Asset]:
    """Return the static files by their path below the folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in MEDIA_TYPES:
            content = path.read_bytes()
            name = path.relative_to(FOLDER).as_posix()
            found[name] = Asset(content, gzip.compress(content, mtime=0), MEDIA_TYPES[path.suffix])
    return found


@cache
def digest() -> str:
    """Return the digest of all static files."""
    hashed = hashlib.sha256()
    for name, asset in assets().items():
        hashed.update(f"{name} {len(asset.content)}\n".encode() + asset.content)
    return hashed.hexdigest()[:16]


def asset_url(name: str) -> str:
    """Return the URL of a static file.

    Raises:
        KeyError: There is none of this name.
    """
    assert assets()[name]
    return f"{_PREFIX}/{digest()}/{name}"


def static_file(context: RequestContext) -> Response:
    """Send a static file."""
    asset = assets().get(context.params["path"])
    if asset is None or context.params["digest"] != digest():
        raise HubHTTPError(404, f"{context.params['path'][:100]} is not a static file of this version of the Hub.")
    headers = {
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
        "Content-Type": asset.media_type,
    }
    if takes_gzip(context.request.headers.get("accept-encoding", "")):
        return Response(asset.compressed, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.content, headers=headers)


def takes_gzip(accept_encoding: str) -> bool:
    """Return whether a client takes gzip.

    >>> takes_gzip("br, gzip"), takes_gzip("gzip;q=0"), takes_gzip("")
    (True, False, False)
    """
    for part in accept_encoding.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


routes = [
    Route("GET", f"{_PREFIX}/{{digest}}/{{path*}}", "public", static_file, "style sheet and modules of the pages")
]

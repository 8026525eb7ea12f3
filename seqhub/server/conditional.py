"""Conditional requests and ranges (RFC 9110, sections 13 and 14)."""

import re
from collections.abc import Iterable

from seqhub.server.errors import HubHTTPError

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def is_known(if_none_match: Iterable[str], etag: str) -> bool:
    """Return whether `If-None-Match` contains an entity tag, by weak comparison.

    Args:
        if_none_match: Values of the header, each a tag, a list of tags or "*".
        etag: Entity tag, in quotes.

    >>> is_known(['"a", W/"b"'], '"b"'), is_known(["*"], '"b"'), is_known(['"a,b"'], '"b"')
    (True, True, False)
    """
    values = [value.strip() for value in if_none_match]
    return "*" in values or any(tag.removeprefix("W/") == etag for value in values for tag in _TAG.findall(value))


def requested_range(header: str, if_range: str | None, size: int, etag: str) -> tuple[int, int, int]:
    """Return start, stop and status of the response to a `Range` header.

    Only a single range is supported; any other value is ignored. `If-Range` uses strong comparison: a weak tag or a
    date never matches, since no dates are sent.

    Raises:
        HubHTTPError: 416 if the range starts after the end of the file.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or (not match[1] and not match[2]) or size == 0:
        return 0, size, 200
    if if_range is not None and if_range.strip() != etag:
        return 0, size, 200
    if not match[1]:
        start, stop = max(0, size - int(match[2])), size
    else:
        start, stop = int(match[1]), min(size, int(match[2]) + 1) if match[2] else size
    if match[1] and match[2] and int(match[2]) < int(match[1]):
        return 0, size, 200
    if start >= size or stop <= start:
        raise HubHTTPError(416, f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    return start, stop, 206

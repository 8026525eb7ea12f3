"""Limits of request bodies: size, number in memory, and commits to one branch at a time."""

from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakValueDictionary

from starlette.requests import ClientDisconnect, Request

from seqhub.server.errors import HubHTTPError
from seqhub.server.workers import FairQueue

JSON_LIMIT: Final = 2 * 2**20  # bytes


class BodyLimiter:
    """Limit the number of large request bodies held in memory, and the commits to one branch at a time."""

    def __init__(self) -> None:
        self._small, self._large = FairQueue(4), FairQueue(1)
        self._branches: WeakValueDictionary[str, FairQueue] = WeakValueDictionary()

    def for_body(self, size: int, small_bytes: int) -> FairQueue:
        """Return the queue for a body of `size` bytes."""
        return self._small if size <= small_bytes else self._large

    def branch(self, name: str) -> FairQueue:
        """Return the queue for commits to one branch, since concurrent commits would have to be planned again."""
        queue = self._branches.get(name)
        if queue is None:
            queue = self._branches[name] = FairQueue(1)
        return queue


async def limited_stream(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the chunks of a body; check the declared length first, then the number of received bytes."""
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
        raise HubHTTPError(400, "The client disconnected before the body was complete.") from None

"""HTTP protocol of uvicorn with timeouts and limits of connections.

By default uvicorn waits without limit for the end of headers, accepts headers of any length, continues to read a body
after an error response, buffers a response for a client that does not read it, and does not respond to a client that
closes its side of the connection after the request. The timeout of bodies is in the middleware.
"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Protocol

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seqhub.server.errors import CODES

if TYPE_CHECKING:
    from seqhub.server.settings import Settings

LINGER_SECONDS = 2.0  # after an early response, so that the client can read it


class Connections:
    """Open connections by client address, oldest first.

    At the limit, a connection without a request in progress is closed in favour of a new one, so that slow and idle
    connections do not block new ones.

    Args:
        max_total: Maximum number of connections.
        max_per_address: Maximum number of connections of one address.
        exceptions: Maximum for addresses of proxies, over which many clients connect.
    """

    def __init__(self, max_total: int, max_per_address: int, exceptions: Mapping[str, int] = {}) -> None:
        self._max_total, self._max_per_address, self._exceptions = max_total, max_per_address, exceptions
        self._count = 0
        self._by_address: dict[str, dict[Connection, None]] = {}

    def admit(self, connection: "Connection", address: str) -> bool:
        """Add a connection, and close an idle one if necessary; return False if all are busy."""
        ours = self._by_address.setdefault(address, {})
        is_admitted = True
        if len(ours) >= self._exceptions.get(address, self._max_per_address):
            is_admitted = self._close_one(ours)
        elif self._count >= self._max_total:
            fullest = max(self._by_address.values(), key=len)
            is_admitted = self._close_one(fullest)
        ours = self._by_address.setdefault(address, {})
        ours[connection] = None
        self._count += 1
        return is_admitted

    def remove(self, connection: "Connection", address: str) -> None:
        """Remove a connection."""
        ours = self._by_address.get(address, {})
        if connection in ours:
            del ours[connection]
            self._count -= 1
        if not ours:
            self._by_address.pop(address, None)

    def _close_one(self, connections: "dict[Connection, None]") -> bool:
        """Close the oldest idle connection; return False if there is none."""
        idle = next((connection for connection in connections if connection.is_waiting()), None)
        if idle is not None:
            idle.close()
        return idle is not None


class Connection(Protocol):
    """Connection in `Connections`; `close` calls `remove` immediately."""

    def is_waiting(self) -> bool: ...
    def close(self) -> None: ...


def limited_protocol(settings: "Settings") -> type[asyncio.Protocol]:
    """Return a protocol class with the limits of `settings`, for uvicorn to instantiate."""
    proxies = dict.fromkeys(settings.trusted_proxies, settings.max_connections)
    connections = Connections(settings.max_connections, settings.max_connections_per_address, proxies)

    class LimitedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._inside: Literal["nothing", "headers", "body"] = "nothing"
            self._header_bytes = 0
            self._headers_ended = False  # in the bytes received last
            self._sending_timer: asyncio.TimerHandle | None = None  # until the client sends bytes
            self._reading_timer: asyncio.TimerHandle | None = None  # until the client reads bytes
            self._is_rejected = False  # all further bytes are dropped

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = self.client[0] if self.client else ""
            self._start_timeout(settings.header_seconds)
            if not connections.admit(self, self._address):
                self._reject(503, "The Hub has reached its maximum number of connections; try again.")

        def is_waiting(self) -> bool:
            """Return whether the connection is idle, or the headers of its request are not complete."""
            return self._inside != "body" and not self._is_answering()

        def close(self) -> None:
            connections.remove(self, self._address)
            self.transport.abort()

        def data_received(self, data: bytes) -> None:
            if self._is_rejected:
                return
            outside_body = self._inside != "body"
            self._headers_ended = False
            super().data_received(data)
            if not outside_body or self._inside == "body":
                return
            if not self._headers_ended:  # incomplete headers, or blank lines before them
                self._header_bytes += len(data)
                if self._header_bytes > settings.max_header_bytes:
                    self._reject(431, f"The headers have more than {settings.max_header_bytes} bytes.")
                    return
            if not self._headers_ended or self._inside == "headers":  # not for a complete request in one piece
                self._start_timeout(settings.header_seconds)

        def on_message_begin(self) -> None:
            self._inside = "headers"
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._inside = "body"
            self._header_bytes = 0
            self._headers_ended = True
            self._cancel_timeout()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._inside = "nothing"
            self._cancel_timeout()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._inside == "body":  # after an early error: read and drop the rest, so that the response arrives
                self._start_timeout(settings.body_seconds)

        def eof_received(self) -> bool | None:  # type: ignore[override]
            """Respond to a complete request even if the client has closed its side; then close."""
            if self._is_rejected or self._inside != "nothing" or not self._is_answering():
                return None
            self.cycle.keep_alive = False
            return True

        def connection_lost(self, exc: Exception | None) -> None:
            connections.remove(self, self._address)
            self._cancel_timeout()
            self.resume_writing()
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._reading_timer = self.loop.call_later(settings.send_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            if self._reading_timer is not None:
                self._reading_timer.cancel()
                self._reading_timer = None
            super().resume_writing()

        def _start_timeout(self, seconds: float) -> None:
            if self._sending_timer is None:
                self._sending_timer = self.loop.call_later(seconds, self._on_timeout)

        def _on_timeout(self) -> None:
            """Close a connection after a timeout; respond with 408 if its headers have begun."""
            if self._inside == "headers" and not self._is_answering():
                self._reject(408, f"The headers were not complete within {settings.header_seconds:g} seconds.")
            else:
                self.transport.abort()

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _reject(self, status: int, message: str) -> None:
            """Respond to a request with incomplete headers, and close after the client has read the response.

            If the connection were closed while bytes of the client are unread, the response would be lost.
            """
            self._is_rejected = True
            self._cancel_timeout()
            if self._is_answering():  # an earlier request on the same connection
                self.transport.abort()
                return
            body = json.dumps({"error": message}).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
                f"X-Error-Code: {CODES[status]}\r\nX-Error-Message: {message}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.write_eof()
            self._sending_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

        def _unsupported_upgrade_warning(self) -> None:
            """Ignore an unsupported upgrade, as HTTP allows, without the warning of uvicorn."""

        def _cancel_timeout(self) -> None:
            if self._sending_timer is not None:
                self._sending_timer.cancel()
                self._sending_timer = None

    return LimitedProtocol

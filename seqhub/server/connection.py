"""uvicorn's HTTP protocol with patience that ends.

uvicorn by itself waits for ever for the end of headers, takes headers of any length, goes on reading a body that was
refused, and keeps an answer for a client that does not read it. A route that waits for a slow body is the
middleware's matter.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Literal

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from seqhub.server.settings import Settings


def limited_protocol(settings: "Settings") -> type[asyncio.Protocol]:
    """A class of connections with the limits of `settings`; uvicorn makes its instances itself."""

    class LimitedProtocol(HttpToolsProtocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._inside: Literal["nothing", "headers", "body"] = "nothing"
            self._header_bytes = 0
            self._headers_ended = False  # in the bytes that came last
            self._sending_timer: asyncio.TimerHandle | None = None  # the client owes us bytes
            self._reading_timer: asyncio.TimerHandle | None = None  # we owe the client bytes that it does not take

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_bytes(settings.header_seconds)

        def data_received(self, data: bytes) -> None:
            outside_body = self._inside != "body"
            self._headers_ended = False
            super().data_received(data)
            if not outside_body or self._inside == "body":
                return
            if not self._headers_ended:  # headers that are not complete, or blank lines before them
                self._header_bytes += len(data)
                if self._header_bytes > settings.max_header_bytes:
                    self.transport.abort()
            if not self._headers_ended or self._inside == "headers":  # and not for a whole request that came at once
                self._expect_bytes(settings.header_seconds)

        def on_message_begin(self) -> None:
            self._inside = "headers"
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._inside = "body"
            self._header_bytes = 0
            self._headers_ended = True
            self._got_bytes()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._inside = "nothing"
            self._got_bytes()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._inside == "body":  # refused early; the rest is read and dropped, so that the answer arrives
                self._expect_bytes(settings.body_seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._got_bytes()
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

        def _expect_bytes(self, seconds: float) -> None:
            if self._sending_timer is None:
                self._sending_timer = self.loop.call_later(seconds, self.transport.abort)

        def _got_bytes(self) -> None:
            if self._sending_timer is not None:
                self._sending_timer.cancel()
                self._sending_timer = None

    return LimitedProtocol

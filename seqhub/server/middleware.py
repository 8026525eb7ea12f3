"""ASGI middleware: Host allow-list, request ids, timeouts of bodies, access log and metrics."""

import asyncio
import ipaddress
import json
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from seqhub.server import serializers
from seqhub.server.errors import CODES, HubHTTPError
from seqhub.server.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from seqhub.server.settings import Settings

access_log = logging.getLogger("seqhub.access")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
VIEWER_HOST = "datasets-server."  # `datasets` adds it to the host name of HF_ENDPOINT
WILDCARDS = frozenset({"0.0.0.0", "::", ""})
VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# Strict, since the host is copied into responses
HOST = re.compile(r"\s*(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._:-]*?)(:[0-9]{1,5})?\s*", re.ASCII)
FORBIDDEN = re.compile(rb"[\x00-\x1f\x7f]")  # in a header; uvicorn would close the connection
SECRETS = re.compile(r"hf_[A-Za-z0-9]+")
MAX_LOGGED_PATH = 500  # characters of a path in the log
SECURITY_HEADERS = (  # repositories contain untrusted content, which a browser must not execute with this origin
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Guard:
    """ASGI middleware around the routes.

    Args:
        app: Application with the routes, which stores the matched pattern in `scope["seqhub.route"]`.
        settings: Settings with the allowed `Host` names and the timeout of bodies.
        metrics: Metrics to update, available at `/metrics`.
    """

    def __init__(self, app: "ASGIApp", settings: "Settings", metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.body_seconds = settings.body_seconds
        self.any_address = settings.host in WILDCARDS
        self.hosts = LOOPBACK | {_host_name(name) for name in (settings.host, *settings.allowed_hosts)}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self.body_seconds)
        self.metrics.begin()
        try:
            await self._answer(scope, exchange)
        finally:
            route = scope.get("seqhub.route", "unmatched") if exchange.status != 421 else "foreign host"
            seconds = time.perf_counter() - exchange.started
            self.metrics.end(route, scope["method"], exchange.status, seconds, exchange.received, exchange.sent)
            if access_log.isEnabledFor(logging.INFO):
                access_log.info(json.dumps(exchange.record(seconds)))

    async def _answer(self, scope: "Scope", exchange: "_Exchange") -> None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            await exchange.refuse(400, "exactly one Host header is required")
        elif not self._is_allowed(hosts[0]):
            # Another site can let its own name resolve to this machine (DNS rebinding); the Host header reveals it.
            text = f"Host {hosts[0][:100]!r} is not allowed; to allow it, start the server with --allow-host"
            await exchange.refuse(421, text)
        elif not HOST.fullmatch(hosts[0]):
            await exchange.refuse(400, f"{hosts[0][:100]!r} is not a valid Host header")
        elif scope["path"] in ("/healthz", "/metrics") and scope["method"] in ("GET", "HEAD"):
            scope["seqhub.route"] = scope["path"]
            if scope["path"] == "/metrics":
                await exchange.answer(200, CONTENT_TYPE, self.metrics.text())
            else:
                await exchange.answer(200, "application/json", b'{"status": "ok"}')
        else:
            await self.app(scope, exchange.receive, exchange.send)

    def _is_allowed(self, host: str) -> bool:
        name = _host_name(host).removeprefix(VIEWER_HOST)
        return name in self.hosts or (self.any_address and _is_address(name))


class _Exchange:
    """Request and response of one exchange, with the number of transferred bytes."""

    def __init__(self, scope: "Scope", receive: "Receive", send: "Send", body_seconds: float) -> None:
        self.scope, self._receive, self._send, self._body_seconds = scope, receive, send, body_seconds
        self.started = time.perf_counter()
        self.status, self.received, self.sent = 499, 0, 0  # 499: the client disconnected before a response
        self._body_is_complete = False
        self.id = _given_id(scope) or uuid.uuid4().hex
        scope["seqhub.request_id"] = self.id

    async def receive(self) -> "Message":
        if self._body_is_complete:  # the next message is the disconnect, which has no timeout
            return await self._receive()
        try:
            async with asyncio.timeout(self._body_seconds):
                message = await self._receive()
        except TimeoutError:
            text = f"No data was received for {self._body_seconds:g} seconds, and the body is not complete"
            raise HubHTTPError(408, text, headers={"Connection": "close"}) from None
        self.received += len(message.get("body", b""))
        self._body_is_complete = not message.get("more_body", False)
        return message

    async def send(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = [
                (name, FORBIDDEN.sub(b"?", value) if FORBIDDEN.search(value) else value)
                for name, value in message["headers"]
                if name.lower() != b"x-request-id"
            ]
            names = {name.lower() for name, _ in given}
            extra = [(name, value) for name, value in SECURITY_HEADERS if name not in names]
            message["headers"] = [*given, (b"x-request-id", self.id.encode()), *extra]
        else:
            self.sent += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, status: int, text: str) -> None:
        code = (serializers.ERROR_CODE.lower().encode(), CODES[status].encode())
        await self.answer(status, "application/json", json.dumps({"error": text}).encode(), code)

    async def answer(self, status: int, content_type: str, body: bytes, *more: tuple[bytes, bytes]) -> None:
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *more]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if self.scope["method"] == "HEAD" else body
        await self.send({"type": "http.response.body", "body": body})

    def record(self, seconds: float) -> dict[str, object]:
        """Return a log record without headers, query string and body, since these may contain secrets."""
        client = self.scope.get("client")
        return {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": self.id,
            "client": client[0] if client else None,
            "account": self.scope.get("seqhub.account"),
            "method": self.scope["method"],
            "path": SECRETS.sub("hf_***", self.scope["path"])[:MAX_LOGGED_PATH],
            "route": self.scope.get("seqhub.route"),
            "status": self.status,
            "ms": round(seconds * 1000, 1),
            "received": self.received,
            "sent": self.sent,
        }


def _given_id(scope: "Scope") -> str | None:
    """Return the request id that the client sent; huggingface_hub uses the second header."""
    for wanted in (b"x-request-id", b"x-amzn-trace-id"):
        given: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
        if len(given) == 1 and VALID_ID.fullmatch(given[0]):
            return given[0]
    return None


def _host_name(host: str) -> str:
    """Return a host without port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)

"""Start and stop of a server, in the process of a command or in a thread of a test or notebook."""

import ctypes
import errno
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from seqhub.errors import HubError, InvalidConfigError
from seqhub.server.app import create_app
from seqhub.server.errors import HubHTTPError
from seqhub.server.metrics import Metrics
from seqhub.server.middleware import Guard, access_log, is_loopback
from seqhub.server.pages.warm import warm
from seqhub.server.protocol import limited_protocol
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from seqhub.server.types import Role

if TYPE_CHECKING:
    from starlette.types import ASGIApp

DEFAULT_USER = "seqhub"
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # from malloc.h of glibc


@dataclass(frozen=True, slots=True)
class Running:
    """Server that runs in this process.

    Args:
        url: URL of the server, the value for `HF_ENDPOINT`.
        store: Store of the server; tests may use it to create and check data.
    """

    url: str
    store: Store

    def token(
        self,
        user: str = DEFAULT_USER,
        role: Role = "write",
        *,
        repos: Sequence[str] = (),
        expires: datetime | None = None,
    ) -> str:
        """Create a token, and its user if necessary.

        Args:
            user: Name of the account.
            role: read, write or admin.
            repos: Repositories to which the token is restricted, as "model:ns/name"; empty for no restriction.
            expires: Time of expiry; None for never.
        """
        secret, _ = self.store.tokens.create(
            user, "made by running()", role, repos=tuple(repos), expires=expires, create_user=True
        )
        return secret

    def environment(self, home: Path, *, token: str | None = None) -> dict[str, str]:
        """Return environment variables for a client process, which huggingface_hub reads at import.

        Args:
            home: Folder for the caches of the client.
            token: Access token; None for a new write token of the user `seqhub`, "" for no token.
        """
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": self.token() if token is None else token,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }


@contextmanager
def running(root: Path | str, *, port: int = 0, **settings: Any) -> Iterator[Running]:
    """Serve a root in a thread for the duration of a block.

    Args:
        root: Folder of the Hub; created if it does not exist.
        port: Port on 127.0.0.1; 0 for any free port.
        settings: Fields of `Settings`.
    """
    chosen = Settings(port=port, **settings)
    with (
        _open_store(Path(root)) as store,
        _listen(chosen) as (listener, url),
        wrapped_app(store, replace(chosen, port=listener.getsockname()[1])) as app,
    ):
        server = Server(chosen, app)
        thread = threading.Thread(target=server.run_to_end, args=([listener],), name="seqhub-server", daemon=True)
        thread.start()
        try:
            server.start_finished.wait()
            if not server.started:
                raise HubError("the server did not start: see its log")
            yield Running(url, store)
        finally:
            server.should_exit = True
            thread.join()


def serve(
    root: Path | str,
    settings: Settings,
    *,
    ready: Callable[[str], None],
    prepare: Callable[[Store], None] | None = None,
    log: bool = True,
) -> None:
    """Serve a root until SIGTERM or SIGINT, then finish running requests.

    Args:
        root: Folder of the Hub; created if it does not exist.
        settings: Settings of the server.
        ready: Callback that receives the URL when the server accepts connections.
        prepare: Callback that receives the store before that, when the address is known to be free.
        log: Write a line of JSON for each request to standard error.

    Raises:
        InvalidConfigError: Other machines can reach the address, and there is no token.
        HubError: The port is in use.
    """
    _configure_malloc()
    with _open_store(Path(root)) as store:
        if not is_loopback(settings.host) and not store.tokens.any_valid():
            rule = "127.0.0.1 while there is no token yet; create one with `seqhub hub token create`"
            raise InvalidConfigError.of("host", settings.host, rule, root)
        with _listen(settings) as (listener, url), _logging_to_stderr(log), wrapped_app(store, settings) as app:
            if prepare is not None:
                prepare(store)
            server = Server(settings, app, when_started=lambda: ready(url))
            server.run([listener])


def _configure_malloc() -> None:
    """Limit the arenas of glibc and return large blocks to the system immediately; no effect on other systems."""
    with suppress(OSError, AttributeError, TypeError):  # CDLL(None) is a TypeError on Windows
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 2**20)


@contextmanager
def wrapped_app(store: Store, settings: Settings) -> "Iterator[ASGIApp]":
    """Return the application with its middleware."""
    app = create_app(store, settings=settings)
    try:
        yield Guard(app, settings, Metrics())
    finally:
        app.router.default.close()  # type: ignore[attr-defined]  # the Dispatcher of `create_app`


class Server(uvicorn.Server):
    """uvicorn server that reports its start, then prepares for the first pages, and stops quietly on a signal."""

    def __init__(self, settings: Settings, app: "ASGIApp", when_started: Callable[[], None] | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=limited_protocol(settings),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),  # others are not trusted to set the client address
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_keep_alive=settings.idle_seconds,
                timeout_graceful_shutdown=settings.stop_seconds,
            )
        )
        self.start_finished = threading.Event()  # set after success and after failure
        self._when_started = when_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._when_started is not None:
            self._when_started()
        threading.Thread(target=warm, name="seqhub-warm", daemon=True).start()
        self.start_finished.set()

    def run_to_end(self, sockets: list[socket.socket]) -> None:
        try:
            self.run(sockets)
        finally:
            self.start_finished.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:  # second signal: do not wait for requests
            self.force_exit = True
        self.should_exit = True


@contextmanager
def _open_store(root: Path) -> Iterator[Store]:
    try:
        store = Store(root)
    except HubHTTPError as error:
        raise HubError(f"{root} cannot be served: {error}") from error
    try:
        try:
            store.maintenance.require_writable()  # SQLite opens files on a read-only file system
        except HubHTTPError as error:
            if error.status != 507:  # on a full disk files can still be read and deleted
                raise HubError(f"{root} cannot be served: it cannot be written") from error
        yield store
    finally:
        store.close()


@contextmanager
def _listen(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
    """Open a listening socket, and return the URL for clients."""
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        reason = "is taken; choose another with --port" if error.errno == errno.EADDRINUSE else error.strerror
        raise HubError(f"port {port} of {host}: {reason}") from None
    with listener:
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        address = f"[{shown}]" if ":" in shown else shown
        yield listener, f"http://{address}:{listener.getsockname()[1]}"


@contextmanager
def _logging_to_stderr(wanted: bool) -> Iterator[None]:
    """Log requests as JSON lines, and warnings of the server, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    names = ("uvicorn.error", "seqhub", access_log.name) if wanted else ("uvicorn.error", "seqhub")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if logger is access_log else logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate

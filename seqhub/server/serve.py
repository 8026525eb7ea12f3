"""Life of a server: as the process of a command, or in a thread of a test or notebook."""

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
from seqhub.server.protocol import limited_protocol
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from seqhub.server.types import Role

if TYPE_CHECKING:
    from starlette.types import ASGIApp

DEFAULT_USER = "seqhub"
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's malloc.h


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs in this process.

    Args:
        url: What `HF_ENDPOINT` must be.
        store: What it serves; tests may look and set up through it.
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
            repos: "model:ns/name" ... to which the token is confined; none for all.
            expires: When it ends; None for never.
        """
        secret, _ = self.store.tokens.create(
            user, "made by running()", role, repos=tuple(repos), expires=expires, make_user=True
        )
        return secret

    def environment(self, home: Path, *, token: str | None = None) -> dict[str, str]:
        """Return environment variables for a client process; huggingface_hub reads them when it is imported.

        Args:
            home: Folder for the client's caches.
            token: What it signs in with; None for a new write token of the user `seqhub`, "" for none.
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
        root: Folder of the Hub; made if it does not exist.
        port: Port on 127.0.0.1; 0 for any that is free.
        settings: Fields of `Settings`.
    """
    chosen = Settings(port=port, **settings)
    with (
        _opened(Path(root)) as store,
        _listening(chosen) as (listener, url),
        guarded(store, replace(chosen, port=listener.getsockname()[1])) as app,
    ):
        server = Server(chosen, app)
        thread = threading.Thread(target=server.run_to_end, args=([listener],), name="seqhub-server", daemon=True)
        thread.start()
        try:
            server.settled.wait()
            if not server.started:
                raise HubError("the server did not start: see its log")
            yield Running(url, store)
        finally:
            server.should_exit = True
            thread.join()


def serve(root: Path | str, settings: Settings, *, ready: Callable[[str], None], log: bool = True) -> None:
    """Serve a root until SIGTERM or SIGINT, then let running requests finish.

    Args:
        root: Folder of the Hub; made if it does not exist.
        settings: What the operator chose.
        ready: Called with the address once connections are taken.
        log: Write one line of JSON per request to standard error.

    Raises:
        InvalidConfigError: For an address that others can reach while there is no token, which would make it public.
        HubError: If the port is taken.
    """
    _give_memory_back()
    with _opened(Path(root)) as store:
        if not is_loopback(settings.host) and not store.tokens.any_valid():
            rule = "127.0.0.1, until `seqhub hub token create` has made a token: no token yet"
            raise InvalidConfigError.of("host", settings.host, rule, root)
        with _listening(settings) as (listener, url), _logging_to_stderr(log), guarded(store, settings) as app:
            server = Server(settings, app, when_started=lambda: ready(url))
            server.run([listener])


def _give_memory_back() -> None:
    """Limit the arenas of glibc, and return large blocks to the system at once; elsewhere do nothing."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, 2)
        mallopt(_MMAP_THRESHOLD, 2**20)


@contextmanager
def guarded(store: Store, settings: Settings) -> "Iterator[ASGIApp]":
    """Return the application as it is served: the routes behind the middleware."""
    app = create_app(store, settings=settings)
    try:
        yield Guard(app, settings, Metrics())
    finally:
        app.router.default.close()  # type: ignore[attr-defined]  # the Dispatcher that `create_app` made


class Server(uvicorn.Server):
    """uvicorn server that reports its start and stops quietly on a signal."""

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
                proxy_headers=False,  # no proxy is trusted to name the client
                timeout_keep_alive=settings.idle_seconds,
                timeout_graceful_shutdown=settings.stop_seconds,
            )
        )
        self.settled = threading.Event()  # it has started, or will not
        self._when_started = when_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()
        if self._when_started is not None:
            self._when_started()

    def run_to_end(self, sockets: list[socket.socket]) -> None:
        try:
            self.run(sockets)
        finally:
            self.settled.set()

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
def _opened(root: Path) -> Iterator[Store]:
    try:
        store = Store(root)
    except HubHTTPError as error:
        raise HubError(f"{root} cannot be served: {error}") from error
    try:
        try:
            store.maintenance.require_writable()  # SQLite alone opens on a read-only file system
        except HubHTTPError as error:
            if error.status != 507:  # a full disk can still be read, and files be deleted
                raise HubError(f"{root} cannot be served: it cannot be written") from error
        yield store
    finally:
        store.close()


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[socket.socket, str]]:
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
    """Log requests as bare JSON lines and warnings of the server to standard error."""
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

"""Settings of the server."""

import ipaddress
from dataclasses import dataclass, fields

from seqhub.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a server. Limits of bodies are defined by the routes, limits of storage by the store.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        allowed_hosts: Additional names allowed in the `Host` header, besides loopback names and `host`.
        trusted_proxies: Addresses of reverse proxies, whose `X-Forwarded-For` and `X-Forwarded-Proto` headers tell the
            address and scheme of the client.
        safetensors_only: Reject commits of files that may contain pickles.
        scan_pickles: Scan committed files that may contain pickles, if picklescan is installed.
        max_wrong_tokens: Maximum number of wrong tokens of one address in `wrong_token_seconds`; further ones get 429.
        wrong_token_seconds: Length of the window for `max_wrong_tokens`.
        max_connections: Maximum number of open connections. For a further one, an idle connection of the address with
            the most connections is closed; without an idle one, the new connection gets 503.
        max_connections_per_address: Maximum number of open connections of one address, with the same rule; not for the
            trusted proxies.
        max_header_bytes: Maximum size of the headers of a request.
        header_seconds: Timeout for the end of the headers.
        body_seconds: Timeout for the next piece of a body.
        send_seconds: Timeout for a client that does not read its response.
        idle_seconds: Time for which a connection stays open between two requests.
        stop_seconds: Time for running requests to finish after a signal to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    safetensors_only: bool = False
    scan_pickles: bool = True
    max_wrong_tokens: int = 100
    wrong_token_seconds: float = 60
    max_connections: int = 512
    max_connections_per_address: int = 256
    max_header_bytes: int = 2**16
    header_seconds: float = 20
    body_seconds: float = 60
    send_seconds: float = 60
    idle_seconds: int = 15
    stop_seconds: int = 60

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise InvalidConfigError.of("port", self.port, "from 0 to 65535")
        for address in self.trusted_proxies:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise InvalidConfigError.of("trusted_proxy", address, "an IP address") from None
        for name in (field.name for field in fields(self)):
            if name.startswith("max_") or name.endswith("_seconds"):
                value = getattr(self, name)
                if value <= 0:
                    raise InvalidConfigError.of(name, value, "greater than 0")

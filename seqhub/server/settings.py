"""Settings of a server."""

from dataclasses import dataclass, fields

from seqhub.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one server; limits of bodies are in the routes, limits of storage in the store.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any that is free.
        allowed_hosts: Names that the `Host` header may carry besides loopback names and `host`.
        safetensors_only: Refuse commits of files that may hold pickles.
        scan_pickles: Look into committed files that may hold pickles, where picklescan is installed.
        max_wrong_tokens: Wrong tokens of one address in `wrong_token_seconds`; more are answered with 429.
        wrong_token_seconds: See there.
        max_connections: Connections at one moment. For one more, a connection on which nothing is under way is closed,
            of the address that has most; if there is none, the new one is answered with 503.
        max_connections_per_address: The same for the connections of one address.
        max_header_bytes: Most bytes before the end of a request's headers.
        header_seconds: Longest wait for the end of a request's headers.
        body_seconds: Longest wait for the next piece of a body.
        send_seconds: Longest wait for a client that takes nothing of the answer it asked for.
        idle_seconds: How long a connection stays open between two requests.
        stop_seconds: How long requests may go on after a signal to stop.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    allowed_hosts: tuple[str, ...] = ()
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
        for name in (field.name for field in fields(self)):
            if name.startswith("max_") or name.endswith("_seconds"):
                value = getattr(self, name)
                if value <= 0:
                    raise InvalidConfigError.of(name, value, "greater than 0")

"""Limits of connections: slow and idle connections do not block others, busy ones do not block other addresses."""

import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from seqhub.server.protocol import Connections
from seqhub.server.serve import running
from tests.server.test_serve import LIMIT, get

SLOW = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-"


def connect(url: str, source: str, sent: bytes = SLOW) -> socket.socket:
    parts = urlsplit(url)
    line = socket.create_connection((parts.hostname, parts.port), timeout=LIMIT, source_address=(source, 0))
    line.sendall(sent)
    return line


def test_slow_connections_do_not_block_others(tmp_path: Path) -> None:
    with (
        running(tmp_path, max_connections=20, max_connections_per_address=8, header_seconds=600) as hub,
        ExitStack() as lines,
    ):
        slow = [lines.enter_context(connect(hub.url, f"127.0.0.{2 + number % 4}")) for number in range(80)]
        assert get(hub.url, "/healthz")[0] == 200, "another address"
        with connect(hub.url, "127.0.0.2", SLOW + b"A: b\r\n\r\n") as same:
            assert same.recv(100).startswith(b"HTTP/1.1 200"), "the same address"
        assert slow[0].recv(100) == b"", "the oldest was closed"


def test_idle_connections_are_closed_for_new_ones(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=4, max_connections_per_address=4) as hub, ExitStack() as lines:
        request = SLOW + b"A: b\r\n\r\n"
        for _ in range(12):
            line = lines.enter_context(connect(hub.url, "127.0.0.1", request))
            assert line.recv(1000).startswith(b"HTTP/1.1 200")


class Line:
    def __init__(self, connections: Connections, address: str, *, waits: bool) -> None:
        self.connections, self.address, self.waits, self.is_open = connections, address, waits, True
        self.is_admitted = connections.admit(self, address)

    def is_waiting(self) -> bool:
        return self.waits

    def close(self) -> None:
        self.is_open = False
        self.connections.remove(self, self.address)


def test_busy_connections_are_not_closed() -> None:
    connections = Connections(max_total=6, max_per_address=4)
    busy = [Line(connections, "a", waits=False) for _ in range(4)]
    assert not Line(connections, "a", waits=True).is_admitted
    others = [Line(connections, "b", waits=True) for _ in range(3)]
    assert others[0].is_admitted
    assert all(line.is_open for line in busy)


def test_the_address_with_most_connections_loses_one() -> None:
    connections = Connections(max_total=5, max_per_address=5)
    many = [Line(connections, "a", waits=True) for _ in range(4)]
    few = Line(connections, "b", waits=True)
    assert Line(connections, "c", waits=False).is_admitted
    assert few.is_open
    assert [line.is_open for line in many] == [False, True, True, True]

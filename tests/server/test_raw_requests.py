"""Requests as bytes on a socket: each gets an HTTP response, and no traceback is logged."""

# ruff: noqa: E501  # tables are more readable in long lines

import json
import logging
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqhub.server.serve import Running, running

LIMIT = 30  # timeout in seconds
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\x00-\x1f\x7f]*\r\n((?:[!-9;-~]+:[ \t]*[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*)\r\n")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("hub")) as found:
        found.token("ada")
        found.store.repos.create("model", "ada/x", author="ada")
        yield found


@pytest.fixture(autouse=True)
def no_tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def status_of(url: str, raw: bytes, *, half_closed: bool = False) -> int:
    """Return the status of the response to some bytes, after a check of the format of its head."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=LIMIT) as line:
        line.sendall(raw)
        if half_closed:
            line.shutdown(socket.SHUT_WR)
        heard = b""
        while b"\r\n\r\n" not in heard and (piece := line.recv(65536)):
            heard += piece
    found = HEAD.match(heard)
    assert found is not None, (raw[:200], heard[:500])
    return int(found[1])


def request(target: bytes, *headers: bytes, method: bytes = b"GET", body: bytes = b"") -> bytes:
    given = b"".join(header + b"\r\n" for header in (b"Host: localhost", *headers))
    return method + b" " + target + b" HTTP/1.1\r\n" + given + b"\r\n" + body


TARGETS = [
    b"/api/models/ada/x/tree/%01", b"/api/models/ada/x/tree/%0d%0aX-Evil:%20y", b"/api/models/ada/x/tree/main/%7f%1b[31m",
    b"/ada/x/resolve/main/%09a", b"/ada/x/resolve/main/%00", b"/ada/x/resolve/main/%zz%4%", b"/ada/x/resolve/main/%ff%fe",
    b"/ada/x/resolve/main/%ed%a0%80", b"/ada/x/raw/%0b/%0c", "/ada/x/resolve/main/\u00e9".encode(), b"/x\x7f", b"/x\x01",
    b"*", b"http://localhost/api/models", b"http://", b"api", b"?x", b"//evil/api", b"/api/models#x", b"/" + b"a" * 60_000,
    b"/" + b"a" * 300_000, b"/api/models?search=%01%ff%0d&author=%0a", b"/api/models/ada/x/discussions/%0b1",
    b"/api/models?" + b"".join(b"search=abc%d&" % number for number in range(4000)),
    b"/api/models?" + b"".join(b"filter=%d&" % number for number in range(4000)), b"/api/models?filter=" + b"1," * 20_000, b"/api/models?search=" + b"x" * 50_000,
    b"/api/users/%1b%c2%80/overview", b"/a%0ab/resolve/main/x", b"/api/models/ada/x/tree/main?limit=1&cursor=%01&x=%0d%0a",
    b"/api/models/ada/x/commits/main?limit=1&x=<>\"", b"/api/models/ada/x/tree/main/a>b", b"/xet/%01/%02/v1/shards", b"/lfs/objects/%01",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:60]))
def test_any_target_is_answered(hub: Running, target: bytes) -> None:
    for method in (b"GET", b"HEAD", b"POST", b"DELETE", b"OPTIONS", b"CONNECT"):
        assert 200 <= status_of(hub.url, request(target, method=method)) < 500


HEADERS = [
    [b'Host: localhost:8"\x80>'], [b"Host: \xff"], [b"Host: localhost:\t9"], [b"X-Request-Id: \xff\""],
    [b"Authorization: Bearer \xff\x80"], [b"Authorization: Bearer \x01"], [b"Authorization: Basic \xff"],
    [b"Content-Length: -1"], [b"Content-Length: 1", b"Content-Length: 2"], [b"Content-Length: " + b"9" * 40],
    [b"Content-Length: x"], [b"Transfer-Encoding: gzip"], [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
    [b"Range: bytes=\xff-\xb2", b"If-Range: \x80", b"If-None-Match: \xff"], [b"Range: bytes=" + b"0-1," * 9000],
    [b"If-None-Match: " + b'"a",' * 9000], [b"Connection: Upgrade", b"Upgrade: h2c"], [b"X: a\r\n b"], [b": x"], [b"X"],
    [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"], [b"X: y"] * 20_000, [b"X: " + b"y" * 10**6],
]  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: repr(headers[0][:40]))
def test_any_header_is_answered(hub: Running, headers: list[bytes]) -> None:
    given = b"".join(header + b"\r\n" for header in headers)
    host = b"" if headers[0].startswith(b"Host") else b"Host: localhost\r\n"
    for target in (b"GET /ada/x/resolve/main/.gitattributes", b"GET /api/models/ada/x/commits/main?limit=1"):
        assert 200 <= status_of(hub.url, target + b" HTTP/1.1\r\n" + host + given + b"\r\n") < 500


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40), st.binary(max_size=40), st.sampled_from(["tree", "resolve", "header", "raw"]))
def test_random_bytes_are_answered(hub: Running, some: bytes, more: bytes, place: str) -> None:
    quoted = b"".join(b"%%%02x" % byte for byte in some)
    raw = {
        "tree": request(b"/api/models/ada/x/tree/main/" + quoted),
        "resolve": request(b"/ada/x/resolve/" + quoted + b"/x?" + quoted),
        "header": request(b"/ada/x/resolve/main/.gitattributes", b"If-None-Match: " + more, b"Range: " + some),
        "raw": b"GET /" + some + b" HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n\r\n\r\n",
    }[place]
    assert 200 <= status_of(hub.url, raw) < 500


def test_error_messages_are_valid_headers(hub: Running) -> None:
    """Names and paths from bodies are copied to X-Error-Message, Location and Link."""
    bearer = b"Authorization: Bearer " + hub.token("ada").encode()
    for text in ("\x00\x01\x1b", "\r\nX-Evil: 1", "\ud800", "\u2028\u0085", "\x7f\x80"):
        lines = [{"key": "header", "value": {"summary": text, "parentCommit": text}},
                 {"key": "file", "value": {"path": text, "content": text}}]  # fmt: skip
        bodies = {
            b"/api/repos/create": json.dumps({"name": text, "organization": text}),
            b"/api/repos/move": json.dumps({"fromRepo": text, "toRepo": text}),
            b"/api/models/ada/x/commit/main": "\n".join(map(json.dumps, lines)),
            b"/api/models/ada/x/tag/main": json.dumps({"tag": text}),
            b"/api/models/ada/x/branch/b": json.dumps({"startingPoint": text}),
            b"/api/models/ada/x/lfs-files/batch": json.dumps({"deletions": {"sha": [text]}}),
            b"/ada/x.git/info/lfs/objects/batch": json.dumps({"operation": text, "hash_algo": text}),
        }
        for target, body in bodies.items():
            raw = body.encode()
            length = b"Content-Length: %d" % len(raw)
            answer = status_of(hub.url, request(target, bearer, length, method=b"POST", body=raw))
            assert 200 <= answer < 500, (target, text)


@pytest.mark.parametrize("target", [b"/api/models/ada/x", b"/ada/x/resolve/main/.gitattributes", b"/none"])
def test_a_client_that_closed_its_side_is_answered(hub: Running, target: bytes) -> None:
    assert status_of(hub.url, request(target), half_closed=True) in (200, 404)


def test_slow_headers_return_408(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("slow"), header_seconds=0.05) as slow:
        assert status_of(slow.url, b"GET /api/models HTTP/1.1\r\nHost: loc") == 408

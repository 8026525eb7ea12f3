"""The server as a process and as a context manager: start, stop, errors, slow clients, two servers on one root."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pytest

from seqhub.errors import HubError, InvalidConfigError
from seqhub.server.serve import Running, Server, running, serve
from seqhub.server.settings import Settings
from seqhub.server.store import Store

LIMIT = 20


def get(url: str, path: str, token: str | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=LIMIT)
    try:
        given = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request("GET", path, headers=given)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


def send_pieces(url: str, *sent: bytes) -> bytes:
    """Send pieces, and return everything that the server sends until it closes the connection."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), timeout=LIMIT) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # send each piece separately
        for piece in sent:
            line.sendall(piece)
        response = b""
        try:
            while piece := line.recv(65536):
                response += piece
        except ConnectionResetError:
            pass
        return response


def test_a_block_serves_and_stops(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert get(hub.url, "/healthz")[0] == 200
        status, headers, body = get(hub.url, "/api/whoami-v2", hub.token("ada"))
        assert (status, json.loads(body)["name"]) == (200, "ada")
        assert headers["x-request-id"]
        assert "server" not in headers
        assert get(hub.url, "/api/whoami-v2")[0] == 401
        url = hub.url
    with pytest.raises(OSError, match=r"refused"):
        get(url, "/healthz")


def test_environment_for_a_client(tmp_path: Path) -> None:
    with running(tmp_path / "hub") as hub:
        variables = hub.environment(tmp_path / "home")
        assert variables["HF_ENDPOINT"] == hub.url
        assert variables["HF_HOME"] == str(tmp_path / "home")
        assert hub.environment(tmp_path, token="")["HF_TOKEN"] == ""
        code = "from huggingface_hub import HfApi; print(HfApi().whoami()['name'])"
        done = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, timeout=LIMIT
        )
        assert done.stdout.strip() == "seqhub", done.stderr


def test_two_servers_on_one_root(tmp_path: Path) -> None:
    with running(tmp_path) as one, running(tmp_path) as other:
        token = one.token("ada")
        assert json.loads(get(other.url, "/api/whoami-v2", token)[2])["name"] == "ada"
        one.store.repos.create("model", "ada/x", author="ada")
        assert get(other.url, "/api/models/ada/x")[0] == 200
        assert one.url != other.url


def test_a_foreign_host_header_is_rejected(tmp_path: Path) -> None:
    with running(tmp_path, allowed_hosts=("hub.lab",)) as hub:
        assert get(hub.url, "/api/models", Host="evil.example")[0] == 421
        assert get(hub.url, "/api/models", Host="hub.lab:99")[0] == 200


def test_no_secret_in_log_or_database(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with running(tmp_path) as hub:
        token = hub.token("ada")
        get(hub.url, f"/api/models?token={token}", token)
        get(hub.url, f"/{token}/x", token)
    assert "seqhub.access" in {record.name for record in caplog.records}
    assert token not in caplog.text
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_routes_are_counted_by_pattern(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        get(hub.url, "/api/models/unknown/secret-name")
        text = get(hub.url, "/metrics")[2].decode()
    assert 'method="GET",route="/api/{kinds}/{repo}",status="401"' in text
    assert "secret-name" not in text


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nX-Slow:",
    ],
)
def test_slow_headers_time_out(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path, header_seconds=0.05, idle_seconds=LIMIT) as hub:
        response = send_pieces(hub.url, sent)
        assert response.count(b"HTTP/1.1 200") == sent.count(b"healthz HTTP/1.1\r\nHost")


def test_long_headers_return_431(tmp_path: Path) -> None:
    with running(tmp_path, max_header_bytes=4096) as hub:
        response = send_pieces(hub.url, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 5000)
        assert response.startswith(b"HTTP/1.1 431 ")
        assert b"X-Error-Code: HeadersTooLarge" in response


def test_a_request_in_one_piece_has_no_header_limits(tmp_path: Path) -> None:
    """A body of some 80 kB on loopback may exceed the limits of headers in size and time."""
    with running(tmp_path, max_header_bytes=4096, header_seconds=0.05) as hub:
        body = json.dumps({"content": "---\n", "repoType": "model", "more": "x" * 9000}).encode()
        head = "POST /api/validate-yaml HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        last = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        for _ in range(5):  # the request usually arrives in one piece
            assert send_pieces(hub.url, request + last).count(b"HTTP/1.1 200") == 2


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[str]:
    """Serve an application with the connections of the server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(Settings(**settings), app)
        thread = threading.Thread(target=server.run_to_end, args=([listener],))
        thread.start()
        try:
            server.start_finished.wait(LIMIT)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LIMIT)
        assert not thread.is_alive()


@pytest.mark.parametrize("body", [b"", b"x" * 9000])
@pytest.mark.parametrize("pieces", [1, 2])
def test_an_answer_may_take_longer_than_headers(body: bytes, pieces: int) -> None:
    """In one or two pieces; the application waits for a disconnect, which must not happen before the response."""

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        status = 200
        try:
            async with asyncio.timeout(0.3):
                await receive()  # returns when the connection is lost
                status = 500
        except TimeoutError:
            pass
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with served(slow, max_header_bytes=4096, header_seconds=0.05) as url:
        for _ in range(2):
            assert send_pieces(url, *([head + body] if pieces == 1 else [head, body])).startswith(b"HTTP/1.1 200")


def test_a_slow_body_times_out(tmp_path: Path) -> None:
    with running(tmp_path, body_seconds=0.05) as hub:
        head = f"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {hub.token('ada')}\r\n"
        response = send_pieces(
            hub.url, head.encode() + b'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"na'
        )
        assert response.startswith(b"HTTP/1.1 408")
        assert b"x-request-id" in response


def test_a_rejected_body_is_not_read_without_limit(tmp_path: Path) -> None:
    with running(tmp_path, body_seconds=0.05) as hub:
        response = send_pieces(
            hub.url, b"PUT /healthz/x HTTP/1.1\r\nHost: evil\r\nContent-Length: 999999999\r\n\r\nabc"
        )
        assert response.startswith(b"HTTP/1.1 421")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_public_address_needs_a_token(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"must be 127\.0\.0\.1"):
        serve(tmp_path, Settings(host=host), ready=pytest.fail)


def test_a_taken_port(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        port = urlsplit(hub.url).port
        assert port is not None
        with pytest.raises(HubError, match=f"port {port} of 127.0.0.1: is taken; choose another with --port"):
            serve(tmp_path, Settings(port=port), ready=pytest.fail)
        with pytest.raises(HubError, match="is taken"), running(tmp_path, port=port):
            pytest.fail("two servers on one port")


@contextmanager
def command(root: Path, *arguments: str) -> "Iterator[tuple[subprocess.Popen[bytes], str, BinaryIO]]":
    """Yield the process, its URL, and a file with its log, since an unread pipe is full after 300 requests."""
    code = "from seqhub.cli import main; main()"
    line = [sys.executable, "-c", code, "serve", "--root", str(root), "--port", "0", *arguments]
    with (
        tempfile.TemporaryFile() as log_file,
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log_file) as process,
    ):
        try:
            assert process.stdout is not None
            first = process.stdout.readline().decode()
            assert first.startswith("export HF_ENDPOINT=http://127.0.0.1:"), first
            yield process, first.strip().removeprefix("export HF_ENDPOINT="), log_file
        finally:
            process.kill()


def test_a_public_server_prints_what_other_machines_need(tmp_path: Path) -> None:
    """Listens on all interfaces of a network namespace of its own, which no other machine reaches."""
    if not can_unshare():
        pytest.skip("needs the permission to make a network namespace")
    with closing(Store(tmp_path / "hub")) as store:
        store.tokens.create("ada", "test", "write", create_user=True)
    program = """
import subprocess, sys
for line in ("set lo up", "add a0 type veth peer b0", "set a0 up", "set b0 up"):
    subprocess.run(["ip", "link", *line.split()], check=True)
subprocess.run("ip address add 10.9.8.7/24 dev a0".split(), check=True)
from seqhub.cli import main
sys.argv = ["seqhub", "serve", "--root", sys.argv[1], "--host", "0.0.0.0", "--port", "0", "--allow-host", "lab.example"]
main()
"""
    line = ["unshare", "--net", sys.executable, "-c", program, str(tmp_path / "hub")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip().rpartition(":")[2]
        finally:
            process.terminate()
        shown = process.communicate(timeout=LIMIT)[1]
    others = shown.partition("On other machines:\n")[2].splitlines()
    assert others[:2] == [f"  export HF_ENDPOINT=http://{host}:{port}" for host in ("lab.example", "10.9.8.7")]
    assert others[2] == (
        "They read public repositories without a token. Private repositories and all changes need a token."
    )


def can_unshare() -> bool:
    installed = all(shutil.which(name) for name in ("unshare", "ip"))
    return (
        installed and subprocess.run(["unshare", "--net", "true"], capture_output=True, timeout=LIMIT).returncode == 0
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_request_finish(tmp_path: Path, number: signal.Signals) -> None:
    """Send a signal between two halves of the body of a request; the response is still sent."""
    token = create_root(tmp_path)
    with command(tmp_path) as (process, url, log):
        body = json.dumps({"name": "late", "type": "model"}).encode()
        head = (
            f"POST /api/repos/create HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=LIMIT) as line:
            line.sendall(head.encode())
            assert b"100 Continue" in line.recv(1000)  # the route is waiting for the body
            process.send_signal(number)
            wait_until_closed(url)
            line.sendall(body)
            assert line.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(LIMIT) == 0
        log.seek(0)
        output = log.read().decode()
        assert token not in output
        assert "Traceback" not in output
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert [line["status"] for line in lines if line["path"] == "/api/repos/create"] == [200]
    with running(tmp_path) as hub:
        assert hub.store.repos.find("model", "ada/late") is not None


def create_root(root: Path) -> str:
    from seqhub.server.store import Store

    store = Store(root)
    try:
        return Running("", store).token("ada")
    finally:
        store.close()


def wait_until_closed(url: str) -> None:
    """Wait until the server accepts no new connections; failed attempts return immediately, so no sleep is needed."""
    address = (urlsplit(url).hostname, urlsplit(url).port)
    for _ in range(100_000):
        try:
            with socket.create_connection(address, timeout=LIMIT) as line:
                line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if not line.recv(10):
                    return
        except OSError:
            return
    pytest.fail("the server still accepts connections")


def test_a_client_that_does_not_read_is_disconnected() -> None:
    """The response is larger than all buffers."""
    over = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        disconnected = asyncio.ensure_future(receive())  # returns when the connection is lost
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % 2**40)]})
        while not disconnected.done():
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            await asyncio.sleep(0)  # once the connection is lost, send no longer waits for anything
        over.set()

    with served(endless, send_seconds=0.05) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname, parts.port), timeout=LIMIT) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert over.wait(LIMIT)

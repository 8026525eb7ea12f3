"""Middleware: Host header, request id, access log and metrics."""

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from seqhub.errors import InvalidConfigError
from seqhub.server.errors import HubHTTPError
from seqhub.server.metrics import Metrics
from seqhub.server.middleware import Guard, is_loopback
from seqhub.server.settings import Settings

Scope = dict[str, Any]
SECRET = "hf_" + "5" * 64


async def echo(scope: Scope, receive: Any, send: Any) -> None:
    """Application that returns the body of the request."""
    scope["seqhub.route"] = "/api/{kinds}/{repo}"
    body = (await receive()).get("body", b"")
    headers = [(b"content-type", b"text/plain"), (b"X-Request-Id", b"inner")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def send_request(
    guard: Guard,
    path: str = "/api/models/a/b",
    *,
    method: str = "GET",
    hosts: tuple[str, ...] = ("127.0.0.1:8080",),
    body: bytes = b"",
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Scope] = []

    async def receive() -> Scope:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Scope) -> None:
        sent.append(message)

    pairs = [(b"host", host.encode()) for host in hosts]
    pairs += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"token=" + SECRET.encode(),
             "headers": pairs, "client": ("127.0.0.1", 5)}  # fmt: skip
    asyncio.run(guard(scope, receive, send))
    found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    assert len(found) == len(sent[0]["headers"])
    return sent[0]["status"], found, b"".join(message["body"] for message in sent[1:])


def guard(**settings: Any) -> Guard:
    return Guard(echo, Settings(**settings), Metrics())


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "localhost."])
def test_loopback_names_are_allowed(host: str) -> None:
    assert send_request(guard(), hosts=(host,))[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "",
        "[::2]",
        "192.168.0.5",
        "a@b",
    ],
)
def test_foreign_host_names_are_rejected(host: str) -> None:
    status, headers, body = send_request(guard(), hosts=(host,))
    assert status == 421
    assert "--allow-host" in json.loads(body)["error"]
    assert headers["x-request-id"]


@pytest.mark.parametrize("hosts", [(), ("localhost", "evil.example")])
def test_exactly_one_host_header_is_required(hosts: tuple[str, ...]) -> None:
    assert send_request(guard(), hosts=hosts)[0] == 400


def test_names_can_be_allowed() -> None:
    assert send_request(guard(allowed_hosts=("hub.lab", "Other:80")), hosts=("HUB.lab:8080",))[0] == 200
    assert send_request(guard(allowed_hosts=("hub.lab", "Other:80")), hosts=("other",))[0] == 200
    assert send_request(guard(host="10.0.0.7"), hosts=("10.0.0.7:8080",))[0] == 200
    assert send_request(guard(host="0.0.0.0"), hosts=("10.0.0.7:8080",))[0] == 200
    assert send_request(guard(host="0.0.0.0"), hosts=("evil.example",))[0] == 421


def test_health_and_metrics_require_an_allowed_host() -> None:
    for path in ("/healthz", "/metrics"):
        assert send_request(guard(), path, hosts=("evil.example",))[0] == 421
        assert send_request(guard(), path, method="HEAD")[0] == 200
        assert send_request(guard(), path, method="HEAD")[2] == b""
    assert json.loads(send_request(guard(), "/healthz")[2]) == {"status": "ok"}


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2:3_x", True), ("x" * 65, False), ("a b", False), ("é", False)])
def test_request_id(given: str, kept: bool) -> None:
    headers = send_request(guard(), x_request_id=given)[1]
    assert (headers["x-request-id"] == given) is kept
    assert re.fullmatch(r"[\w.:-]+", headers["x-request-id"])
    assert (send_request(guard(), x_amzn_trace_id=given)[1]["x-request-id"] == given) is kept
    assert send_request(guard(), x_amzn_trace_id="theirs", x_request_id="ours")[1]["x-request-id"] == "ours"


def test_security_headers() -> None:
    headers = send_request(guard())[1]
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


def test_the_log_is_json_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "seqhub.access")
    status, headers, _ = send_request(
        guard(), f"/a/{SECRET}/b\nc", method="PUT", body=b"12345", authorization=f"Bearer {SECRET}", cookie=SECRET
    )
    (line,) = [record.message for record in caplog.records]
    assert SECRET not in line
    assert "\n" not in line
    record = json.loads(line)
    assert record["status"] == status
    assert record["id"] == headers["x-request-id"]
    assert (record["method"], record["received"], record["sent"]) == ("PUT", 5, 5)
    assert record["path"] == "/a/hf_***/b\nc"
    assert record["route"] == "/api/{kinds}/{repo}"


def test_metrics_are_prometheus_text() -> None:
    watched = guard()
    for _ in range(3):
        send_request(watched, "/api/models/secret/name", method="POST", body=b"abc")
    send_request(watched, "/x", method='BREW"\n')
    send_request(watched, "/x", hosts=("evil.example",))
    text = send_request(watched, "/metrics")[2].decode()
    samples = parse(text)
    here = 'method="POST",route="/api/{kinds}/{repo}"'
    assert samples[f'seqhub_requests_total{{{here},status="200"}}'] == 3
    assert samples[f"seqhub_received_bytes_total{{{here}}}"] == 9
    assert samples[f"seqhub_sent_bytes_total{{{here}}}"] == 9
    assert samples[f"seqhub_request_seconds_count{{{here}}}"] == 3
    assert samples[f'seqhub_request_seconds_bucket{{le="+Inf",{here}}}'] == 3
    assert samples["seqhub_requests_in_flight"] == 1  # this request
    assert samples['seqhub_requests_total{method="GET",route="foreign host",status="421"}'] == 1
    assert 'method="other"' in text
    assert "secret" not in text
    buckets = [name for name in samples if name.startswith("seqhub_request_seconds_bucket") and here in name]
    steps = [samples[name] for name in buckets]
    assert len(steps) == 14
    assert steps == sorted(steps)


def parse(text: str) -> dict[str, float]:
    """Parse the text format of Prometheus strictly: every sample must follow the TYPE of its family."""
    assert text.endswith("\n")
    samples: dict[str, float] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            family = line.split()[2]
            assert line.split()[3] in ("counter", "gauge", "histogram")
        elif line and not line.startswith("# HELP "):
            name, value = line.rsplit(" ", 1)
            assert re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"\n]*",?)+\})?', name), name
            assert name.startswith(family)
            samples[name] = float(value)
    return samples


def test_an_incomplete_body_times_out() -> None:
    async def silent() -> Scope:
        await asyncio.Event().wait()
        return {}

    async def send(message: Scope) -> None:
        raise AssertionError("no response expected")

    scope = {"type": "http", "method": "PUT", "path": "/x", "headers": [(b"host", b"localhost")], "client": None}
    metrics = Metrics()
    with pytest.raises(HubHTTPError, match="No data was received") as caught:
        asyncio.run(Guard(echo, Settings(body_seconds=0.01), metrics)(scope, silent, send))
    assert caught.value.status == 408
    assert b"seqhub_requests_in_flight 0.0\n" in metrics.text()


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("lab", False)],
)
def test_loopback(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


@pytest.mark.parametrize("wrong", [{"port": 65536}, {"port": -1}, {"body_seconds": 0}, {"max_connections": -1}])
def test_invalid_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidConfigError, match="={}: must be".format(*wrong.values())):
        Settings(**wrong)


def test_two_servers_have_separate_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.begin()
    assert b"seqhub_requests_in_flight 1.0\n" in first.text()
    assert b"seqhub_requests_in_flight 0.0\n" in second.text()

"""Rate limit of wrong tokens by address."""

import base64
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server import rate_limit
from seqhub.server.rate_limit import RateLimit
from seqhub.server.serve import running


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 15))))
def test_rate_limit_of_each_window(tries: list[tuple[str, int]]) -> None:
    now = 0.0
    counted = RateLimit(3, 10, lambda: now)
    windows: dict[str, tuple[float, int]] = {}
    for address, pause in tries:
        now += pause
        begin, number = windows.get(address, (now, 0))
        if now - begin >= 10:
            begin, number = now, 0
        windows[address] = begin, number + 1
        assert counted.record_wrong(address) == (begin + 10 - now if number >= 3 else 0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_ADDRESSES", 5)
    counted = RateLimit(1, 10, lambda: 0.0)
    for number in range(100):
        counted.record_wrong(str(number))
    assert len(counted._windows) == 5
    assert counted.record_wrong("99") > 0


def test_wrong_tokens_end_in_429_and_right_ones_do_not(tmp_path: Path) -> None:
    with running(tmp_path, max_wrong_tokens=3, wrong_token_seconds=3600) as hub:
        right = {"Authorization": f"Bearer {hub.token('ada')}"}
        password = base64.b64encode(b"ada:hf_guess").decode()
        hub.store.repos.create("model", "ada/x", author="ada")
        with httpx2.Client(base_url=hub.url, trust_env=False) as http:
            statuses = []
            for number in range(4):
                wrong = f"Basic {password}" if number % 2 else f"Bearer hf_guess{number}"
                answer = http.get("/api/whoami-v2", headers={"Authorization": wrong})
                statuses.append(answer.status_code)
            assert statuses == [401, 401, 401, 429]
            assert answer.headers["X-Error-Code"] == "TooManyRequests"
            assert 3500 < int(answer.headers["Retry-After"]) <= 3600
            assert "3 in 3600 seconds" in answer.json()["error"]
            git = http.get("/ada/x.git/info/refs", headers={"Authorization": f"Basic {password}"})
            assert git.status_code == 429
            assert http.get("/api/whoami-v2", headers=right).json()["name"] == "ada"
            assert http.get("/api/models/ada/x").status_code == 200
            assert http.get("/api/whoami-v2").status_code == 401

import base64
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqhub.server.errors import HubHTTPError
from seqhub.server.signed_urls import Grant, Signer

SIGNER = Signer(b"s" * 32)
GRANT = Grant("upload", "ada", 1, "model:ada/net", "write", 2_000_000_000, oid="ab", size=3)


def test_round_trip() -> None:
    assert SIGNER.read(SIGNER.sign(GRANT), "upload", now=1_999_999_999) == GRANT


@pytest.mark.parametrize("now", [2_000_000_000, 2_000_000_001, 9e12])
def test_an_expired_grant_is_invalid(now: float) -> None:
    with pytest.raises(HubHTTPError, match="expired"):
        SIGNER.read(SIGNER.sign(GRANT), "upload", now=now)


def test_a_grant_for_another_action_is_invalid() -> None:
    with pytest.raises(HubHTTPError, match="another action"):
        SIGNER.read(SIGNER.sign(GRANT), "download", "xet", now=0)


def test_a_grant_of_another_server_is_invalid() -> None:
    with pytest.raises(HubHTTPError, match="not signed by this server"):
        Signer(b"t" * 32).read(SIGNER.sign(GRANT), "upload", now=0)


def test_claims_cannot_be_exchanged() -> None:
    text, _, mac = SIGNER.sign(GRANT).rpartition(".")
    claims = json.dumps({**asdict(GRANT), "size": 10**9}).encode()
    forged = base64.urlsafe_b64encode(claims).decode().rstrip("=")
    other = SIGNER.sign(replace(GRANT, user="bob")).rpartition(".")[::2]
    for signed in (f"{forged}.{mac}", f"{other[0]}.{mac}", f"{text}.{other[1]}", text, f"{text}.", ""):
        with pytest.raises(HubHTTPError, match="not signed by this server"):
            SIGNER.read(signed, "upload", now=0)


@given(st.text(max_size=3000) | st.from_regex(r"\A[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{43}\Z"))
def test_random_text_is_rejected(text: str) -> None:
    with pytest.raises(HubHTTPError) as caught:
        SIGNER.read(text, "upload", now=0)
    assert caught.value.status == 403


def test_each_signature_has_one_text() -> None:
    """The last of 43 characters contains two bits that a lenient decoder ignores."""
    signed = SIGNER.sign(GRANT)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    for forged in (signed[:-1] + letter for letter in letters if letter != signed[-1]):
        with pytest.raises(HubHTTPError, match="not signed by this server"):
            SIGNER.read(forged, "upload", now=0)


@given(st.integers(0, 400), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_character_invalidates_the_grant(at: int, letter: str) -> None:
    signed = SIGNER.sign(GRANT)
    at %= len(signed)
    forged = signed[:at] + letter + signed[at + 1 :]
    if forged != signed:
        with pytest.raises(HubHTTPError):
            SIGNER.read(forged, "upload", now=0)

"""Accounts, tokens, gates."""

from datetime import UTC, datetime, timedelta

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store, accounts
from seqhub.server.types import Account, Repo


def test_accounts(store: Store, alice: Account) -> None:
    assert store.account("ALICE") == alice
    assert store.account("none") is None
    for name, status in (("Alice", 409), ("api", 400), ("a/b", 400), ("", 400)):
        with pytest.raises(HubHTTPError) as caught:
            store.create_account(name)
        assert caught.value.status == status


def test_organisations(store: Store, alice: Account, bob: Account) -> None:
    store.create_account("lab", is_org=True)
    store.add_member("lab", "alice", "admin")
    store.add_member("lab", "bob", "read")
    store.add_member("lab", "bob", "write")
    assert store.members("lab") == {"alice": "admin", "bob": "write"}
    assert store.roles_of("bob") == {"lab": "write"}
    store.remove_member("lab", "bob")
    assert store.roles_of("bob") == {}
    for org, user in (("alice", "bob"), ("lab", "lab"), ("none", "bob"), ("lab", "none")):
        with pytest.raises(HubHTTPError):
            store.add_member(org, user, "read")


def test_tokens(store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not store.has_tokens()
    secret, made = store.create_token("alice", "laptop", "write", repos=["model:alice/x"])
    assert secret.startswith("hf_")
    assert len(bytes.fromhex(secret[3:])) == 32
    assert store.has_tokens()
    token, account = store.token(secret)
    assert (token.role, token.repos, token.last4, account) == ("write", ("model:alice/x",), secret[-4:], alice)
    used = store.list_tokens("alice")[0].last_used
    assert used is not None
    store.token(secret)
    assert store.list_tokens("alice")[0].last_used == used  # noted at most once a minute
    for wrong in ("", "hf_", secret[:-1], secret + "0", secret.upper(), "\ud800"):
        assert store.token(wrong) is None
    database = (store.root / "hub.sqlite3").read_bytes() + (store.root / "hub.sqlite3-wal").read_bytes()
    assert secret.encode() not in database
    assert secret[3:].encode() not in database
    store.revoke_token(made.id)
    assert store.token(secret) is None
    with pytest.raises(HubHTTPError):
        store.revoke_token(made.id)


def test_tokens_expire(store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = store.create_token("alice", "x", "read", expires=datetime.now(UTC) + timedelta(hours=1))
    assert store.token(secret) is not None
    real = accounts.now
    monkeypatch.setattr(accounts, "now", lambda: real() + 3_600_000_001)
    assert store.token(secret) is None
    assert not store.has_tokens()


def test_gates(store: Store, repo: Repo, alice: Account, bob: Account) -> None:
    assert store.may_read_gated(repo, None)
    manual = store.update_repo(repo, gated="manual")
    assert store.may_read_gated(manual, alice)
    assert not store.may_read_gated(manual, bob)
    assert not store.may_read_gated(manual, None)
    assert store.request_access(manual, bob, {"why": "to learn"}).status == "pending"
    assert not store.may_read_gated(manual, bob)
    assert [request.account for request in store.access_requests(manual, "pending")] == [bob]
    store.decide(manual, "BOB", "accepted")
    assert store.may_read_gated(manual, bob)
    assert store.request_access(manual, bob).status == "accepted"
    store.decide(manual, "bob", "rejected")
    assert not store.may_read_gated(manual, bob)
    carol = store.create_account("carol")
    with pytest.raises(HubHTTPError):
        store.decide(manual, "carol", "accepted")
    store.decide(manual, "carol", "accepted", grant=True)
    assert store.may_read_gated(manual, carol)
    with pytest.raises(HubHTTPError):
        store.decide(manual, "carol", "accepted", grant=True)
    dave = store.create_account("dave")
    assert store.request_access(store.update_repo(repo, gated="auto"), dave).status == "accepted"


def test_likes(store: Store, repo: Repo, alice: Account, bob: Account) -> None:
    for _ in range(2):
        store.like(repo, bob)
        store.like(repo, alice)
    assert (store.likes(repo), store.likers(repo)) == (2, [alice, bob])
    store.unlike(repo, bob)
    assert store.likes(repo) == 1

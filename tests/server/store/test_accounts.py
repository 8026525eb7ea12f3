"""Accounts, tokens and gated repositories."""

from datetime import UTC, datetime, timedelta

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store, tokens
from seqhub.server.types import Account, Repo


def test_accounts(store: Store, alice: Account) -> None:
    assert store.accounts.find("ALICE") == alice
    assert store.accounts.find("none") is None
    for name, status in (("Alice", 409), ("api", 400), ("a/b", 400), ("", 400)):
        with pytest.raises(HubHTTPError) as caught:
            store.accounts.create(name)
        assert caught.value.status == status


def test_organisations(store: Store, alice: Account, bob: Account) -> None:
    store.accounts.create("lab", is_org=True)
    store.accounts.add_member("lab", "alice", "admin")
    store.accounts.add_member("lab", "bob", "read")
    store.accounts.add_member("lab", "bob", "write")
    assert store.accounts.members("lab") == {"alice": "admin", "bob": "write"}
    assert store.accounts.roles_of("bob") == {"lab": "write"}
    store.accounts.remove_member("lab", "bob")
    assert store.accounts.roles_of("bob") == {}
    for org, user in (("alice", "bob"), ("lab", "lab"), ("none", "bob"), ("lab", "none")):
        with pytest.raises(HubHTTPError):
            store.accounts.add_member(org, user, "read")


def test_tokens(store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not store.tokens.any_valid()
    secret, made = store.tokens.create("alice", "laptop", "write", repos=["model:alice/x"])
    assert secret.startswith("hf_")
    assert len(bytes.fromhex(secret[3:])) == 32
    assert store.tokens.any_valid()
    token, account = store.tokens.find(secret)
    assert (token.role, token.repos, token.last4, account) == ("write", ("model:alice/x",), secret[-4:], alice)
    used = store.tokens.of_user("alice")[0].last_used
    assert used is not None
    store.tokens.find(secret)
    assert store.tokens.of_user("alice")[0].last_used == used  # recorded at most once a minute
    for wrong in ("", "hf_", secret[:-1], secret + "0", secret.upper(), "\ud800"):
        assert store.tokens.find(wrong) is None
    database = (store.root / "hub.sqlite3").read_bytes() + (store.root / "hub.sqlite3-wal").read_bytes()
    assert secret.encode() not in database
    assert secret[3:].encode() not in database
    store.tokens.revoke(made.id)
    assert store.tokens.find(secret) is None
    with pytest.raises(HubHTTPError):
        store.tokens.revoke(made.id)


def test_tokens_expire(store: Store, alice: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = store.tokens.create("alice", "x", "read", expires=datetime.now(UTC) + timedelta(hours=1))
    assert store.tokens.find(secret) is not None
    real = tokens.now
    monkeypatch.setattr(tokens, "now", lambda: real() + 3_600_000_001)
    assert store.tokens.find(secret) is None
    assert not store.tokens.any_valid()


def test_gated_repositories(store: Store, repo: Repo, alice: Account, bob: Account) -> None:
    assert store.access_requests.may_read(repo, None)
    manual = store.repos.update(repo, gated="manual")
    assert store.access_requests.may_read(manual, alice)
    assert not store.access_requests.may_read(manual, bob)
    assert not store.access_requests.may_read(manual, None)
    assert store.access_requests.create(manual, bob, {"why": "to learn"}).status == "pending"
    assert not store.access_requests.may_read(manual, bob)
    assert [request.account for request in store.access_requests.of_repo(manual, "pending")] == [bob]
    store.access_requests.decide(manual, "BOB", "accepted")
    assert store.access_requests.may_read(manual, bob)
    assert store.access_requests.create(manual, bob).status == "accepted"
    store.access_requests.decide(manual, "bob", "rejected")
    assert not store.access_requests.may_read(manual, bob)
    carol = store.accounts.create("carol")
    with pytest.raises(HubHTTPError):
        store.access_requests.decide(manual, "carol", "accepted")
    store.access_requests.decide(manual, "carol", "accepted", grant=True)
    assert store.access_requests.may_read(manual, carol)
    with pytest.raises(HubHTTPError):
        store.access_requests.decide(manual, "carol", "accepted", grant=True)
    dave = store.accounts.create("dave")
    assert store.access_requests.create(store.repos.update(repo, gated="auto"), dave).status == "accepted"


def test_likes(store: Store, repo: Repo, alice: Account, bob: Account) -> None:
    for _ in range(2):
        store.likes.add(repo, bob)
        store.likes.add(repo, alice)
    assert (store.likes.count(repo), store.likes.accounts(repo)) == (2, [alice, bob])
    store.likes.remove(repo, bob)
    assert store.likes.count(repo) == 1

"""Users, tokens and repositories for tests of permissions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seqhub.server.store import Store
from seqhub.server.types import Repo, RepoType

PEOPLE = ("ada", "bob", "rita", "will", "anna")


class World:
    """Store with users, organisations, tokens and repositories.

    ada owns repositories, bob has no role in them; rita, will and anna are reader, writer and admin of the
    organisation lab.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        for name in PEOPLE:
            store.accounts.create(name)
        store.accounts.create("lab", is_org=True)
        for name, role in (("rita", "read"), ("will", "write"), ("anna", "admin")):
            store.accounts.add_member("lab", name, role)
        self.repos: dict[str, Repo] = {}
        for owner in ("ada", "lab"):
            for what in ("public", "private", "gated"):
                self.repos[f"{owner}/{what}"] = self.make("model", f"{owner}/{what}", what)
        past, soon = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(days=1)
        one = ["model:ada/Private"]
        self.secrets: dict[str, str | None] = {
            "anonymous": None,
            "ada": store.tokens.create("ada", "t", "write")[0],
            "ada, read token": store.tokens.create("ada", "t", "read", expires=soon)[0],
            "ada, admin token": store.tokens.create("ada", "t", "admin")[0],
            "ada, token for ada/private": store.tokens.create("ada", "t", "write", repos=one)[0],
            "bob": store.tokens.create("bob", "t", "admin")[0],
            "bob, token for ada/private": store.tokens.create("bob", "t", "admin", repos=one)[0],
            "rita": store.tokens.create("rita", "t", "admin")[0],
            "will": store.tokens.create("will", "t", "admin")[0],
            "anna": store.tokens.create("anna", "t", "admin")[0],
            "anna, read token": store.tokens.create("anna", "t", "read")[0],
            "anna, write token": store.tokens.create("anna", "t", "write")[0],
            "ada, expired": store.tokens.create("ada", "t", "admin", expires=past)[0],
            "ada, revoked": self.revoked("ada"),
            "forged": "hf_" + "0" * 64,
        }

    def make(self, repo_type: RepoType, name: str, what: str) -> Repo:
        gated = "manual" if what == "gated" else "no"
        return self.store.repos.create(repo_type, name, private=what == "private", gated=gated, author="ada")

    def revoked(self, user: str) -> str:
        secret, token = self.store.tokens.create(user, "t", "admin")
        self.store.tokens.revoke(token.id)
        return secret


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = Store(Path(tmp_path_factory.mktemp("hub")))
    yield World(store)
    store.close()

"""Hub with two users, and requests to its routes for large files."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from seqhub.server.serve import Running, running
from seqhub.server.xet.hashes import to_hex
from tests.helpers.xet_writers import Xorb


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class User:
    """User with a repository and a CAS connection."""

    hub: Running
    name: str
    token: str
    http: httpx2.Client

    @property
    def repo(self) -> str:
        return f"{self.name}/net"

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.http.get(path, headers=self.bearer, **options)

    def batch(self, content: bytes, repo: str | None = None, **fields: Any) -> httpx2.Response:
        objects = [{"oid": sha256(content), "size": len(content)}]
        body = {"operation": "upload", "transfers": ["basic"], "objects": objects, "ref": {"name": "main"}, **fields}
        return self.http.post(f"/{repo or self.repo}.git/info/lfs/objects/batch", json=body, headers=self.bearer)

    def upload_url(self, content: bytes) -> str:
        return str(self.batch(content).json()["objects"][0]["actions"]["upload"]["href"])

    def commit(self, path: str, oid: str, size: int) -> httpx2.Response:
        lines = [
            {"key": "header", "value": {"summary": "one file"}},
            {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid, "size": size}},
        ]
        body = "\n".join(map(json.dumps, lines))
        headers = {**self.bearer, "Content-Type": "application/x-ndjson"}
        return self.http.post(f"/api/models/{self.repo}/commit/main", content=body, headers=headers)

    def may_use(self, content: bytes) -> bool:
        account = self.hub.store.accounts.find(self.name)
        assert account is not None
        return self.hub.store.blobs.may_use(account, sha256(content))

    def cas(self) -> "Cas":
        answer = self.get(f"/api/models/{self.repo}/xet-write-token/main").raise_for_status()
        found = answer.json()
        assert found == {
            "casUrl": answer.headers["X-Xet-Cas-Url"],
            "accessToken": answer.headers["X-Xet-Access-Token"],
            "exp": int(answer.headers["X-Xet-Token-Expiration"]),
        }
        return Cas(self.http, found["casUrl"], found["accessToken"])


@dataclass
class Cas:
    http: httpx2.Client
    url: str
    token: str

    def post(self, path: str, body: bytes) -> httpx2.Response:
        return self.http.post(f"{self.url}/{path}", content=body, headers={"Authorization": f"Bearer {self.token}"})

    def xorb(self, xorb: Xorb, raw: bytes | None = None) -> httpx2.Response:
        return self.post(f"v1/xorbs/default/{to_hex(xorb.hash)}", xorb.raw if raw is None else raw)

    def shard(self, raw: bytes) -> httpx2.Response:
        return self.post("v1/shards", raw)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("hub")) as found:
        yield found


def new_user(hub: Running, name: str, http: httpx2.Client, *, private: bool = False) -> User:
    token = hub.token(name)
    who = User(hub, name, token, http)
    body = {"name": "net", "type": "model", "private": private}
    http.post("/api/repos/create", json=body, headers=who.bearer).raise_for_status()
    return who


@pytest.fixture(scope="module")
def http(hub: Running) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=hub.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def ada(hub: Running, http: httpx2.Client) -> User:
    return new_user(hub, "ada", http, private=True)


@pytest.fixture(scope="module")
def bob(hub: Running, http: httpx2.Client) -> User:
    return new_user(hub, "bob", http)


def files_below(root: Path) -> dict[str, int]:
    """Return the files in the folders for large files, except the epochs of users."""
    found = [path for name in ("blobs", "tmp", "parts", "xorbs") for path in (root / name).rglob("*")]
    return {str(path): path.stat().st_size for path in found if path.is_file() and path.name not in ("newest", "swept")}

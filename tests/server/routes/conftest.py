"""Server in this process, for requests that real clients do not send."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqhub.server.app import create_app
from seqhub.server.settings import Settings
from seqhub.server.store import Store
from seqhub.server.types import AddSmall, Repo, RepoType

collect_ignore = ["client_script.py"]  # a script for a separate process, which doctest must not import


@dataclass(frozen=True)
class Hub:
    """Store, and requests to its application by a user."""

    store: Store
    client: TestClient
    tokens: dict[str, str]

    def __call__(self, method: str, path: str, who: str | None = "ada", **given: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        headers |= given.pop("headers", {})
        return self.client.request(method, path, headers=headers, follow_redirects=False, **given)

    def make(self, repo_id: str, repo_type: RepoType = "model", *, private: bool = False, **files: bytes) -> Repo:
        author = repo_id.partition("/")[0]
        repo = self.store.repos.create(repo_type, repo_id, private=private, author=author)
        account = self.store.accounts.find(author)
        assert account is not None
        added = [AddSmall(path, content) for path, content in ({"a.txt": b"0123456789"} | files).items()]
        self.store.commits.create(
            repo, "main", added, expected_parent=None, author=author, title="files", uploader=account
        )
        return repo

    def head(self, repo: Repo) -> str:
        return self.store.revisions.resolve(repo, "main").oid

    def commit(self, name: str, *operations: tuple[str, dict[str, object]], who: str = "ada", **header: object) -> Any:
        lines = [("header", {"summary": "s", **header}), *operations]
        body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
        return self("POST", f"/api/models/{name}/commit/main", who, content=body)


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    store = Store(Path(tmp_path_factory.mktemp("hub")))
    for name in ("ada", "bob", "seqhub"):
        store.accounts.create(name)
    tokens = {name: store.tokens.create(name, "t", "admin")[0] for name in ("ada", "bob")}
    hub = Hub(
        store,
        TestClient(create_app(store, settings=Settings(max_wrong_tokens=10_000)), raise_server_exceptions=True),
        tokens,
    )
    hub.make("ada/open")
    hub.make("ada/secret", private=True)
    hub.make("ada/secret", "dataset", private=True)
    hub.make("ada/gated")
    gated = store.repos.find("model", "ada/gated")
    assert gated is not None
    store.repos.update(gated, gated="manual")
    yield hub
    store.close()

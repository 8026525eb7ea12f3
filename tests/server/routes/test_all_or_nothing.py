"""Atomicity: a request that fails changes nothing."""

import json
from typing import Any

import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import Store
from seqhub.server.types import AddLarge, AddSmall
from tests.server.routes.conftest import Hub

UP = {"path": "../x", "content": "hello"}
GOOD = {"path": "x", "content": "hello"}
TWINS = [{"path": "\u00e9", "content": "a"}, {"path": "e\u0301", "content": ""}]
REPO = "/api/models/ada/whole"


def everything(store: Store) -> dict[str, list[Any]]:
    """Return all rows of all tables, without the last use of tokens."""
    with store.database.reading() as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}"))) for name in sorted(names)}
    return {name: found for name, found in rows.items() if name not in ("tokens", "sqlite_sequence")}


@pytest.fixture(scope="module")
def large(hub: Hub) -> str:
    """Return the SHA-256 of a large file of ada/whole, which also has a branch and a pull request."""
    repo = hub.make("ada/whole")
    ada = hub.store.accounts.find("ada")
    assert ada is not None
    writer = hub.store.blobs.begin()
    writer.write(b"large")
    operation = AddLarge("large.bin", *writer.finish(None, None, ada))
    hub.store.commits.create(repo, "main", [operation], expected_parent=None, author="ada", title="l", uploader=ada)
    hub.store.refs.create_branch(repo, "dev")
    hub.store.discussions.propose(repo, [AddSmall("p.txt", b"p")], author="ada", title="p", uploader=ada)
    return operation.sha256


REFUSED: list[tuple[str, str, Any]] = [
    ("POST", "/api/repos/create", {"name": "new", "files": [GOOD, UP]}),
    ("POST", "/api/repos/create", {"name": "new", "files": [GOOD, {"path": "x/y", "content": "a"}]}),
    ("POST", "/api/repos/create", {"name": "new", "files": [GOOD] * 101}),
    ("POST", "/api/repos/create", {"name": "new", "files": TWINS}),
    ("POST", "/api/repos/create", {"name": "new", "type": "space", "sdk": "docker", "files": [UP]}),
    ("POST", "/api/repos/create", {"name": "new", "license": "mit", "files": [UP]}),
    ("POST", f"{REPO}/duplicate", {"repository": "ada/open"}),
    ("POST", f"{REPO}/duplicate", {"repository": "bob/whole"}),
    ("POST", "/api/repos/move", {"fromRepo": "ada/whole", "toRepo": "ada/open"}),
    ("POST", "/api/repos/move", {"fromRepo": "ada/whole", "toRepo": "unknown/x"}),
    ("PUT", f"{REPO}/settings", {"private": True, "gated": "x"}),
    ("POST", f"{REPO}/branch/dev", {"startingPoint": "absent", "overwrite": True}),
    ("POST", f"{REPO}/branch/main", {"startingPoint": "dev", "overwrite": True}),
    ("POST", f"{REPO}/branch/dev%2Fx", {"startingPoint": "main", "overwrite": True}),
    ("POST", f"{REPO}/tag/main", {"tag": "bad..name", "message": "m"}),
    ("POST", f"{REPO}/lfs-files/batch", {"deletions": {"sha": ["LARGE", "0" * 64]}}),
    ("POST", f"{REPO}/discussions", {"title": "t" * 301, "pullRequest": True}),
    ("POST", f"{REPO}/discussions/1/status", {"status": "closed", "comment": "c" * 70_000}),
    ("POST", f"{REPO}/discussions/1/title", {"title": " "}),
    ("POST", f"{REPO}/discussions/1/merge", {"comment": "c" * 70_000}),
    ("POST", "/api/models/ada/gated/user-access-request/grant", {"user": "unknown"}),
    ("POST", f"{REPO}/super-squash/absent", {"message": "m"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), REFUSED, ids=lambda value: str(value)[:60])
def test_an_invalid_request_changes_nothing(hub: Hub, large: str, method: str, path: str, body: Any) -> None:
    before = everything(hub.store)
    if "deletions" in body:
        body = {"deletions": {"sha": [large if sha == "LARGE" else sha for sha in body["deletions"]["sha"]]}}
    answer = hub(method, path, json=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert everything(hub.store) == before


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("query", ["", "?create_pr=1"])
@pytest.mark.parametrize(
    "last",
    [("file", {"path": "../x", "content": "eA==", "encoding": "base64"}), ("deletedFile", {"path": "absent"}),
     ("lfsFile", {"path": "l", "oid": "0" * 64, "size": 1}), ("copyFile", {"path": "c", "srcPath": "absent"}),
     ("file", {"path": "a.txt/x", "content": "eA==", "encoding": "base64"})],
    ids=lambda last: last[0],
)  # fmt: skip
def test_an_invalid_commit_leaves_no_pull_request(hub: Hub, query: str, last: Any) -> None:
    before = everything(hub.store)
    lines: list[tuple[str, Any]] = [
        ("header", {"summary": "s"}),
        ("file", {"path": "good", "content": "eA==", "encoding": "base64"}),
        last,
    ]
    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
    answer = hub("POST", f"{REPO}/commit/main{query}", content=body)
    assert 400 <= answer.status_code < 500
    assert everything(hub.store) == before


def test_create_can_be_repeated_after_an_error(hub: Hub) -> None:
    body = {"name": "retried", "type": "model", "files": [UP]}
    assert hub("POST", "/api/repos/create", json=body).status_code == 422
    body["files"] = [GOOD]
    assert hub("POST", "/api/repos/create", json=body).status_code == 200
    assert hub("GET", "/ada/retried/resolve/main/x").content == b"hello"
    assert hub("POST", "/api/repos/create", json=body).json()["url"].endswith("/ada/retried")
    repo = hub.store.repos.find("model", "ada/retried")
    assert repo is not None
    hub.store.repos.delete(repo)


def test_an_overwritten_branch_moves(hub: Hub, large: str) -> None:
    answer = hub("POST", f"{REPO}/branch/dev", json={"startingPoint": "refs/pr/1", "overwrite": True})
    assert answer.status_code == 200
    assert hub("GET", "/ada/whole/resolve/dev/p.txt").content == b"p"
    assert large


def test_an_invalid_token_creates_no_account(hub: Hub) -> None:
    before = everything(hub.store)
    for user, role in (("newcomer", "owner"), ("bad name", "write")):
        with pytest.raises(HubHTTPError):
            hub.store.tokens.create(user, "t", role, create_user=True)  # type: ignore[arg-type]
    assert everything(hub.store) == before

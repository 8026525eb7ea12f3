"""A token restricted to repositories reveals nothing about other repositories of its owner."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from seqhub.server import app
from seqhub.server.routing import Route
from seqhub.server.types import AddLarge
from seqhub.server.xet.hashes import to_hex
from tests.helpers.xet_writers import Piece, Xorb, file_records, shard
from tests.server.routes.conftest import Hub
from tests.server.routes.test_table import TABLE, headers_of, name_of, path_of

A, B, GATED = "ada/scope-a", "ada/scope-b", "bob/scope-gated"
CLOSED = [r for r in TABLE if "{repo}" in r.pattern and r.permission not in ("public", "signed")]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sent(hub: Hub, who: str, content: bytes) -> AddLarge:
    account = hub.store.accounts.find(who)
    assert account is not None
    writer = hub.store.blobs.begin()
    writer.write(content)
    return AddLarge("w.bin", *writer.finish(None, None, account))


@pytest.fixture(scope="module")
def contents(hub: Hub) -> Iterator[dict[str, bytes]]:
    """Return large files that the token for A may not use, by their location."""
    found = {place: secrets.token_bytes(3000) for place in ("private", "gated", "uploaded", "absent")}
    repos = [hub.make(A), hub.make(B, private=True), hub.make(GATED)]
    ada = hub.store.accounts.find("ada")
    assert ada is not None
    for repo, place, author in ((repos[1], "private", "ada"), (repos[2], "gated", "bob")):
        account = hub.store.accounts.find(author)
        assert account is not None
        operation = sent(hub, author, found[place])
        hub.store.commits.create(
            repo, "main", [operation], expected_parent=None, author=author, title="large", uploader=account
        )
    hub.store.repos.update(repos[2], gated="manual")
    hub.store.access_requests.create(repos[2], ada)
    hub.store.access_requests.decide(repos[2], "ada", "accepted")
    sent(hub, "ada", found["uploaded"])
    for name, repo in (("scoped", A), ("scoped to b", B)):
        hub.tokens[name] = hub.store.tokens.create("ada", name, "admin", repos=[f"model:{repo}"])[0]
    yield found
    for repo in repos:
        hub.store.repos.delete(repo)


def plain(answer: Any, *names: str) -> tuple[int, dict[str, str], str]:
    """Return a response without the parts that differ between any two requests, and with NAME for `names`."""
    text, headers = answer.text, dict(answer.headers)
    for name in names:
        text = text.replace(name, "NAME")
        headers = {key: value.replace(name, "NAME") for key, value in headers.items()}
    return answer.status_code, {k: v for k, v in headers.items() if k not in ("x-request-id", "content-length")}, text


@pytest.mark.usefixtures("contents")
@pytest.mark.parametrize("route", CLOSED, ids=name_of)
def test_another_private_repository_looks_absent_on_every_route(hub: Hub, route: Route) -> None:
    method = "POST" if route.method == "*" else route.method
    answers = [
        plain(hub(method, path_of(route, name), "scoped", headers=headers_of(route)), name)
        for name in (B, "ada/scope-none")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404


@pytest.mark.usefixtures("contents")
def test_all_routes_with_a_repository_are_tested() -> None:
    assert len(CLOSED) > 40
    assert all("{repo}" not in r.pattern or r in CLOSED or r.state == "unsupported" for r in app.table())


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("DELETE", "/api/repos/delete", {"name": "{}", "organization": "ada"}),
     ("POST", "/api/repos/create", {"name": "{}", "organization": "ada"}),
     ("POST", "/api/repos/move", {"fromRepo": "ada/{}", "toRepo": "ada/scope-new"}),
     ("POST", "/api/repos/move", {"fromRepo": A, "toRepo": "ada/{}"}),
     ("POST", f"/api/models/{A}/duplicate", {"repository": "ada/{}"}),
     ("POST", f"/api/models/{A}/lfs-files/duplicate", {"target": {"name": "ada/{}"}, "files": []}),
     ("GET", "/api/models?author=ada&search={}&limit=100", None),
     ("GET", "/api/settings/repositories?search={}", None)],
)  # fmt: skip
@pytest.mark.usefixtures("contents")
def test_another_private_repository_looks_absent_in_bodies_and_lists(
    hub: Hub, method: str, path: str, body: dict[str, object] | None
) -> None:
    answers = []
    for name in ("scope-b", "scope-none"):
        raw = None if body is None else json.dumps(body).replace("{}", name)
        answers.append(plain(hub(method, path.replace("{}", name), "scoped", content=raw), name))
    assert answers[0] == answers[1]
    assert method == "GET" or answers[0][0] in (403, 404)


@pytest.mark.usefixtures("contents")
def test_the_former_name_of_another_repository_looks_absent(hub: Hub) -> None:
    repo = hub.make("ada/scope-before", private=True)
    hub.store.repos.move(repo, "ada/scope-after")
    for name in ("scope-before", "scope-after"):
        answer = hub("GET", f"/api/models/ada/{name}", "scoped")
        absent = hub("GET", "/api/models/ada/scope-none", "scoped")
        assert plain(answer) == plain(absent)
    hub.store.repos.delete(repo)


@pytest.mark.parametrize("place", ["private", "gated", "uploaded"])
def test_content_of_other_repositories_looks_absent(hub: Hub, contents: dict[str, bytes], place: str) -> None:
    """Use every route that accepts a hash, with the token for A, in A."""
    seen = [answers_about(hub, contents[which], "scoped") for which in (place, "absent")]
    assert seen[0] == seen[1]
    assert all(status in (400, 404, 422) for name, (status, *_) in seen[0].items() if name.startswith("commit"))
    assert seen[0]["verify"][0] == 404
    assert '"upload":' in seen[0]["upload"][2]
    assert '"error":' in seen[0]["download"][2]


def answers_about(hub: Hub, content: bytes, who: str) -> dict[str, tuple[int, dict[str, str], str]]:
    oid, size, lfs = sha256(content), len(content), f"/{A}.git/info/lfs/objects"
    item = {"oid": oid, "size": size}
    large = {"path": "x.bin", "algo": "sha256", **item}
    copied = {"path": "x.bin", "srcPath": "w.bin", "srcRevision": "main"}
    answers = {
        "commit": hub.commit(A, ("lfsFile", large), who=who),
        "commit without a size": hub.commit(A, ("lfsFile", large | {"size": None}), who=who),
        "commit of a copy": hub.commit(A, ("copyFile", copied), who=who),
        "verify": hub("POST", f"{lfs}/verify", who, json=item),
        "download": hub("POST", f"{lfs}/batch", who, json={"operation": "download", "objects": [item]}),
        "upload": hub("POST", f"{lfs}/batch", who, json={"operation": "upload", "objects": [item]}),
        "copy between": hub(
            "POST",
            f"/api/models/{A}/lfs-files/duplicate",
            who,
            json={"target": {"name": A}, "files": [{"sha256": oid}]},
        ),
    }
    plained = {name: plain(answer, oid) for name, answer in answers.items()}
    status, headers, text = plained["upload"]
    plained["upload"] = status, headers, text.split("?grant=")[0]  # signatures differ
    return plained


def cas(hub: Hub, repo: str, who: str) -> tuple[str, dict[str, str]]:
    answer = hub("GET", f"/api/models/{repo}/xet-write-token/main", who).json()
    return answer["casUrl"], {"Authorization": f"Bearer {answer['accessToken']}"}


@pytest.mark.usefixtures("contents")
def test_a_shard_may_refer_to_xorbs_of_its_token_only(hub: Hub) -> None:
    xorb = Xorb([secrets.token_bytes(900) for _ in range(2)], [0, 1])
    address, bearer = cas(hub, B, "ada")
    xorb_path = f"v1/xorbs/default/{to_hex(xorb.hash)}"
    assert hub.client.post(f"{address}/{xorb_path}", content=xorb.raw, headers=bearer).json()["was_inserted"]
    named = shard(file_records([Piece(xorb, 0, 2)]), xorbs=[xorb])
    assert hub.client.post(f"{address}/v1/shards", content=named, headers=bearer).status_code == 200
    content = b"".join(xorb.contents)
    own, own_bearer = cas(hub, A, "scoped")
    assert own != address
    assert hub.client.post(f"{own}/v1/shards", content=named, headers=own_bearer).status_code == 404
    assert hub.client.post(f"{address}/v1/shards", content=named, headers=own_bearer).status_code == 410
    large = {"path": "x.bin", "algo": "sha256", "oid": sha256(content), "size": len(content)}
    assert hub.commit(A, ("lfsFile", large), who="scoped").status_code == 400
    own, own_bearer = cas(hub, A, "scoped")
    sent_again = hub.client.post(f"{own}/{xorb_path}", content=xorb.raw, headers=own_bearer)
    assert sent_again.json() == {"was_inserted": True}, "uploads of the owner are not revealed"
    assert hub.client.post(f"{own}/v1/shards", content=named, headers=own_bearer).status_code == 200
    assert hub.commit(A, ("lfsFile", large), who="scoped").status_code == 200


@pytest.mark.usefixtures("contents")
def test_a_token_may_commit_content_that_it_uploaded(hub: Hub) -> None:
    """Upload by LFS, verify and commit; neither another token of the account nor a later one may use it."""
    content = secrets.token_bytes(3000)
    item = {"oid": sha256(content), "size": len(content)}
    batch, verify = f"/{A}.git/info/lfs/objects/batch", f"/{A}.git/info/lfs/objects/verify"
    body = {"operation": "upload", "objects": [item]}
    action = hub("POST", batch, "scoped", json=body).json()["objects"][0]["actions"]["upload"]
    assert hub.client.put(action["href"], content=content).status_code == 200
    assert hub("POST", verify, "scoped", json=item).status_code == 200
    assert "actions" not in hub("POST", batch, "scoped", json=body).json()["objects"][0]
    large = ("lfsFile", {"path": "mine.bin", "algo": "sha256", **item})
    assert hub.commit(B, large, who="scoped to b").status_code == 400
    secret, token = hub.store.tokens.create("ada", "soon gone", "write", repos=[f"model:{B}"])
    hub.store.tokens.revoke(token.id)
    _, later = hub.store.tokens.create("ada", "later", "write", repos=[f"model:{B}"])
    assert later.id != token.id, "ids of tokens are not reused, since grants and uploads contain them"
    assert hub.commit(A, large, who="scoped").status_code == 200
    assert hub.commit(B, ("lfsFile", {"path": "w2.bin", "algo": "sha256", **item}), who="ada").status_code == 200
    assert secret != hub.tokens["scoped"]


def test_a_token_may_commit_content_that_it_may_read(hub: Hub, contents: dict[str, bytes]) -> None:
    """The token for B may commit content of B in B again; the owner's token may do so anywhere."""
    content = contents["private"]
    large = {"path": "again.bin", "algo": "sha256", "oid": sha256(content), "size": len(content)}
    assert hub.commit(B, ("lfsFile", large), who="scoped to b").status_code == 200
    own = hub.make("ada/scope-own")
    for place in ("private", "gated", "uploaded"):
        value = {"path": f"{place}.bin", "algo": "sha256", "oid": sha256(contents[place]), "size": 3000}
        assert hub.commit("ada/scope-own", ("lfsFile", value)).status_code == 200
    hub.store.repos.delete(own)


def test_a_signed_download_fails_after_permanent_deletion(hub: Hub) -> None:
    repo, content = hub.make("ada/scope-gone"), secrets.token_bytes(3000)
    ada = hub.store.accounts.find("ada")
    assert ada is not None
    operation = sent(hub, "ada", content)
    hub.store.commits.create(repo, "main", [operation], expected_parent=None, author="ada", title="large", uploader=ada)
    body = {"operation": "download", "objects": [{"oid": sha256(content), "size": len(content)}]}
    answer = hub("POST", "/ada/scope-gone.git/info/lfs/objects/batch", None, json=body).json()
    address = answer["objects"][0]["actions"]["download"]["href"]
    assert hub.client.get(address).content == content
    hub.store.commits.delete_large(repo, sha256(content))
    assert hub.client.get(address).status_code == 404
    hub.store.repos.delete(repo)

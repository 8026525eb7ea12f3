"""LFS routes with requests that real clients do not send."""

import secrets
import time
from pathlib import Path

import httpx2
import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.multipart import joined_parts
from seqhub.server.serve import Running
from seqhub.server.signed_urls import Grant, Signer
from seqhub.server.store import Limits, Store
from seqhub.server.types import Account
from tests.server.large.conftest import User, files_below, sha256


def random_content() -> bytes:
    return secrets.token_bytes(2000)


def test_upload_and_download(ada: User, http: httpx2.Client) -> None:
    content = random_content()
    item = ada.batch(content).json()["objects"][0]
    upload, verify = item["actions"]["upload"], item["actions"]["verify"]
    assert "Authorization" not in upload.get("header", {})
    what = {"oid": sha256(content), "size": len(content)}
    assert http.post(verify["href"], json=what, headers=ada.bearer).status_code == 404
    assert http.put(upload["href"], content=content).status_code == 200
    assert http.post(verify["href"], json=what, headers=ada.bearer).status_code == 200
    assert http.post(verify["href"], json={**what, "size": 1}, headers=ada.bearer).status_code == 404
    assert "actions" not in ada.batch(content).json()["objects"][0], "no upload needed"
    assert ada.commit("w.bin", sha256(content), len(content)).status_code == 200
    download = ada.batch(content, operation="download").json()["objects"][0]["actions"]["download"]["href"]
    assert http.get(download).content == content
    part = http.get(download, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, content[5:10])


def test_existence_of_private_files_is_not_revealed(ada: User, bob: User, http: httpx2.Client) -> None:
    content = random_content()
    http.put(ada.upload_url(content), content=content).raise_for_status()
    ada.commit("secret.bin", sha256(content), len(content)).raise_for_status()
    for wanted in (content, random_content()):
        item = bob.batch(wanted).json()["objects"][0]
        assert "upload" in item["actions"], "bob must send it even if it is stored"
        answer = bob.batch(wanted, operation="download").json()["objects"][0]
        assert answer["error"] == {"code": 404, "message": "Object does not exist"}
        what = {"oid": sha256(wanted), "size": len(wanted)}
        verify = http.post(f"/{bob.repo}.git/info/lfs/objects/verify", json=what, headers=bob.bearer)
        assert verify.status_code == 404
    assert bob.commit("mine.bin", sha256(content), len(content)).status_code in (400, 403, 404, 422)
    assert bob.batch(content, repo=ada.repo, operation="download").status_code == 404, "ada's repository is private"
    assert bob.batch(content, repo=ada.repo).status_code == 404
    assert http.post(f"/{ada.repo}.git/info/lfs/objects/batch", json={"operation": "upload"}).status_code == 401


def test_a_signature_is_valid_for_one_file_and_size(ada: User, http: httpx2.Client, hub: Running) -> None:
    content, other = random_content(), random_content()
    address, elsewhere = ada.upload_url(content), ada.upload_url(other)
    grant = address.partition("grant=")[2]
    before = files_below(hub.store.root)
    assert http.put(address, content=other).status_code == 400
    assert http.put(address, content=content[:-1]).status_code == 400
    assert http.put(address, content=content + b"x").status_code == 400
    assert http.put(address, content=iter([content, b"x"])).status_code == 400
    assert http.put(address, content=b"").status_code == 400
    assert http.put(elsewhere.partition("grant=")[0] + "grant=" + grant, content=content).status_code == 403
    assert http.put(address[:-3] + "AAA", content=content).status_code == 403
    assert http.put(address.partition("?")[0], content=content).status_code == 403
    assert http.get(address).status_code == 403, "an upload URL does not permit downloads"
    assert files_below(hub.store.root) == before
    assert not ada.may_use(content)


@pytest.mark.parametrize("spelling", ["sha256", "sha_256"])
def test_both_spellings_of_the_hash_algorithm(ada: User, http: httpx2.Client, spelling: str) -> None:
    """git-lfs sends sha256, the JavaScript client sha_256."""
    content = random_content()
    answer = ada.batch(content, hash_algo=spelling).raise_for_status().json()
    assert answer["hash_algo"] == spelling
    assert http.put(answer["objects"][0]["actions"]["upload"]["href"], content=content).status_code == 200
    download = ada.batch(content, operation="download", hash_algo=spelling)
    assert download.status_code == 200


def test_replaying_an_upload_changes_nothing(ada: User, http: httpx2.Client, hub: Running) -> None:
    content = random_content()
    address = ada.upload_url(content)
    assert http.put(address, content=content).status_code == 200
    before = files_below(hub.store.root)
    assert http.put(address, content=content).status_code == 200
    assert http.put(address, content=random_content()).status_code == 400
    assert files_below(hub.store.root) == before


def test_a_url_expires_with_time_token_and_permission(hub: Running, ada: User, bob: User, http: httpx2.Client) -> None:
    content = random_content()
    signer = Signer(hub.store.secret)
    account = hub.store.accounts.find("ada")
    assert isinstance(account, Account)
    token = hub.store.tokens.of_user("ada")[0]
    good = Grant(
        "upload", "ada", token.id, "model:ada/net", "write", int(time.time()) + 60, sha256(content), len(content)
    )

    def put(**changed: object) -> httpx2.Response:
        claims = {name: getattr(good, name) for name in Grant.__slots__} | changed
        return http.put(f"/lfs/objects/{sha256(content)}?grant={signer.sign(Grant(**claims))}", content=content)

    assert put(expires=int(time.time()) - 1).status_code == 403
    assert put(token=token.id + 1000).status_code == 403
    assert put(user="unknown").status_code == 403
    assert put(user="").status_code in (401, 403)
    assert put(repo="model:ada/gone").status_code == 404
    assert put(user="bob", token=hub.store.tokens.of_user("bob")[0].id).status_code == 404, "bob may not write there"
    assert not ada.may_use(content)
    secret, revoked = hub.store.tokens.create("ada", "soon gone", "write")
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"operation": "upload", "objects": [{"oid": sha256(content), "size": len(content)}], "ref": {"name": "main"}}
    answer = http.post("/ada/net.git/info/lfs/objects/batch", json=body, headers=headers).json()
    hub.store.tokens.revoke(revoked.id)
    assert http.put(answer["objects"][0]["actions"]["upload"]["href"], content=content).status_code == 403
    assert put().status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"operation": "steal"}, 422),
        ({"operation": 3}, 400),
        ({"hash_algo": "md5"}, 409),
        ({"objects": {}}, 400),
        ({"objects": [3]}, 400),
        ({"objects": [{"oid": "../../etc/passwd", "size": 3}]}, 422),
        ({"objects": [{"oid": "AB" * 32, "size": 3}]}, 422),
        ({"objects": [{"oid": "ab" * 32, "size": -1}]}, 400),
        ({"objects": [{"oid": "ab" * 32, "size": "3"}]}, 400),
        ({"objects": [{"oid": "ab" * 32, "size": 3}] * 1001}, 413),
        ({"transfers": "basic "}, 200),
        ({"transfers": [3]}, 400),
        ({"ref": 3}, 400),
        ({"ref": {"name": 3}}, 400),
        ({"ref": None}, 200),
    ],
)
def test_invalid_batches(ada: User, fields: dict[str, object], status: int) -> None:
    assert ada.batch(b"x", **fields).status_code == status


def test_only_the_file_over_the_limit_is_rejected(ada: User) -> None:
    objects = [{"oid": "ab" * 32, "size": 2**50}, {"oid": "cd" * 32, "size": 5}]
    first, second = ada.batch(b"", objects=objects).json()["objects"]
    assert first["error"]["code"] == 413
    assert "upload" in second["actions"]


def test_xet_is_preferred(ada: User) -> None:
    answer = ada.batch(random_content(), transfers=["basic", "multipart", "xet"]).json()
    assert answer["transfer"] == "xet"
    upload = answer["objects"][0]["actions"]["upload"]
    assert upload["href"].endswith("/api/models/ada/net/xet-write-token/main")
    assert upload["header"].keys() == {
        "X-Xet-Cas-Url",
        "X-Xet-Access-Token",
        "X-Xet-Token-Expiration",
        "X-Xet-Session-Id",
    }
    assert ada.get(upload["href"]).status_code == 200


@pytest.mark.parametrize("suffix", [".git", ""])
@pytest.mark.parametrize("path", ["locks", "locks/verify", "locks/3/unlock"])
def test_locks_return_501(ada: User, http: httpx2.Client, suffix: str, path: str) -> None:
    answer = http.post(f"/{ada.repo}{suffix}/info/lfs/{path}", json={}, headers=ada.bearer)
    assert answer.status_code == 501
    assert "locks" in answer.json()["message"]


def test_readers_may_upload_for_a_pull_request_only(hub: Running, bob: User, http: httpx2.Client) -> None:
    hub.token("carol")
    http.post(
        "/api/repos/create",
        json={"name": "open", "type": "model"},
        headers={"Authorization": f"Bearer {hub.token('carol')}"},
    )
    assert bob.batch(b"x", repo="carol/open").status_code == 403
    assert bob.batch(b"x", repo="carol/open", ref={"name": "refs/pr/1"}).status_code == 200
    for revision, status in (("None", 200), ("refs%2Fpr%2F1", 200), ("main", 403), ("main?create_pr=1", 200)):
        assert bob.get(f"/api/models/carol/open/xet-write-token/{revision}").status_code == status


def test_parts_are_stored_once_and_count_towards_the_quota(tmp_path: Path) -> None:
    """A repeated part replaces the earlier one; parts count towards the quota until they are joined or removed."""
    store = Store(tmp_path, limits=Limits(waiting_bytes=10_000))
    ada = store.accounts.create("ada")

    def send(content: bytes, number: int = 1) -> str:
        writer = store.blobs.begin_part(ada, None, "upload", number, len(content))
        try:
            writer.write(content)
            return writer.finish()
        finally:
            writer.abort()

    etags = [send(bytes([value]) * 1000) for value in range(20)]
    (kept,) = (tmp_path / "parts").glob("*/*/*")
    assert kept.read_bytes()[:1000] == bytes([19]) * 1000
    with pytest.raises(HubHTTPError, match="has not arrived"):
        list(joined_parts(tmp_path, ada.id, "upload", etags[:1]))
    assert b"".join(joined_parts(tmp_path, ada.id, "upload", etags[-1:])) == bytes([19]) * 1000
    send(bytes(7000), 2)
    with pytest.raises(HubHTTPError) as caught:
        send(bytes(3000), 3)
    assert (caught.value.status, caught.value.code) == (413, "UploadQuota")
    with pytest.raises(HubHTTPError):
        store.blobs.check_upload_quota(ada, 3000)
    assert store.maintenance.fsck() == []
    kept.write_bytes(b"x" + kept.read_bytes()[1:])
    (tmp_path / "parts" / "stray").mkdir()
    (tmp_path / "parts" / "stray" / "1-x").write_bytes(b"x")
    assert [line.partition(" of upload")[0] for line in store.maintenance.fsck()] == ["part 1", "part 1-x"]
    assert store.maintenance.gc(3600)["temporary"] == 0
    assert store.maintenance.gc(-1)["temporary"] == 3
    assert not list((tmp_path / "parts").glob("*"))
    assert store.maintenance.fsck() == []
    store.close()

"""Invalid requests: 4xx with a message, and nothing is written."""

# ruff: noqa: E501  # tables of invalid values are more readable in long lines

import base64
import json
from typing import Any

import pytest

from tests.server.routes.conftest import Hub

SHA = "a" * 64
REPO = "/api/models/ada/open"
DEEP = "[" * 100_000 + "]" * 100_000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)


def file(path: str, content: str = "eA==", **more: object) -> tuple[str, dict[str, object]]:
    return "file", {"path": path, "content": content, "encoding": "base64", **more}


@pytest.fixture(autouse=True)
def nothing_is_written(hub: Hub) -> Any:
    repo = hub.store.repos.find("model", "ada/open")
    assert repo is not None
    before = hub.head(repo), hub.store.refs.of_repo(repo), hub.store.listing.count()
    yield
    assert (hub.head(repo), hub.store.refs.of_repo(repo), hub.store.listing.count()) == before


def assert_rejected(answer: Any, *statuses: int) -> None:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.json()["error"]
    assert answer.headers["x-error-message"].isascii()
    assert answer.headers["x-error-code"].isalpha()
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path",
    ["../up", "..\\up", "a/../../b", "/absolute", "C:/drive", "c:up", ".git/config", "a/.GIT/b", "", ".", "a//b", "a\0b",
     "a\nb", ".g\u200cit/x", "GIT~1/x", "x" * 300, "d/" * 600 + "x", "a\\..\\..\\b", ".git "],
)  # fmt: skip
@pytest.mark.parametrize("key", ["file", "lfsFile", "deletedFile", "deletedFolder", "copyFile"])
def test_paths(hub: Hub, path: str, key: str) -> None:
    value = {
        "path": path,
        "content": "eA==",
        "encoding": "base64",
        "algo": "sha256",
        "oid": SHA,
        "size": 1,
        "srcPath": "a.txt",
    }
    assert_rejected(hub.commit("ada/open", (key, value)), 400, 404, 422)


def test_unicode_twins(hub: Hub) -> None:
    assert_rejected(hub.commit("ada/open", file("\u00e9"), file("e\u0301")), 422)


@pytest.mark.parametrize(
    "name",
    ["a..b", "-a", "a-", ".a", "a.", "a--b", "x.git", "resolve", "Tree", "a b", "a%b", "\u00e9", "x" * 97, "", "a/b/c", "..",
     "main", "commit", "nul\0", "a\\b", "../x"],
)  # fmt: skip
def test_repository_ids(hub: Hub, name: str) -> None:
    assert_rejected(hub("POST", "/api/repos/create", json={"name": name, "type": "model"}), 400, 403, 404)
    assert_rejected(hub("POST", "/api/repos/create", json={"name": name, "organization": "ada"}), 400, 403, 404)
    assert_rejected(
        hub("POST", "/api/repos/move", json={"fromRepo": "ada/open", "toRepo": f"ada/{name}"}), 400, 403, 404
    )
    assert_rejected(hub("POST", f"{REPO}/duplicate", json={"repository": f"ada/{name}"}), 400, 403, 404)


@pytest.mark.parametrize("namespace", ["bob", "absent", "api", "../ada"])
def test_foreign_namespaces(hub: Hub, namespace: str) -> None:
    assert_rejected(hub("POST", "/api/repos/create", json={"name": "new", "organization": namespace}), 400, 403, 404)
    assert_rejected(
        hub("POST", "/api/repos/move", json={"fromRepo": "ada/open", "toRepo": f"{namespace}/n"}), 400, 403, 404
    )


HEADER = b'{"key": "header", "value": {"summary": "s"}}\n'


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"1", b'"text"', b"{}", b"\xff\xfe", b'{"key": "header"}', b'{"key": 1, "value": {}}',
     HEADER + b"{", HEADER + b"\0", HEADER + b'{"key": "unknown", "value": {"path": "x"}}',
     HEADER + b'{"key": "file", "value": {"path": 1}}', HEADER + b'{"key": "file", "value": "x"}',
     HEADER + b'{"key": "file", "value": {"path": "x", "content": "%%%", "encoding": "base64"}}',
     HEADER + b'{"key": "file", "value": {"path": "x", "content": "x", "encoding": "rot13"}}',
     HEADER + b'{"key": "file", "value": {"path": "x", "content": NaN}}',
     HEADER + b'{"key": "file", "value": {"path": "\\ud800", "content": "eA=="}}',
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "zz", "size": 1}}',
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "../../etc/passwd", "size": 1}}',
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "algo": "md5", "oid": "%s", "size": 1}}' % SHA.encode(),
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "%s", "size": 1}}' % SHA.encode(),
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "%s", "size": -1}}' % SHA.encode(),
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "%s", "size": 1e3}}' % SHA.encode(),
     HEADER + b'{"key": "lfsFile", "value": {"path": "x", "oid": "%s"}}' % SHA.encode(),
     b'{"key": "file", "value": {"path": "x", "content": "eA==", "encoding": "base64"}}',
     b'{"key": "header", "value": {"summary": ""}}', b'{"key": "header", "value": {"summary": ["s"]}}',
     b'{"key": "header", "value": {"summary": "s", "parentCommit": 7}}', DEEP.encode(),
     b'{"key": "header", "value": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001],
)  # fmt: skip
def test_commit_bodies(hub: Hub, body: bytes) -> None:
    assert_rejected(hub("POST", f"{REPO}/commit/main", content=body), 400, 422)


def test_a_commit_body_is_read_as_a_stream_and_stopped(hub: Hub) -> None:
    def endless() -> Any:
        yield HEADER
        for _ in range(70):
            yield b"x" * 1_000_000

    assert_rejected(hub("POST", f"{REPO}/commit/main", content=endless()), 413)
    too_long = {"content-length": str(10**12)}
    assert_rejected(hub("POST", f"{REPO}/commit/main", content=b"x", headers=too_long), 413)
    assert_rejected(hub("POST", "/api/validate-yaml", content=(b" " * 10**6 for _ in range(4))), 413)
    many = HEADER + b'{"key": "deletedFile", "value": {"path": "x"}}\n' * 25_001
    assert_rejected(hub("POST", f"{REPO}/commit/main", content=many), 413)


@pytest.mark.parametrize("parent", ["0" * 40, "absent", "", "a" * 6])
def test_stale_parents(hub: Hub, parent: str) -> None:
    answer = hub.commit("ada/open", file("x"), parentCommit=parent or "x")
    assert_rejected(answer, 412)
    assert "Please refresh and try again." in answer.json()["error"]


@pytest.mark.parametrize(
    "revision", ["absent", "refs%2Ftags%2Fx", "refs%2Fpr%2F9", "%00", "%ff", "%2e%2e", "0" * 40, "a" * 5000]
)
@pytest.mark.parametrize("route", ["commit/{}", "preupload/{}", "super-squash/{}"])
def test_writing_to_revisions_that_are_not_branches(hub: Hub, revision: str, route: str) -> None:
    body = HEADER if "commit" in route else b'{"files": []}'
    assert_rejected(hub("POST", f"{REPO}/{route.format(revision)}", content=body), 400, 404)
    assert_rejected(hub("POST", f"{REPO}/{route.format(revision)}?create_pr=1", content=body), 400, 404)


@pytest.mark.parametrize(
    "revision", ["absent", "%00", "%ff", "%2e%2e", "abc", "z" * 3000, "refs%2Fheads%2F", "%F0%9F%A4%97"]
)
@pytest.mark.parametrize(
    "route", ["/api/models/ada/open/tree/{}", "/api/models/ada/open/revision/{}", "/api/models/ada/open/commits/{}",
              "/ada/open/resolve/{}/a.txt", "/ada/open/raw/{}/a.txt"],
)  # fmt: skip
def test_reading_missing_revisions(hub: Hub, revision: str, route: str) -> None:
    assert_rejected(hub("GET", route.format(revision)), 400, 404)


@pytest.mark.parametrize(
    "name", ["refs/pr/5", "a b", "a..b", "x.lock", "-x", "HEAD", "a~1", "%00", "%ff", "z" * 300, "0" * 40]
)
def test_branch_and_tag_names(hub: Hub, name: str) -> None:
    encoded = name if name.startswith("%") else name.replace("/", "%2F").replace(" ", "%20")
    assert_rejected(hub("POST", f"{REPO}/branch/{encoded}", json={}), 400, 404)
    assert_rejected(hub("POST", f"{REPO}/tag/main", json={"tag": name if not name.startswith("%") else "\0"}), 400)
    assert_rejected(hub("DELETE", f"{REPO}/branch/{encoded}"), 400, 404)
    assert_rejected(hub("DELETE", f"{REPO}/tag/{encoded}"), 400, 404)


ILL_TYPED: list[tuple[str, str, list[Any]]] = [
    ("POST", "/api/repos/create", [{}, {"name": 1}, {"name": "n", "type": "x"}, {"name": "n", "type": 1},
     {"name": "n", "private": "yes"}, {"name": "n", "visibility": "secret"}, {"name": "n", "organization": []},
     {"name": "n", "type": "space"}, {"name": "n", "files": "x"}, {"name": "n", "files": [1]},
     {"name": "n", "files": [{"path": "x", "content": "%", "encoding": "base64"}]}, {"name": "n", "license": "a\nb"}]),
    ("DELETE", "/api/repos/delete", [{}, {"name": None}, {"name": ["x"]}]),
    ("POST", "/api/repos/move", [{}, {"fromRepo": 1, "toRepo": 2}, {"fromRepo": "ada/open"}]),
    ("PUT", f"{REPO}/settings", [{"gated": "x"}, {"gated": True}, {"private": 1}, {"visibility": 1}, {"gated": []}]),
    ("POST", "/api/validate-yaml", [{}, {"content": 1}, {"content": "x", "repoType": "y"}, {"content": "x" * 1_500_000}]),
    ("POST", f"{REPO}/preupload/main", [{"files": 1}, {"files": [1]}, {"files": [{}]}, {"files": [{"path": "x"}]},
     {"files": [{"path": "x", "size": -1, "sample": ""}]}, {"files": [{"path": "x", "size": "1", "sample": ""}]},
     {"files": [{"path": "x", "size": 1, "sample": "%"}]}, {"files": [{"path": "x", "size": True, "sample": ""}]},
     {"files": [{"path": "x", "size": 1, "sample": "\u00e9"}]}, {"files": [], "gitIgnore": 1}]),
    ("POST", f"{REPO}/discussions", [{}, {"title": ""}, {"title": 1}, {"title": "t", "pullRequest": "x"},
     {"title": "t" * 1000}, {"title": "t", "description": {}}]),
    ("POST", f"{REPO}/discussions/1/comment", [{}, {"comment": 1}, {"comment": " "}]),
    ("POST", f"{REPO}/tag/main", [{}, {"tag": 1}, {"tag": "t", "message": 1}]),
    ("POST", f"{REPO}/branch/new", [{"startingPoint": 1}, {"startingPoint": "absent"}, {"overwrite": "x"}]),
    ("POST", f"{REPO}/lfs-files/batch", [{}, {"deletions": 1}, {"deletions": {"sha": [1]}}, {"deletions": {"sha": ["x"]}}]),
    ("POST", f"{REPO}/lfs-files/duplicate", [{}, {"target": "x"}, {"target": {"name": 1}}, {"target": {"name": "ada/no"}}]),
    ("POST", f"{REPO}/user-access-request/grant", [{}, {"user": 1}, {"user": "bob"}]),
    ("POST", "/api/models/ada/gated/user-access-request/handle", [{}, {"status": "x"}, {"status": "accepted"},
     {"status": "accepted", "user": "absent"}, {"status": "accepted", "requestId": "x"}]),
    ("POST", f"{REPO}/paths-info/main", [{"paths": 1}, {"paths": [1]}, {"paths": {"x": 1}}]),
    ("POST", f"{REPO}/super-squash/main", [{"message": 1}]),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "bodies"), ILL_TYPED, ids=[f"{m} {p}" for m, p, _ in ILL_TYPED])
def test_fields(hub: Hub, method: str, path: str, bodies: list[Any]) -> None:
    """Fields of wrong types, and bodies that are not JSON objects."""
    for body in bodies:
        assert_rejected(hub(method, path, json=body), 400, 404)
    kind = {"content-type": "application/json"}
    for raw in (b"{", b"[]", b"null", b"\xff", b'{"a": NaN}', DEEP.encode(), b'"x"', b"1" * 5000, b'{"a": 1}x'):
        assert_rejected(hub(method, path, content=raw, headers=kind), 400, 404)
    assert_rejected(hub(method, path, content=b"{}", headers=kind | {"content-length": str(10**9)}), 413)


@pytest.mark.parametrize(
    "text", ["---\nmodel-index: foo\n---\n", "---\na: [\n---\n", f"---\n{BOMB}---\n", "---\n- a\n---\n", "---\n\0\n---\n",
             "---\nlicense: nonsense\n---\n", "---\n" + "[" * 5000 + "\n---\n", "---\n!!python/object:os.system x\n---\n",
             "---\na: " + "1:" * 100_000 + "1\n---\n", "---\na: &a [*a]\n---\n"],
)  # fmt: skip
def test_yaml(hub: Hub, text: str) -> None:
    answer = hub("POST", "/api/validate-yaml", None, json={"content": text})
    assert_rejected(answer, 400)


def test_invalid_yaml_in_a_repository_is_ignored(hub: Hub) -> None:
    for number, text in enumerate((BOMB, "a: [", "a: .nan\nb: 2020-01-01\n? [x]\n: y", "tags: 7\nlicense: {a: b}")):
        hub.make(f"bob/yaml-{number}", **{"README.md": f"---\n{text}\n---\n".encode()})
        assert hub("GET", f"/api/models/bob/yaml-{number}").status_code == 200
    assert hub("GET", "/api/models?full=1&cardData=1&limit=1000").status_code == 200
    for number in range(4):
        repo = hub.store.repos.find("model", f"bob/yaml-{number}")
        assert repo is not None
        hub.store.repos.delete(repo)


@pytest.mark.parametrize(
    "query", ["sort=x", "direction=2", "limit=-1", "limit=x", "limit=1e3", "gated=maybe", "expand=foo", "cursor=%%%", "cursor=bm8=",
              "expand=author,foo"],
)  # fmt: skip
def test_queries_of_lists(hub: Hub, query: str) -> None:
    assert_rejected(hub("GET", f"/api/models?{query}", None), 400)


@pytest.mark.parametrize("search", ['"', "%", "\0", "' OR 1=1 --", "*", "\U0001f917", "x" * 5000, "NEAR(", '""""'])
def test_searches_are_not_query_languages(hub: Hub, search: str) -> None:
    for name in ("search", "filter", "author", "pipeline_tag"):
        assert hub("GET", "/api/models", params={name: search}).json() == []


@pytest.mark.parametrize(
    "path", ["/api/models/a/b/c/d", "/x", "/", "/%ff", "/api/%00", "/api/models/%2e%2e/%2e%2e", "//", "/api/nope"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_unknown_addresses(hub: Hub, method: str, path: str) -> None:
    assert_rejected(hub(method, path), 400, 404, 405)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_files_are_read_only(hub: Hub, method: str) -> None:
    answer = hub(method, "/ada/open/resolve/main/a.txt")
    assert_rejected(answer, 405)
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    "path", ["absent", "..%2F..%2Fetc%2Fpasswd", "a.txt/", "a.txt/b", "%00", "%ff", "A.TXT", "x" * 5000, "a%5Cb"]
)
def test_missing_files(hub: Hub, path: str) -> None:
    for address in (f"/ada/open/resolve/main/{path}", f"/ada/open/raw/main/{path}", f"{REPO}/tree/main/{path}x"):
        answer = hub("GET", address)
        assert_rejected(answer, 400, 404)
        if answer.status_code == 404:
            assert answer.headers["x-error-code"] == "EntryNotFound"
            assert len(answer.headers["x-repo-commit"]) == 40


@pytest.mark.parametrize("number", ["0", "9", "x", "-1", "1e3", "9" * 40, "\u0661"])
def test_missing_discussions(hub: Hub, number: str) -> None:
    assert_rejected(hub("GET", f"{REPO}/discussions/{number}"), 404)
    for verb, body in (
        ("comment", {"comment": "x"}),
        ("status", {"status": "closed"}),
        ("title", {"title": "x"}),
        ("merge", {}),
    ):
        assert_rejected(hub("POST", f"{REPO}/discussions/{number}/{verb}", json=body), 404)


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", "Basic !!", "Basic eA==", "Digest x", "Bearer hf_" + "x" * 10_000]
)
def test_credentials(hub: Hub, header: str) -> None:
    for path in ("/api/whoami-v2", REPO, "/api/models", "/ada/open/resolve/main/a.txt"):
        answer = hub("GET", path, None, headers={"Authorization": header})
        assert_rejected(answer, 401)
        assert answer.json()["error"] == "Invalid credentials in Authorization header"


def test_the_hash_of_a_private_file_does_not_grant_access(hub: Hub) -> None:
    """Neither an operation with the hash nor a text that looks like a pointer grants access."""
    writer = hub.store.blobs.begin()
    writer.write(b"the secret of bob")
    bob = hub.store.accounts.find("bob")
    assert bob is not None
    sha256, size = writer.finish(None, None, bob)
    for value in ({"path": "x", "oid": sha256, "size": size}, {"path": "x", "oid": sha256}):
        assert_rejected(hub.commit("ada/open", ("lfsFile", value)), 400, 422)
    hub.make("ada/pointer")
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    pointer = file("p.bin", base64.b64encode(text).decode())
    assert hub.commit("ada/pointer", pointer).status_code == 200
    assert hub("GET", "/ada/pointer/resolve/main/p.bin").content == text
    info = hub("POST", "/api/models/ada/pointer/paths-info/main", data={"paths": "p.bin"}).json()
    assert "lfs" not in info[0]
    repo = hub.store.repos.find("model", "ada/pointer")
    assert repo is not None
    hub.store.repos.delete(repo)


def test_errors_are_json_with_ascii_headers(hub: Hub) -> None:
    answer = hub("GET", "/ada/open/resolve/main/%F0%9F%A4%97%0Ax")
    assert_rejected(answer, 404)
    assert "\U0001f917" in json.loads(answer.content)["error"]

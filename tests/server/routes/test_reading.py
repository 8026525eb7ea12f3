"""Ranges, conditional requests, pages and preupload, as used by HTTP clients, git-lfs and JavaScript."""

# ruff: noqa: E501  # tables are more readable in long lines

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest

from seqhub.server import gitattributes
from seqhub.server.types import AddLarge
from tests.server.routes.conftest import Hub

SIZE = 3_000_000
LARGE = bytes(range(250)) * (SIZE // 250)
SMALL = b"0123456789"


@pytest.fixture(scope="module")
def name(hub: Hub) -> str:
    repo = hub.make("ada/reading", **{"empty.txt": b"", "sub/x.txt": b"x"})
    ada = hub.store.accounts.find("ada")
    assert ada is not None
    writer = hub.store.blobs.begin()
    writer.write(LARGE)
    sha256, size = writer.finish(None, None, ada)
    added = [AddLarge("large.bin", sha256, size)]
    hub.store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="large", uploader=ada)
    return "/ada/reading"


@pytest.mark.parametrize(("path", "content"), [("a.txt", SMALL), ("large.bin", LARGE)])
@pytest.mark.parametrize(
    ("range_header", "status", "start", "stop"),
    [("bytes=0-0", 206, 0, 1), ("bytes=2-4", 206, 2, 5), ("bytes=5-", 206, 5, None), ("bytes=-3", 206, -3, None),
     ("bytes=0-99999999", 206, 0, None), ("bytes=-99999999", 206, 0, None), ("bytes=5-2", 200, 0, None),
     ("bytes=", 200, 0, None), ("bytes=-", 200, 0, None), ("lines=0-1", 200, 0, None), ("bytes=0-1,3-4", 200, 0, None),
     ("bytes=a-b", 200, 0, None), ("bytes=99999999-", 416, 0, None), ("bytes=-0", 416, 0, None),
     ("bytes=" + "9" * 40 + "-", 200, 0, None), ("bytes=\u0661-", 200, 0, None)],
)  # fmt: skip
def test_ranges(
    hub: Hub, name: str, path: str, content: bytes, range_header: str, status: int, start: int, stop: int
) -> None:
    answer = hub("GET", f"{name}/resolve/main/{path}", None, headers={"Range": range_header.encode()})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(content)}"
        return
    assert answer.content == content[start:stop]
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["accept-ranges"] == "bytes"
    assert "content-encoding" not in answer.headers
    if status == 206:
        first = start % len(content)
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(content)}"


def test_conditions(hub: Hub, name: str) -> None:
    address = f"{name}/resolve/main/a.txt"
    etag = hub("GET", address).headers["etag"]
    assert etag == '"' + hashlib.sha1(b"blob 10\0" + SMALL).hexdigest() + '"'
    assert hub("GET", address, headers={"If-None-Match": etag}).status_code == 304
    assert hub("GET", address, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    stale = hub("GET", address, headers={"Range": "bytes=0-1", "If-Range": '"stale"'})
    assert (stale.status_code, stale.content) == (200, SMALL)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["resolve/main/a.txt", "resolve/main/large.bin", "raw/main/a.txt", "raw/main/large.bin"]
)
def test_conditions_accept_all_forms_of_tags(hub: Hub, name: str, path: str, method: str) -> None:
    """Lists, several headers, weak tags and "*", as in RFC 9110."""
    address = f"{name}/{path}"
    etag = hub("GET", address).headers["etag"]
    known = [etag, f"W/{etag}", f'"other", {etag}', f'"a,b",W/"c" , W/{etag},', "*", " * ", f'{etag},"x"']
    for value in known:
        answer = hub(method, address, headers={"If-None-Match": value})
        assert (answer.status_code, answer.content) == (304, b""), value
        assert answer.headers["etag"] == etag
    pair = [("If-None-Match", '"other"'), ("If-None-Match", etag), ("Authorization", f"Bearer {hub.tokens['ada']}")]
    assert hub.client.request(method, address, headers=pair).status_code == 304
    for value in ("", '"other"', etag.strip('"'), f'"x{etag[1:]}', '"*"', f'"a, {etag[1:-1]}, b"'):
        assert hub(method, address, headers={"If-None-Match": value}).status_code == 200, value
    for value, status in ((etag, 206), (f"W/{etag}", 200), ('"other"', 200), ("Sun, 29 Nov 2026 00:00:00 GMT", 200)):
        answer = hub("GET", address, headers={"If-Range": value, "Range": "bytes=2-4"})
        assert answer.status_code == status, value


def test_raw_files_have_ranges(hub: Hub, name: str) -> None:
    """For a large file, ranges refer to its pointer."""
    for path in ("a.txt", "large.bin"):
        address = f"{name}/raw/main/{path}"
        whole = hub("GET", address).content
        answer = hub("GET", address, headers={"Range": "bytes=2-4"})
        assert (answer.status_code, answer.content) == (206, whole[2:5])
        assert answer.headers["content-range"] == f"bytes 2-4/{len(whole)}"
        assert hub("GET", address, headers={"Range": "bytes=9999-"}).status_code == 416
        assert hub("GET", address, headers={"Range": "bytes=5-2"}).content == whole


def test_an_empty_file_with_a_range(hub: Hub, name: str) -> None:
    answer = hub("GET", f"{name}/resolve/main/empty.txt", headers={"Range": "bytes=0-9"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (200, b"", "bytes */0")


def test_heads(hub: Hub, name: str) -> None:
    for path, content in (("a.txt", SMALL), ("large.bin", LARGE), ("empty.txt", b"")):
        head = hub("HEAD", f"{name}/resolve/main/{path}")
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(content)))
    head = hub("HEAD", f"{name}/resolve/main/large.bin")
    sha256 = hashlib.sha256(LARGE).hexdigest()
    assert head.headers["x-linked-etag"] == head.headers["etag"] == f'"{sha256}"'
    assert head.headers["x-linked-size"] == str(SIZE)
    assert "x-xet-hash" not in head.headers


def test_raw_returns_the_git_blob(hub: Hub, name: str) -> None:
    assert hub("GET", f"{name}/raw/HEAD/a.txt").content == SMALL
    pointer = hub("GET", f"{name}/raw/main/large.bin").text
    assert (
        pointer
        == f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(LARGE).hexdigest()}\nsize {SIZE}\n"
    )


def test_pages_of_trees_commits_and_lists(hub: Hub, name: str) -> None:
    for address in (
        f"/api/models{name}/tree/main?recursive=1&limit=2",
        f"/api/models{name}/commits/main?limit=1",
        "/api/models?limit=1",
    ):
        whole = hub("GET", address.replace("limit=1", "limit=1000").replace("limit=2", "limit=1000")).json()
        found, following = [], address
        while following:
            answer = hub("GET", following)
            found += answer.json()
            following = answer.links.get("next", {}).get("url", "")
        assert found == whole


def test_case_and_unencoded_revisions(hub: Hub, name: str) -> None:
    assert hub("GET", "/ADA/Reading/resolve/main/a.txt").content == SMALL
    opened = hub("POST", f"/api/models{name}/discussions", "bob", json={"title": "t", "pullRequest": True}).json()[
        "num"
    ]
    for revision in (f"refs/pr/{opened}", f"refs%2Fpr%2F{opened}", "refs%2Fheads%2Fmain"):
        assert hub("GET", f"{name}/resolve/{revision}/a.txt").content == SMALL


def test_files_of_a_new_repository(hub: Hub) -> None:
    """Files in the format of the JavaScript client."""
    files = [{"path": "x.txt", "content": base64.b64encode(b"x").decode(), "encoding": "base64"}]
    made = hub("POST", "/api/repos/create", json={"name": "with-files", "files": files, "license": "mit"})
    assert made.json()["url"] == "http://testserver/ada/with-files"
    assert hub("GET", "/ada/with-files/resolve/main/x.txt").content == b"x"
    assert hub("GET", "/api/models/ada/with-files").json()["tags"] == ["license:mit"]


ATTRIBUTES = '*.bin filter=lfs\n/top.txt filter=lfs\nkeep.bin -filter\nsub/*.csv filter=lfs\ndata/** filter=lfs\n"with space" filter=lfs\n*.[ab]x filter=lfs\n**/deep/y filter=lfs\nq?.z filter=lfs -text\nx.bin filter=other\n*.un !filter\na/**/b filter=lfs\n'
IGNORES = "*.log\n!keep.log\nbuild/\n/top\nsub/*.tmp\n**/cache\n# comment\n\\#literal\ntrailing/  \n!build/inside\na/**/z\n[xy].q\n"
PATHS = [
    "a.bin", "s/a.bin", "keep.bin", "s/keep.bin", "top.txt", "s/top.txt", "sub/a.csv", "x/sub/a.csv", "sub/d/a.csv", "data/a",
    "data/b/c", "x/data/a", "with space", "f.ax", "f.cx", "deep/y", "1/2/deep/y", "qq.z", "q.z", "x.bin", "a.un", "a/b", "a/1/2/b",
    "a.log", "keep.log", "build/x", "build/inside", "s/build/x", "top", "top/x", "s/top", "sub/a.tmp", "sub/s/a.tmp", "cache/x",
    "s/cache", "#literal", "trailing/x", "trailing", "a/z", "a/b/c/z", "x.q", "z.q", "build",
]  # fmt: skip


def test_patterns_match_like_git(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout

    git("init", "-q")
    (tmp_path / ".gitattributes").write_text(ATTRIBUTES)
    (tmp_path / ".gitignore").write_text(IGNORES)
    lines = git("check-attr", "filter", "--", *PATHS).splitlines()
    expected = {path: line.endswith(": lfs") for path, line in zip(PATHS, lines, strict=True)}
    rules = gitattributes.lfs_rules(ATTRIBUTES)
    assert {path: gitattributes.last_match(rules, path) for path in PATHS} == expected
    ignored = set(git("-c", "core.quotePath=false", "check-ignore", "--no-index", "--", *PATHS).splitlines())
    rules = gitattributes.ignore_rules(IGNORES)
    assert {path for path in PATHS if gitattributes.is_ignored(rules, path)} == ignored


def test_patterns_with_exponential_backtracking() -> None:
    rules = gitattributes.lfs_rules(
        "*a" * 200 + "b filter=lfs\n" + "**/" * 300 + "b filter=lfs\n" + "[[" * 100 + " filter=lfs\n"
    )
    assert not gitattributes.last_match(rules, "a" * 250 + "/" + "a/" * 60 + "c")


@pytest.mark.parametrize(
    ("path", "content", "size", "mode"),
    [("a.md", b"text", 4, "regular"), ("a.md", b"text", 10_000_001, "lfs"), ("a.md", b"\0", 1, "lfs"), ("a.zip", b"t", 1, "lfs"),
     ("empty.zip", b"", 0, "regular"), ("a.md", "\u00e9".encode() * 256, 512, "regular"), ("a.md", b"a" + "\u00e9".encode() * 256, 513, "regular"),
     ("a.md", b"\xff\xfe", 2, "lfs")],
)  # fmt: skip
def test_preupload(hub: Hub, name: str, path: str, content: bytes, size: int, mode: str) -> None:
    sample = base64.b64encode(content[:512]).decode()
    body = {"files": [{"path": path, "sample": sample, "size": size}, {"path": "a.txt", "sample": "", "size": 1}]}
    answer = hub("POST", f"/api/models{name}/preupload/main", json=body | {"gitIgnore": "a.t*"}).json()["files"]
    assert answer[0] == {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}
    assert answer[1]["shouldIgnore"]
    assert answer[1]["oid"] == hashlib.sha1(b"blob 10\0" + SMALL).hexdigest()

"""Limits of expensive requests, and caching of their results."""

import base64
import json
import random
from typing import Any

import pytest

from seqhub.server import diffs
from seqhub.server.routes import files
from tests.server.routes.conftest import Hub

MIB = 2**20


@pytest.fixture
def name(hub: Hub, request: pytest.FixtureRequest) -> str:
    name = f"ada/limits-{abs(hash(request.node.name)) % 10**8}"
    hub.make(name)
    return name


def file(path: str, content: bytes | str) -> tuple[str, dict[str, object]]:
    if isinstance(content, str):
        return "file", {"content": content, "path": path, "encoding": "utf-8"}
    return "file", {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}


def test_long_contents_come_back_as_they_were_sent(hub: Hub, name: str) -> None:
    """Contents above the memory limit, as base64 and as escaped text, several in a commit, two of them equal."""
    chance = random.Random(2)
    binary = [chance.randbytes(size) for size in (300_000, 1_000_001, 5_000_000)]
    text = 'say "ü\\n" \n\t\U0001f600' * 60_000
    sent = {f"b{number}": content for number, content in enumerate([*binary, binary[0]])}
    answer = hub.commit(name, *(file(path, content) for path, content in sent.items()), file("t.txt", text))
    assert answer.status_code == 200, answer.text
    for path, content in (sent | {"t.txt": text.encode()}).items():
        assert hub("GET", f"/{name}/resolve/main/{path}").content == content
        part = hub("GET", f"/{name}/resolve/main/{path}", headers={"Range": "bytes=7-11"})
        assert (part.status_code, part.content) == (206, content[7:12])
        assert hub("GET", f"/{name}/raw/main/{path}").content == content
    assert hub.commit(name, file("other.txt", "x")).status_code == 200


@pytest.mark.parametrize("content", ["x" * 400_001, "AAA=" + "A" * 400_000, "A" * 400_002])
def test_a_long_content_must_be_base64(hub: Hub, name: str, content: str) -> None:
    answer = hub.commit(name, ("file", {"path": "a", "content": content, "encoding": "base64"}))
    assert answer.status_code == 400
    assert "base64" in answer.json()["error"]
    assert not list((hub.store.root / "tmp").iterdir())


def test_only_contents_may_be_long(hub: Hub, name: str) -> None:
    answer = hub.commit(name, ("file", {"path": "a" * 400_000, "content": "x"}))
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/".join("a" * 65), "../x", "a" * 300, "a//b", ".git/x"])
def test_preupload_checks_paths_first(hub: Hub, name: str, path: str) -> None:
    body = {"files": [{"path": path, "sample": "", "size": 1}]}
    assert hub("POST", f"/api/models/{name}/preupload/main", json=body).status_code == 422


def test_preupload_limits_comparisons(hub: Hub, name: str) -> None:
    paths = [f"{number}/" + "/".join(f"{number}{level}" for level in range(50)) for number in range(100)]
    body: dict[str, Any] = {"files": [{"path": path, "sample": "", "size": 1} for path in paths]}
    rules = "\n".join(f"*{number}*x*y" for number in range(1000))
    answer = hub("POST", f"/api/models/{name}/preupload/main", json=body | {"gitIgnore": rules})
    assert answer.status_code == 413
    few = "\n".join(f"*{number}*x*y" for number in range(100))
    answer = hub("POST", f"/api/models/{name}/preupload/main", json=body | {"gitIgnore": few})
    assert answer.status_code == 200


def shard(tensors: int) -> bytes:
    header = json.dumps(
        {f"w{n}": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in range(tensors)}
    ).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


def test_equal_headers_are_read_once(hub: Hub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = {"metadata": {"total_size": 4}, "weight_map": {f"w{n}": f"s{n}.safetensors" for n in range(12)}}
    operations = [file(f"s{n}.safetensors", shard(5)) for n in range(12)]
    hub.commit(name, *operations, file("model.safetensors.index.json", json.dumps(index)))
    computed = []
    compact = files.compact
    monkeypatch.setattr(files, "compact", lambda value: computed.append(value) or compact(value))
    address = f"/api/models/{name}/safetensors-metadata/model.safetensors.index.json"
    answer = hub("GET", address).json()
    assert answer["index"] == {"metadata": {"total_size": 4}}
    assert len(answer["headers"]) == 12
    assert answer["headers"]["s3.safetensors"] == json.loads(shard(5)[8:-4])
    assert len(computed) == 2, "the header, and the metadata of the index"
    assert hub("GET", address).json() == answer
    assert len(computed) == 3


def test_headers_have_a_total_bound(hub: Hub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_HEADERS", 3 * len(shard(50)))
    index = {"weight_map": {f"w{n}": f"s{n}.safetensors" for n in range(4)}}
    operations = [file(f"s{n}.safetensors", shard(50)) for n in range(4)]
    hub.commit(name, *operations, file("model.safetensors.index.json", json.dumps(index)))
    answer = hub("GET", f"/api/models/{name}/safetensors-metadata/model.safetensors.index.json", None)
    assert answer.status_code == 413
    assert "range" in answer.json()["error"]


def pull_request(hub: Hub, name: str, *operations: tuple[str, dict[str, object]]) -> str:
    lines = [("header", {"summary": "s"}), *operations]
    body = "\n".join(json.dumps({"key": key, "value": value}) for key, value in lines)
    made = hub("POST", f"/api/models/{name}/commit/main?create_pr=1", "bob", content=body)
    return f"/api/models/{name}/discussions/{made.json()['pullRequestUrl'].rpartition('/')[2]}?diff=1"


def test_a_diff_is_cached_and_marks_omitted_parts(hub: Hub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit(name, file("short.txt", "a\nb\nc\n"))
    address = pull_request(
        hub, name, file("short.txt", "a\nx\nc\n"), file("lines.txt", "x\n" * 4001), file("bytes.txt", "x" * 200_000)
    )
    computed = []
    unified = diffs.unified
    monkeypatch.setattr(diffs, "unified", lambda *sides: computed.append(1) or unified(*sides))
    diff = hub("GET", address, None).json()["diff"]
    assert "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n" in diff
    assert "# lines.txt is too large to show\n" in diff
    assert "# bytes.txt is too large to show\n" in diff
    assert len(computed) == 1
    assert hub("GET", address, None).json()["diff"] == diff
    assert len(computed) == 1


def test_a_diff_of_many_files_is_limited(hub: Hub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diffs, "DIFF_READ", 1000)
    address = pull_request(hub, name, *(file(f"f{n}.txt", f"{n}\n" * 100) for n in range(10)))
    assert hub("GET", address, None).json()["diff"].endswith("# further changes are too large to show\n")


def test_long_answers_arrive_whole(hub: Hub, name: str) -> None:
    """Responses above the memory limit are stored in a file; many files are listed on a heavy worker."""
    hub.commit(name, *(file(f"folder/with/a/long/name/{number:05}", f"{number}") for number in range(4500)))
    found = hub("GET", f"/api/models/{name}?blobs=1")
    assert len(found.content) > 300_000
    assert int(found.headers["content-length"]) == len(found.content)
    assert len(found.json()["siblings"]) == 4502
    assert hub("HEAD", f"/api/models/{name}").headers["content-length"] == str(
        len(hub("GET", f"/api/models/{name}").content)
    )
    body = {"paths": [f"folder/with/a/long/name/{number:05}" for number in range(4500)]}
    assert len(hub("POST", f"/api/models/{name}/paths-info/main", data=body).json()) == 4500


def test_pages_are_limited_in_bytes(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqhub.server.routes.listing.PAGE_BYTES", 5000)
    for number in range(6):
        hub.make(f"ada/card-{number}", **{"README.md": f"---\nlicense: mit\nnote: {'word ' * 400}\n---\n".encode()})
    seen, address = [], "/api/models?search=ada/card-&cardData=1"
    pages = 0
    while address:
        answer = hub("GET", address, None)
        seen += [item["id"] for item in answer.json()]
        pages += 1
        address = answer.links.get("next", {}).get("url", "")
    assert sorted(seen) == [f"ada/card-{number}" for number in range(6)]
    assert pages == 3

"""Repair of damaged contents by any kind of upload."""

import base64
import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from seqhub.server.types import AddSmall
from tests.helpers.xet_writers import Piece, Xorb, file_records, shard
from tests.server.large.conftest import User, sha256


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE: dict[str, Callable[[Path], None]] = {"flipped": flip, "cut": cut, "missing": Path.unlink}


def by_lfs(ada: User, content: bytes) -> None:
    assert ada.http.put(ada.upload_url(content), content=content).status_code == 200


def by_xet(ada: User, content: bytes) -> None:
    """Upload like hf_xet: after a 404 repeat the whole upload with a new CAS URL."""
    xorb = Xorb([content])
    named = shard(file_records([Piece(xorb, 0, 1)], sha256=sha256(content)))
    cas = ada.cas()
    cas.xorb(xorb)
    if cas.shard(named).status_code == 404:
        cas = ada.cas()
        assert cas.xorb(xorb).status_code == 200
        assert cas.shard(named).status_code == 200


def preupload_id(ada: User, path: str, content: bytes) -> str | None:
    files = [{"path": path, "size": len(content), "sample": base64.b64encode(content[:512]).decode()}]
    body = {"files": files}
    answer = ada.http.post(f"/api/models/{ada.repo}/preupload/main", json=body, headers=ada.bearer).json()
    found: str | None = answer["files"][0]["oid"]
    return found


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("again", [by_lfs, by_xet])
@pytest.mark.parametrize("first", [by_lfs, by_xet])
def test_large_files(
    ada: User, first: Callable[[User, bytes], None], again: Callable[[User, bytes], None], damage: str
) -> None:
    store, content = ada.hub.store, secrets.token_bytes(2000)
    first(ada, content)
    ada.commit("w.bin", sha256(content), len(content)).raise_for_status()
    assert preupload_id(ada, "w.bin", content) == sha256(content)
    assert store.maintenance.fsck() == []
    DAMAGE[damage](store.blobs.path(sha256(content)))
    assert any(sha256(content) in line for line in store.maintenance.fsck())
    assert preupload_id(ada, "w.bin", content) is None, "otherwise the client treats its file as unchanged"
    again(ada, content)
    assert store.maintenance.fsck() == []
    assert preupload_id(ada, "w.bin", content) == sha256(content)
    assert ada.get(f"/{ada.repo}/resolve/main/w.bin").content == content
    assert "actions" not in ada.batch(content).json()["objects"][0]


@pytest.mark.parametrize("damage", ["other", "broken", "missing"])
def test_small_files(ada: User, damage: str) -> None:
    store = ada.hub.store
    repo, account = store.repos.find("model", ada.repo), store.accounts.find("ada")
    assert repo is not None
    assert account is not None
    content = secrets.token_hex(400).encode()
    added = [AddSmall("s.txt", content)]
    store.commits.create(repo, "main", added, expected_parent=None, author="ada", title="t", uploader=account)
    entry = store.revisions.entry(repo, store.revisions.resolve(repo, "main"), "s.txt")
    assert entry is not None
    with store.database.transaction() as connection:
        statement = {
            "other": "UPDATE objects SET packed = 0, data = x'61' WHERE oid = ?",
            "broken": "UPDATE objects SET packed = 1, data = x'61' WHERE oid = ?",
            "missing": "DELETE FROM objects WHERE oid = ?",
        }[damage]
        connection.execute(statement, (bytes.fromhex(entry.oid),))
    assert any(entry.oid in line for line in store.maintenance.fsck())
    assert preupload_id(ada, "s.txt", content) is None
    lines = [
        {"key": "header", "value": {"summary": "again"}},
        {"key": "file", "value": {"path": "s.txt", "content": content.decode(), "encoding": "utf-8"}},
    ]
    head = store.revisions.resolve(repo, "main").oid
    answer = ada.http.post(
        f"/api/models/{ada.repo}/commit/main", content="\n".join(map(json.dumps, lines)), headers=ada.bearer
    )
    assert answer.json()["commitOid"] == head, "the file is unchanged, so there is no commit"
    assert store.maintenance.fsck() == []
    assert preupload_id(ada, "s.txt", content) == entry.oid
    assert ada.get(f"/{ada.repo}/resolve/main/s.txt").content == content

"""Xet routes with requests that hf_xet does not send."""

import secrets
import time
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx2
import pytest

from seqhub.server.serve import Running
from seqhub.server.signed_urls import Grant, Signer
from seqhub.server.xet.hashes import to_hex
from tests.helpers.xet_writers import Piece, Xorb, chunk, file_records, record, shard
from tests.server.large.conftest import User, files_below, sha256


def new_xorb(count: int = 3) -> Xorb:
    return Xorb([secrets.token_bytes(900) for _ in range(count)], [0, 1, 2][:count])


def whole(xorb: Xorb) -> list[Piece]:
    return [Piece(xorb, 0, len(xorb.contents))]


def test_a_file_with_pieces_of_two_xorbs(ada: User) -> None:
    first, second, cas = new_xorb(), new_xorb(), ada.cas()
    assert cas.xorb(first).json() == {"was_inserted": True}
    assert cas.xorb(first).json() == {"was_inserted": False}
    assert cas.xorb(second).status_code == 200
    pieces = [Piece(second, 1, 3), Piece(first, 0, 2), Piece(first, 0, 1), Piece(second, 0, 3)]
    content = b"".join(piece.content for piece in pieces)
    assert cas.shard(shard(file_records(pieces, sha256=sha256(content)), xorbs=[first, second])).json() == {"result": 1}
    path = ada.hub.store.blobs.find(sha256(content))
    assert path is not None
    assert path.read_bytes() == content
    assert ada.commit("pieces.bin", sha256(content), len(content)).status_code == 200


def test_xorbs_are_reused_from_blobs(ada: User) -> None:
    """Shards can refer to xorbs after their bytes were replaced by places in blobs, also step by step."""
    xorb, cas = new_xorb(), ada.cas()
    cas.xorb(xorb)
    epoch = cas.url.rsplit("/", 1)[1]
    (folder,) = ada.hub.store.root.glob(f"xorbs/*/*/{epoch}")
    stored = folder / f"{to_hex(xorb.hash)}.bytes"
    assert cas.shard(shard(file_records([Piece(xorb, 1, 2)]))).status_code == 200
    assert stored.exists(), "chunks 0 and 2 are not in a blob yet"
    assert cas.shard(shard(file_records([Piece(xorb, 0, 2)]))).status_code == 200
    assert cas.shard(shard(file_records([Piece(xorb, 2, 3), Piece(xorb, 2, 3)]))).status_code == 200
    assert not stored.exists()
    pieces = [Piece(xorb, 0, 3), Piece(xorb, 1, 3)]
    content = b"".join(piece.content for piece in pieces)
    assert cas.shard(shard(file_records(pieces, sha256=sha256(content)))).status_code == 200
    assert ada.may_use(content)
    assert cas.xorb(xorb).json() == {"was_inserted": False}
    assert not stored.exists()


def test_a_shard_may_refer_to_xorbs_of_its_sender_only(ada: User, bob: User) -> None:
    secret, own = new_xorb(), new_xorb()
    ada.cas().xorb(secret)
    ada.cas().shard(shard(file_records(whole(secret))))
    cas = bob.cas()
    cas.xorb(own)
    before = files_below(bob.hub.store.root)
    for pieces in (whole(secret), [*whole(own), *whole(secret)]):
        answer = cas.shard(shard(file_records(pieces), xorbs=[secret, own]))
        assert answer.status_code == 404, answer.text
        assert "start the upload again" in answer.json()["error"]
        assert not bob.may_use(b"".join(piece.content for piece in pieces))
    absent = cas.shard(shard(file_records(whole(new_xorb()))))
    assert (absent.status_code, absent.json()) == (answer.status_code, answer.json()), (
        "absent xorbs and xorbs of others look the same"
    )
    assert files_below(bob.hub.store.root) == before
    assert bob.cas().url != cas.url, "his client must discard its cache"
    assert cas.shard(shard(file_records(whole(own)))).status_code == 200, "running uploads continue"


def test_two_users_of_one_machine_have_separate_urls(ada: User, bob: User) -> None:
    assert ada.cas().url == ada.cas().url != bob.cas().url
    xorb, cas, other = new_xorb(), ada.cas(), bob.cas()
    cas.token = other.token  # bob's token with ada's URL
    assert cas.xorb(xorb).status_code == 410


def test_lost_bytes_lead_to_a_new_url(ada: User) -> None:
    xorb, cas = new_xorb(), ada.cas()
    cas.xorb(xorb)
    cas.shard(shard(file_records(whole(xorb))))
    content = b"".join(xorb.contents)
    path = ada.hub.store.blobs.find(sha256(content))
    assert path is not None
    path.unlink()
    assert cas.shard(shard(file_records([Piece(xorb, 1, 2)]))).status_code == 404
    again = ada.cas()
    assert again.url != cas.url
    assert again.xorb(xorb).json() == {"was_inserted": True}
    assert again.shard(shard(file_records(whole(xorb)))).status_code == 200
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".bytes", ".chunks"])
@pytest.mark.parametrize("is_empty", [False, True])
def test_truncated_files_lead_to_a_new_url(ada: User, suffix: str, is_empty: bool) -> None:
    """After a power failure files can be empty, or have their size and contain zeros."""
    xorb, cas = new_xorb(), ada.cas()
    cas.xorb(xorb)
    (torn,) = ada.hub.store.root.glob(f"xorbs/*/*/*/{to_hex(xorb.hash)}{suffix}")
    torn.write_bytes(bytes(0 if is_empty else torn.stat().st_size))
    content = b"".join(xorb.contents)
    named = shard(file_records(whole(xorb), sha256=sha256(content)))
    assert cas.shard(named).status_code == 404
    again = ada.cas()
    assert again.url != cas.url
    assert again.xorb(xorb).json() == {"was_inserted": True}
    assert again.shard(named).status_code == 200
    assert ada.may_use(content)


def test_an_invalid_shard_for_an_intact_xorb_keeps_the_url(ada: User) -> None:
    xorb, cas = new_xorb(), ada.cas()
    cas.xorb(xorb)
    assert cas.shard(shard(file_records(whole(xorb), sha256=sha256(b"another")))).status_code == 400
    assert ada.cas().url == cas.url


def test_invalid_xorbs_leave_nothing(ada: User) -> None:
    xorb, cas = new_xorb(), ada.cas()
    before = files_below(ada.hub.store.root)
    bad = [
        b"",
        xorb.raw[:-1],
        xorb.raw[:900],
        xorb.raw + b"more bytes",
        new_xorb().raw,
        xorb.raw[:8] + b"?" + xorb.raw[9:],
        chunk(bytes(131072), 1) * 513,
        secrets.token_bytes(3000),
    ]
    for raw in bad:
        answer = cas.xorb(xorb, raw)
        assert answer.status_code in (400, 413), answer.text
        assert answer.json()["error"]
    assert cas.post("v1/xorbs/default/" + "g" * 64, xorb.raw).status_code == 400
    assert cas.post("v1/xorbs/default/" + to_hex(xorb.hash).upper(), xorb.raw).status_code == 400
    assert cas.post("v1/xorbs/default/..%2f..%2fx", xorb.raw).status_code == 400
    assert files_below(ada.hub.store.root) == before
    assert cas.xorb(xorb).status_code == 200


def test_oversized_bodies_are_rejected_before_they_are_read(ada: User, hub: Running) -> None:
    cas = ada.cas()
    host = urlsplit(hub.url).netloc
    for path in (f"v1/xorbs/default/{'a' * 64}", "v1/shards"):
        with closing(HTTPConnection(host, timeout=20)) as connection:
            connection.putrequest("POST", urlsplit(f"{cas.url}/{path}").path)
            connection.putheader("Authorization", f"Bearer {cas.token}")
            connection.putheader("Content-Length", str(2**40))
            connection.endheaders()
            assert connection.getresponse().status == 413


def test_invalid_shards_leave_nothing(ada: User) -> None:
    xorb, cas = new_xorb(), ada.cas()
    cas.xorb(xorb)
    before = files_below(ada.hub.store.root)
    content = b"".join(xorb.contents)
    good = file_records(whole(xorb), sha256=sha256(content))
    bad = {
        "sha256": file_records(whole(xorb), sha256=sha256(b"other")),
        "file hash": bytes(31) + b"!" + good[32:],
        "size": good[:84] + (5).to_bytes(4, "little") + good[88:],
        "chunks": good[:92] + (4).to_bytes(4, "little") + good[96:],
        "fewer chunks": good[:92] + (2).to_bytes(4, "little") + good[96:],
        "range hash": good[:96] + bytes(32) + good[128:],
        "nothing, but a hash": record(b"f" * 32, 0, 0, 0, 0),
        "no end": good[:-48],
    }
    for lie, records in bad.items():
        answer = cas.shard(shard(records, xorbs=[xorb]))
        assert answer.status_code == 400, (lie, answer.text)
        answer = cas.shard(shard(good, records))
        assert answer.status_code == 400, (lie, answer.text)
    huge = record(b"f" * 32, 0, 20, 0, 0) + record(xorb.hash, 0, 2**32 - 1, 0, 3) * 20
    assert cas.shard(shard(huge)).status_code == 413
    many = record(b"f" * 32, 0, 10, 0, 0) + record(xorb.hash, 0, 2**32 - 1, 0, 3) * 10
    assert cas.shard(shard(*[many] * 1000)).status_code == 507, "larger than the disk of any test machine"
    for raw in (b"", b"x", good, shard(good)[:-1], secrets.token_bytes(500)):
        assert cas.shard(raw).status_code == 400
    left = {path: size for path, size in files_below(ada.hub.store.root).items() if path not in before}
    assert all(sha256(content) in path or path.endswith(".places") for path in left), left
    assert not ada.may_use(b"other")


def test_an_empty_file_has_no_hashes(ada: User) -> None:
    """hf_xet 1.8 sends zeros for the hash and the SHA-256 of an empty file."""
    records = record(bytes(32), 0b11 << 30, 0, 0, 0) + bytes(48)
    assert ada.cas().shard(shard(records)).status_code == 200
    assert ada.may_use(b"")


def test_tokens_of_the_cas(ada: User, hub: Running, http: httpx2.Client) -> None:
    cas, xorb = ada.cas(), new_xorb()
    path = f"{cas.url}/v1/xorbs/default/{to_hex(xorb.hash)}"
    token = hub.store.tokens.of_user("ada")[0]
    good = Grant("xet", "ada", token.id, "model:ada/net", "write", int(time.time()) + 60)
    old = Grant("xet", "ada", token.id, "model:ada/net", "write", int(time.time()) - 1)
    other = Grant("upload", "ada", token.id, "model:ada/net", "write", int(time.time()) + 60, oid="ab" * 32)
    signer = Signer(hub.store.secret)
    for value, status in (
        (None, 401),
        ("Basic abc", 401),
        (f"Bearer {ada.token}", 403),
        ("Bearer", 401),
        (f"Bearer {signer.sign(old)}", 403),
        (f"Bearer {signer.sign(other)}", 403),
        (f"Bearer {Signer(b'x').sign(good)}", 403),
        (f"Bearer {signer.sign(good)}", 200),
    ):
        headers = {} if value is None else {"Authorization": value}
        assert http.post(path, content=xorb.raw, headers=headers).status_code == status, value
        other_path = path.replace("/v1/xorbs/default/" + to_hex(xorb.hash), "/v1/shards")
        expected = status if status != 200 else 400
        assert http.post(other_path, content=b"x", headers=headers).status_code == expected, value


@pytest.mark.parametrize("path", ["v2/shards", "v1/xorb-grants/default/abc", "v1/chunks/default/abc"])
def test_optional_routes_of_hf_xet(ada: User, path: str) -> None:
    assert ada.cas().post(path, b"").status_code == 404


def test_a_new_instance_id_invalidates_the_url(ada: User, hub: Running) -> None:
    xorb, cas = new_xorb(), ada.cas()
    assert hub.store.instance_id in cas.url
    hub.store.maintenance.renew_instance()
    assert cas.xorb(xorb).status_code == 410
    assert cas.shard(shard(file_records(whole(xorb)))).status_code == 410
    again = ada.cas()
    assert again.url != cas.url
    assert again.shard(shard(file_records(whole(xorb)))).status_code == 404
    assert ada.cas().xorb(xorb).status_code == 200


def test_addresses_do_not_leave_the_folder(ada: User, http: httpx2.Client) -> None:
    cas = ada.cas()
    base, instance, epoch = cas.url.rsplit("/", 2)
    for odd in ("..", ".", "newest", epoch.upper(), "%2e%2e%2f%2e%2e", epoch + "%00", "x" * 300):
        cas.url = f"{base}/{instance}/{odd}"
        assert 400 <= cas.shard(shard()).status_code < 500, odd

"""The Xet routes, asked by hand for what hf_xet never asks."""

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
from tests.server.large.conftest import Person, files_below, sha256


def fresh(count: int = 3) -> Xorb:
    return Xorb([secrets.token_bytes(900) for _ in range(count)], [0, 1, 2][:count])


def whole(xorb: Xorb) -> list[Piece]:
    return [Piece(xorb, 0, len(xorb.contents))]


def test_a_file_of_pieces_of_two_xorbs(ada: Person) -> None:
    first, second, cas = fresh(), fresh(), ada.cas()
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


def test_xorbs_become_places_and_serve_again(ada: Person) -> None:
    """What a client remembers as sent can be named later, though only the blob is left, also after part by part."""
    xorb, cas = fresh(), ada.cas()
    cas.xorb(xorb)
    epoch = cas.url.rsplit("/", 1)[1]
    (folder,) = ada.hub.store.root.glob(f"xorbs/*/*/{epoch}")
    stored = folder / f"{to_hex(xorb.hash)}.bytes"
    assert cas.shard(shard(file_records([Piece(xorb, 1, 2)]))).status_code == 200
    assert stored.exists(), "chunks 0 and 2 lie nowhere else yet"
    assert cas.shard(shard(file_records([Piece(xorb, 0, 2)]))).status_code == 200
    assert cas.shard(shard(file_records([Piece(xorb, 2, 3), Piece(xorb, 2, 3)]))).status_code == 200
    assert not stored.exists()
    pieces = [Piece(xorb, 0, 3), Piece(xorb, 1, 3)]
    content = b"".join(piece.content for piece in pieces)
    assert cas.shard(shard(file_records(pieces, sha256=sha256(content)))).status_code == 200
    assert ada.may_use(content)
    assert cas.xorb(xorb).json() == {"was_inserted": False}
    assert not stored.exists()


def test_a_shard_names_only_what_its_sender_sent(ada: Person, bob: Person) -> None:
    secret, own = fresh(), fresh()
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
    absent = cas.shard(shard(file_records(whole(fresh()))))
    assert (absent.status_code, absent.json()) == (answer.status_code, answer.json()), (
        "absent and foreign look the same"
    )
    assert files_below(bob.hub.store.root) == before
    assert bob.cas().url != cas.url, "his client forgets what it believes to be here"
    assert cas.shard(shard(file_records(whole(own)))).status_code == 200, "but uploads under way go on"


def test_two_users_of_one_machine_have_addresses_of_their_own(ada: Person, bob: Person) -> None:
    assert ada.cas().url == ada.cas().url != bob.cas().url
    xorb, cas, other = fresh(), ada.cas(), bob.cas()
    cas.token = other.token  # bob's token at ada's address
    assert cas.xorb(xorb).status_code == 410


def test_lost_bytes_heal_by_another_address(ada: Person) -> None:
    xorb, cas = fresh(), ada.cas()
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
def test_what_a_power_cut_tore_heals_by_another_address(ada: Person, suffix: str, is_empty: bool) -> None:
    """Files may come back empty, or as long as they were and full of zeros."""
    xorb, cas = fresh(), ada.cas()
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


def test_a_lie_about_a_sound_xorb_changes_no_address(ada: Person) -> None:
    xorb, cas = fresh(), ada.cas()
    cas.xorb(xorb)
    assert cas.shard(shard(file_records(whole(xorb), sha256=sha256(b"another")))).status_code == 400
    assert ada.cas().url == cas.url


def test_lying_xorbs_leave_nothing(ada: Person) -> None:
    xorb, cas = fresh(), ada.cas()
    before = files_below(ada.hub.store.root)
    bad = [
        b"",
        xorb.raw[:-1],
        xorb.raw[:900],
        xorb.raw + b"more bytes",
        fresh().raw,
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


def test_oversized_bodies_are_refused_before_they_are_read(ada: Person, hub: Running) -> None:
    cas = ada.cas()
    host = urlsplit(hub.url).netloc
    for path in (f"v1/xorbs/default/{'a' * 64}", "v1/shards"):
        with closing(HTTPConnection(host, timeout=20)) as connection:
            connection.putrequest("POST", urlsplit(f"{cas.url}/{path}").path)
            connection.putheader("Authorization", f"Bearer {cas.token}")
            connection.putheader("Content-Length", str(2**40))
            connection.endheaders()
            assert connection.getresponse().status == 413


def test_lying_shards_leave_nothing(ada: Person) -> None:
    xorb, cas = fresh(), ada.cas()
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
    assert cas.shard(shard(*[many] * 1000)).status_code == 507, "more than any disk of a test machine holds"
    for raw in (b"", b"x", good, shard(good)[:-1], secrets.token_bytes(500)):
        assert cas.shard(raw).status_code == 400
    left = {path: size for path, size in files_below(ada.hub.store.root).items() if path not in before}
    assert all(sha256(content) in path or path.endswith(".places") for path in left), left
    assert not ada.may_use(b"other")


def test_an_empty_file_has_no_hashes(ada: Person) -> None:
    """hf_xet 1.8 sends zeros for the hash and the SHA-256 of an empty file."""
    records = record(bytes(32), 0b11 << 30, 0, 0, 0) + bytes(48)
    assert ada.cas().shard(shard(records)).status_code == 200
    assert ada.may_use(b"")


def test_tokens_of_the_cas(ada: Person, hub: Running, http: httpx2.Client) -> None:
    cas, xorb = ada.cas(), fresh()
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
def test_what_hf_xet_does_without(ada: Person, path: str) -> None:
    assert ada.cas().post(path, b"").status_code == 404


def test_a_renewed_instance_voids_the_address(ada: Person, hub: Running) -> None:
    xorb, cas = fresh(), ada.cas()
    assert hub.store.instance_id in cas.url
    hub.store.maintenance.renew_instance()
    assert cas.xorb(xorb).status_code == 410
    assert cas.shard(shard(file_records(whole(xorb)))).status_code == 410
    again = ada.cas()
    assert again.url != cas.url
    assert again.shard(shard(file_records(whole(xorb)))).status_code == 404
    assert ada.cas().xorb(xorb).status_code == 200


def test_addresses_do_not_leave_the_folder(ada: Person, http: httpx2.Client) -> None:
    cas = ada.cas()
    base, instance, epoch = cas.url.rsplit("/", 2)
    for odd in ("..", ".", "newest", epoch.upper(), "%2e%2e%2f%2e%2e", epoch + "%00", "x" * 300):
        cas.url = f"{base}/{instance}/{odd}"
        assert 400 <= cas.shard(shard()).status_code < 500, odd

"""Pickle scanner and safetensors-only policy."""

import io
import os
import pickle
import resource
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from seqhub.server.errors import HubHTTPError
from seqhub.server.pickle_scan import Scanner, reject_pickles
from seqhub.server.scan_child import scan
from seqhub.server.store import Store
from seqhub.server.types import AddLarge, AddSmall, CopyFile, Delete

pytest.importorskip("picklescan")


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


EVIL = pickle.dumps(Evil())


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl"), content)
    return stream.getvalue()


def saved_by_torch() -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, stream)
    return stream.getvalue()


def numpy_objects() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Evil()], dtype=object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.pkl", EVIL),
        ("model.bin", EVIL),
        ("model.pt", zipped(archive__data_pkl=EVIL)),
        ("archive.zip", zipped(x_pkl=EVIL)),
        ("array.npy", numpy_objects()),
        ("cut.pkl", EVIL[:-3] + b"\xff"),
    ],
)
def test_pickles_are_suspicious(path: str, content: bytes, tmp_path: Path) -> None:
    assert scan(path, content) == "suspicious"
    (tmp_path / "x").write_bytes(content)
    assert scan(path, tmp_path / "x") == "suspicious"


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pytorch_model.bin", saved_by_torch()),
        ("tokens.bin", b""),
        ("array.npy", b"\x93NUMPY" + b"x" * 9),
        ("bomb.zip", zipped(a_pkl=bytes(65 * 2**20))),
        ("bomb.bin", zipped(archive__data__0=bytes(65 * 2**20))),
        ("seven.zip", b"7z\xbc\xaf\x27\x1c" + bytes(30)),
    ],
)
def test_no_file_is_reported_as_safe(path: str, content: bytes) -> None:
    assert scan(path, content) in ("not scanned", "suspicious")


def test_an_ordinary_checkpoint_is_not_suspicious() -> None:
    assert scan("pytorch_model.bin", saved_by_torch()) == "not scanned"


def test_a_bomb_is_not_unpacked() -> None:
    assert scan("bomb.zip", zipped(a_pkl=bytes(65 * 2**20))) == "not scanned"


@pytest.mark.parametrize(
    "operation",
    [
        AddSmall("model.bin", b""),
        AddSmall("folder/MODEL.PT", b"x"),
        AddSmall("innocent.txt", EVIL),
        AddSmall("innocent.dat", zipped(archive__data_pkl=EVIL)),
        AddLarge("pytorch_model.bin", "0" * 64, 12),
        CopyFile("x.pkl", "x.txt", None),
    ],
)
def test_the_policy_rejects_pickles(operation: AddSmall | AddLarge | CopyFile) -> None:
    with pytest.raises(HubHTTPError, match="safetensors") as caught:
        reject_pickles([AddSmall("README.md", b"# hi"), operation])
    assert caught.value.status == 422


def test_the_policy_checks_large_files(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(EVIL)
    with pytest.raises(HubHTTPError):
        reject_pickles([AddLarge("big.dat", "0" * 64, len(EVIL))], lambda sha256: tmp_path / "blob")


def test_the_policy_accepts_other_files() -> None:
    reject_pickles(
        [
            AddSmall("model.safetensors", b"\x08" + bytes(7) + b"{}      "),
            AddSmall("data.parquet", b"PAR1"),
            AddSmall("data.zip", zipped(a=b"text")),
            AddSmall("broken.zip", b"PK\x03\x04"),
            Delete("old.bin", is_folder=False),
        ]
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_status_is_available_after_the_scan(store: Store) -> None:
    with closing(Scanner(store.scans)) as scanner:
        opened_contents = []

        def opened() -> bytes:
            opened_contents.append(1)
            return EVIL

        assert scanner.status("oid", "a.pkl") == "not scanned"
        scanner.wait_all()
        assert not opened_contents, "reading a status starts no scan"
        scanner.add("oid", "a.pkl", opened)
        scanner.wait_all()
        assert scanner.status("oid", "b.pkl") == "suspicious"
        assert scanner.status("oid", "b.txt") == "not scanned"
        scanner.add("oid", "b.pkl", opened)
        scanner.add("gone", "b.pkl", lambda: None)
        scanner.wait_all()
        assert scanner.status("gone", "b.pkl") == "not scanned"
        assert len(opened_contents) == 1, "equal contents are scanned once"


def test_results_survive_a_restart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Scanner(store.scans)) as first:
        first.add("oid", "a.pkl", lambda: EVIL)
        first.wait_all()
    with closing(Scanner(store.scans)) as second:
        assert second.status("oid", "a.pkl") == "suspicious"
    monkeypatch.setattr("seqhub.server.pickle_scan.version", lambda name: "999")
    with closing(Scanner(store.scans)) as newer:
        opened_contents = []
        assert newer.status("oid", "a.pkl") == "not scanned"
        newer.add("oid", "a.pkl", lambda: opened_contents.append(1))
        newer.wait_all()
        assert opened_contents, "another version of the scanner scans again"


def test_existing_files_are_scanned_after_the_start(store: Store) -> None:
    ada = store.accounts.create("ada")
    repo = store.repos.create("model", "ada/net", author="ada")
    operations = [AddSmall("a.pkl", EVIL), AddSmall("large.PT", EVIL + bytes(300_000)), AddSmall("a.txt", EVIL)]
    store.commits.create(repo, "main", operations, expected_parent=None, author="ada", title="t", uploader=ada)
    commit = store.revisions.resolve(repo, "main")
    with closing(Scanner(store.scans)) as scanner:
        scanner.wait_all()
        found = {
            path: scanner.status(store.revisions.entry(repo, commit, path).oid, path) for path in ("a.pkl", "large.PT")
        }  # type: ignore[union-attr]
    assert found == {"a.pkl": "suspicious", "large.PT": "suspicious"}


def test_a_scan_out_of_memory_ends_the_child_only(store: Store) -> None:
    """Scan 4 MB of opcodes, which the scanner keeps in memory."""
    greedy = b"\x80\x02" + b"K\x01" * (2 * 2**20) + b"."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with closing(Scanner(store.scans, memory_bytes=128 * 2**20)) as scanner:
        scanner.add("greedy", "a.pkl", lambda: greedy)
        scanner.add("evil", "a.pkl", lambda: EVIL)
        scanner.wait_all()
        assert scanner.status("greedy", "a.pkl") == "failed"
        assert scanner.status("evil", "a.pkl") == "suspicious", "the next child continues"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB


def test_a_scan_that_takes_too_long_is_ended(store: Store) -> None:
    with closing(Scanner(store.scans, seconds=0.05)) as scanner:
        scanner.add("slow", "a.pkl", lambda: b"\x80\x02" + b"K\x01" * 2_000_000 + b".")
        scanner.wait_all()
        assert scanner.status("slow", "a.pkl") == "failed"


def test_the_child_ends_with_the_scanner(store: Store) -> None:
    """Close the scanner while the second content is opened."""
    at_work, go_on = threading.Event(), threading.Event()
    children = []

    def opened() -> None:
        children.append(scanner._child)
        at_work.set()
        assert go_on.wait(20)

    with closing(Scanner(store.scans)) as scanner:
        scanner.add("first", "a.pkl", lambda: EVIL)
        scanner.add("second", "a.pkl", opened)
        assert at_work.wait(20)
        assert children[0].poll() is None
        threading.Timer(0, go_on.set).start()
    assert children[0].poll() is not None

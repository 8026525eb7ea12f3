"""Detection of pickles: the same by `seqhub push` and by the safetensors-only policy of a Hub."""

import io
import pickle
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from seqhub import pickles
from seqhub.pickles import PICKLE_SUFFIXES, contains_pickle, has_pickle_suffix
from seqhub.server.errors import HubHTTPError
from seqhub.server.pickle_scan import reject_pickles
from seqhub.server.types import AddSmall
from tests.helpers.model_folders import safetensors


class Evil:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return exec, ("raise SystemExit",)


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def array(values: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(values))
    return buffer.getvalue()


PICKLES = {
    **{f"protocol-{n}.json": pickle.dumps(Evil(), protocol=n) for n in range(6)},
    **{f"data-{n}.md": pickle.dumps({"w": [1.0]}, protocol=n) for n in range(2, 6)},
    "weights.bin": b"harmless text, but a name that loaders unpickle",
    "WEIGHTS.PT": b"",
    "optimizer.pkl": b"x",
    "model.safetensors": zipped("archive/data.pkl", b"x"),
    "renamed.png": zipped("inner.txt", pickle.dumps(Evil())),
    "objects.npy": array([{}, None]),
    "arrays.npz": zipped("objects.npy", array([{}, None])),
    "old.txt": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",  # torch.save before 1.6 starts so
}
HARMLESS = {
    "model.safetensors": safetensors(),
    **{f"weights-{n}.safetensors": safetensors(n) for n in (896, 1152, 1408)},
    "README.md": b"N.B. a note\n",
    "code.py": b"class A:\n    pass\n",
    "cos.txt": b"cos\nsystem\n(S'no end'\n",
    "part.parquet": b"PAR1\x15\x04\x15\x80",
    "figure.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "numbers.npy": array([1.0, 2.0]),
    "archive.zip": zipped("README.md", b"text"),
    "empty.json": b"",
}


def is_found(name: str, content: bytes) -> bool:
    """Return whether both sides find a pickle, and fail where they differ."""
    found = has_pickle_suffix(name) or contains_pickle(content)
    with pytest.raises(HubHTTPError, match="safetensors only") if found else nullcontext():
        reject_pickles([AddSmall(name, content)])
    return found


def test_pickles_are_found_whatever_their_name() -> None:
    assert [name for name, content in PICKLES.items() if not is_found(name, content)] == []


def test_other_files_are_not_taken_for_pickles() -> None:
    assert [name for name, content in HARMLESS.items() if is_found(name, content)] == []


def test_a_file_and_its_bytes_give_the_same_answer(tmp_path: Path) -> None:
    for number, content in enumerate([*PICKLES.values(), *HARMLESS.values()]):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert contains_pickle(path) == contains_pickle(content)


@pytest.mark.parametrize("suffix", PICKLE_SUFFIXES)
def test_every_suffix_is_refused_in_any_case(suffix: str) -> None:
    assert is_found(f"weights{suffix.upper()}", b"text")


def test_an_encrypted_archive_counts_as_a_pickle() -> None:
    content = bytearray(zipped("README.md", b"text"))
    content[6] |= 1  # the flag in the local header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert is_found("a.zip", bytes(content))


def test_a_damaged_archive_counts_as_a_pickle() -> None:
    assert is_found("a.zip", zipped("README.md", b"text" * 99).replace(b"text", b"tent", 1))


def test_an_archive_with_too_many_names_counts_as_a_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_DIRECTORY", 40)
    assert is_found("a.zip", zipped("README.md", b"text"))


def test_a_pickle_at_the_end_of_a_large_archive_is_found() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.npy", array(np.zeros(500_000)))
        archive.writestr("notes", pickle.dumps(Evil()))
    assert is_found("arrays.npz", buffer.getvalue())


def test_the_search_survives_any_content() -> None:
    draw = random.Random(0)
    starts = [b"", b"\x80\x04", b"c", b"(", b"\x93NUMPY", b"PK\x03\x04", b"]", b"\x80\x05\x95"]
    for number in range(300):
        is_found(f"{number}.x", draw.choice(starts) + draw.randbytes(draw.randint(0, 80)))


def test_the_search_is_bounded() -> None:
    """A member that unpacks to 144 MiB, and a pickle that claims a string of four gigabytes."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w") as member:
        for _ in range(9):  # times 16 MiB: beyond what is read
            member.write(bytes(1 << 24))
    tracemalloc.start()
    assert not contains_pickle(bomb.getvalue())
    assert contains_pickle(b"\x80\x04K\x01K\x02X\xff\xff\xff\xff" + bytes(100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20  # bytes

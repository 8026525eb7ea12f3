"""Checks before any request: files of a push, and invalid folders and names."""

import io
import pickle
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqhub.errors import HubError, InvalidInputError
from seqhub.hub.fetch import fetch
from seqhub.hub.pickles import find_pickles
from seqhub.hub.push import push
from tests.helpers.model_folders import MODEL_FILES, dataset_folder, model_folder, safetensors


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


def write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def test_pickles_are_found_whatever_their_name(tmp_path: Path) -> None:
    paths = [write(tmp_path, name, content) for name, content in PICKLES.items()]
    assert find_pickles(paths) == paths


def test_other_files_are_not_taken_for_pickles(tmp_path: Path) -> None:
    assert find_pickles([write(tmp_path, name, content) for name, content in HARMLESS.items()]) == []


def test_an_encrypted_archive_counts_as_a_pickle(tmp_path: Path) -> None:
    content = bytearray(zipped("README.md", b"text"))
    content[6] |= 1  # the flag in the local header, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path = write(tmp_path, "a.zip", bytes(content))
    assert find_pickles([path]) == [path]


def test_a_damaged_archive_counts_as_a_pickle(tmp_path: Path) -> None:
    content = zipped("README.md", b"text" * 99)
    path = write(tmp_path, "a.zip", content.replace(b"text", b"tent", 1))
    assert find_pickles([path]) == [path]


def test_the_search_survives_any_content(tmp_path: Path) -> None:
    draw = random.Random(0)
    starts = [b"", b"\x80\x04", b"c", b"(", b"\x93NUMPY", b"PK\x03\x04", b"]", b"\x80\x05\x95"]
    paths = [write(tmp_path, f"{i}.x", draw.choice(starts) + draw.randbytes(draw.randint(0, 80))) for i in range(300)]
    assert set(find_pickles(paths)) <= set(paths)


def test_the_error_on_a_folder_with_pickles_names_them(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    write(folder, "extra/optimizer.pt", b"x")
    write(folder, "notes.json", pickle.dumps(Evil()))
    with pytest.raises(InvalidInputError) as raised:
        push(folder, "me/run", dry_run=True)
    assert str(raised.value).startswith(f"{folder} ")
    assert "extra/optimizer.pt, notes.json" in str(raised.value)


def test_pickles_that_are_not_uploaded_are_ignored(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    write(folder, ".cache/state.pkl", pickle.dumps(Evil()))
    assert [file.name for file in push(folder, "me/run", dry_run=True).files] == list(MODEL_FILES)


def test_wildcards_in_file_names_are_not_interpreted(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    write(folder, "figures/a[1]*.png", b"x")
    assert "figures/a[1]*.png" in [file.name for file in push(folder, "me/run", dry_run=True).files]


def test_an_invalid_repository_name_is_an_error(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "run")
    for repo_id in ("run", "me/a run", "a/b/c", "-me/run", "me/run.git", "me/" + "x" * 97, "", "me/"):
        with pytest.raises(InvalidInputError, match=rf"^repository '{repo_id}'.*namespace/name") as raised:
            push(folder, repo_id, dry_run=True)
        assert "\n" not in str(raised.value)


def test_a_folder_must_be_a_model_or_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"^no folder .*missing$"):
        push(tmp_path / "missing", "me/run", dry_run=True)
    marks = "a model has run.json or config.json; a dataset has dataset.json"
    with pytest.raises(InvalidInputError, match=f"neither a model nor a dataset; {re.escape(marks)}"):
        push(tmp_path, "me/run", dry_run=True)
    dataset_folder(tmp_path)
    assert push(tmp_path, "me/run", dry_run=True).kind == "dataset"
    model_folder(tmp_path)
    with pytest.raises(InvalidInputError, match=f"both a model and a dataset; {re.escape(marks)}"):
        push(tmp_path, "me/run", dry_run=True)


def test_a_local_folder_is_returned_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fetch(tmp_path) == tmp_path
    (tmp_path / "me" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert fetch("me/run") == Path("me/run")
    with pytest.raises(InvalidInputError, match=r"^runs/no/such is neither a folder nor a repository: "):
        fetch("runs/no/such")
    with pytest.raises(InvalidInputError, match=r"^nothing is neither a folder nor a repository: .*namespace/name"):
        fetch("nothing")


def test_the_error_in_offline_mode_names_it(tmp_path: Path) -> None:
    with pytest.raises(
        HubError, match=r"cannot push to me/run at .*: offline mode is on \(HF_HUB_OFFLINE\); .*to retry: "
    ):
        push(model_folder(tmp_path / "run"), "me/run", endpoint="http://127.0.0.1:1")
    with pytest.raises(HubError, match=r"cannot fetch dataset me/run at .*: offline mode is on"):
        fetch("me/run", kind="dataset")

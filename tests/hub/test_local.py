"""Checks before any request: files of a push, and invalid folders and names."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seqhub.errors import HubError, InvalidInputError
from seqhub.hub.fetch import fetch
from seqhub.hub.push import push
from tests.helpers.model_folders import MODEL_FILES, dataset_folder, model_folder


class Evil:
    """An object that runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return exec, ("raise SystemExit",)


def write(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


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
    assert push(tmp_path, "me/run", dry_run=True).repo_type == "dataset"
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
        fetch("me/run", repo_type="dataset")

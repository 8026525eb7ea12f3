"""Records: closed fields, whole files."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.errors import CorruptFileError, SaveError
from seqhub.io import write_atomically
from seqhub.records import DatasetRecord, RunRecord, command_line, environment
from seqhub.tasks.ref import TaskRef


def record() -> DatasetRecord:
    return DatasetRecord(task="qrsu", task_version=1, seed=0, configs={}, seconds=1.5, environment=environment())


def test_a_saved_record_loads_unchanged(tmp_path: Path) -> None:
    record().save(tmp_path)
    assert DatasetRecord.load(tmp_path) == record()


@pytest.mark.parametrize("kind", [RunRecord, DatasetRecord])
def test_a_record_of_version_0_1_loads_and_is_saved_unchanged(kind: type[RunRecord | DatasetRecord]) -> None:
    folder = Path(__file__).parent / "saved_by_0_1"
    assert kind.load(folder).text() == (folder / kind.FILE_NAME).read_text(encoding="utf-8")


def test_the_config_own_of_version_0_1_is_custom() -> None:
    assert str(TaskRef.parse("char_completion/own")) == "char_completion/custom"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "JSON"),
        ("[]", "format 'list'"),
        ('{"format": 99}', "format 99; this seqhub reads format 1"),
        ('{"format": 1, "task": "qrsu", "colour": "red"}', "colour, command"),
    ],
)
def test_an_invalid_record_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(CorruptFileError, match=message):
        DatasetRecord.load(tmp_path)


def test_a_missing_record_is_a_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no run\.json in"):
        RunRecord.load(tmp_path)


def test_nan_is_not_written(tmp_path: Path) -> None:
    broken = record()
    broken.seconds = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if call == "replace":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveError, match="No space left on device"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_environment_does_not_name_machine_or_user() -> None:
    import getpass
    import socket

    text = json.dumps(environment())
    assert socket.gethostname() not in text
    assert str(Path.home()) not in text
    assert f'"{getpass.getuser()}"' not in text


def test_command_line_has_no_absolute_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/bin/seqhub", "train", "qrsu/hard", "--output-dir", "/data/me/run"])
    assert command_line() == "seqhub train qrsu/hard --output-dir run"


def test_command_line_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "__main__.py").write_text(
        "from seqhub.records import command_line\nprint(command_line())\n"
    )
    command = [sys.executable, "-m", "program", "release", "/data/me/run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "python -m program release run\n"

"""Code that a record names: never that of its own folder, which may have been downloaded."""

import json
from pathlib import Path

import pytest

from seqhub.errors import CorruptFileError
from seqhub.records import RunRecord
from tests.helpers.run_records import run_record


@pytest.mark.parametrize(
    ("key", "value"), [("address", "run/evil.py/c"), ("model", "run/evil:lstm"), ("model", "./run/sub/../evil:lstm")]
)
def test_code_in_the_folder_of_a_record_is_not_run(
    key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = "from pathlib import Path\nPath('executed').touch()\n"
    (tmp_path / "run" / "evil").mkdir(parents=True)
    for name in ("evil.py", "evil/__init__.py", "evil/configuration_evil.py", "evil/modeling_evil.py"):
        (tmp_path / "run" / name).write_text(code)
    record = json.loads(run_record().text()) | {key: value}
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    with pytest.raises(CorruptFileError, match=f"{key} .*is code in the folder of the record"):
        RunRecord.load(tmp_path / "run")
    assert not (tmp_path / "executed").exists()

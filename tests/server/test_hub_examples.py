"""The files in examples/hub: units of systemd and a container."""

import re
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from seqhub.server.store import Store

EXAMPLES = Path(__file__).parents[2] / "examples" / "hub"
PROGRAM = str(Path(sys.executable).with_name("seqhub"))
LIMIT = 100


def unit(name: str, state: Path) -> str:
    """Return a unit with this machine's program and a folder instead of /var/lib/seqhub."""
    text = (EXAMPLES / name).read_text()
    return text.replace("/opt/seqhub/bin/seqhub", PROGRAM).replace("/var/lib/seqhub", str(state))


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("needs systemd-analyze")
    names = sorted(path.name for path in EXAMPLES.glob("seqhub*"))
    assert names == ["seqhub-backup.service", "seqhub-backup.timer", "seqhub.service"]
    for name in names:
        (tmp_path / name).write_text(unit(name, tmp_path))
    line = ["systemd-analyze", "verify", "--man=no", *names]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_backup_unit_backs_up_and_keeps_fourteen(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "hub")) as store:
        store.tokens.create("ada", "test", "write", create_user=True)
    for day in range(1, 19):
        (tmp_path / f"backup-2020-01-{day:02}").mkdir()
    text = unit("seqhub-backup.service", tmp_path)
    commands = re.findall("^ExecStart(?:Post)?=(.*)$", text, re.MULTILINE)
    variables = dict(each.split("=") for each in re.findall("^Environment=(.*)$", text, re.MULTILINE))
    for command in commands:
        line = [part.replace("$$", "$").replace("%%", "%") for part in shlex.split(command)]
        subprocess.run(line, env={"PATH": "/usr/bin:/bin", **variables}, check=True, timeout=LIMIT)
    kept = sorted(path.name for path in tmp_path.glob("backup-*"))
    assert len(kept) == 14
    assert kept[0] == "backup-2020-01-06"
    with closing(Store(tmp_path / kept[-1])) as store:
        assert store.tokens.any_valid()


def test_the_server_of_the_unit_and_of_the_image_start(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "hub")) as store:
        store.tokens.create("ada", "test", "write", create_user=True)
    served = re.search("^ExecStart=(.*)$", unit("seqhub.service", tmp_path), re.MULTILINE)
    image = re.search(r"^CMD \[(.*)\]$", (EXAMPLES / "Dockerfile").read_text(), re.MULTILINE)
    assert served is not None
    assert image is not None
    in_image = [PROGRAM, *shlex.split(image[1].replace(",", ""))[1:]]
    assert in_image[1:] == ["serve", "--host", "0.0.0.0"]  # not started here, since tests listen on loopback only
    line = [*shlex.split(served[1]), "--port", "0", "--no-access-log"]
    with subprocess.Popen(
        line, env={"SEQHUB_ROOT": str(tmp_path / "hub")}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("export HF_ENDPOINT=http://127.0.0.1:")
        finally:
            process.terminate()
            process.communicate(timeout=LIMIT)


def test_the_compose_file_builds_the_image_of_this_folder() -> None:
    service = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]["hub"]
    context = (EXAMPLES / service["build"]["context"]).resolve()
    assert (context / service["build"]["dockerfile"]).resolve() == EXAMPLES / "Dockerfile"
    assert (context / "pyproject.toml").exists()

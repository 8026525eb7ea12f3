"""State machine test: random clients, compared with a Hub of plain dicts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.server.serve import running

MACHINE = Path(__file__).parent.parent / "helpers" / "hub_state_machine.py"


def run(tmp_path: Path, examples: int, steps: int, *, xet: bool, limit: int) -> None:
    with running(tmp_path / "hub") as hub:
        environment = os.environ | hub.environment(tmp_path / "home", token=hub.token("ada", "admin"))
        environment |= {"HF_HUB_DISABLE_XET": "0" if xet else "1"}
        line = [sys.executable, str(MACHINE), str(examples), str(steps)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=limit, check=False)
        assert done.stdout.endswith("ok\n"), done.stdout[-3000:] + done.stderr[-9000:]
        assert hub.store.maintenance.fsck() == []


def test_a_few_clients(tmp_path: Path) -> None:
    run(tmp_path, 20, 20, xet=False, limit=240)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("xet", [False, True], ids=["lfs", "xet"])
def test_many_clients(tmp_path: Path, xet: bool) -> None:
    run(tmp_path, 60, 40, xet=xet, limit=1000)

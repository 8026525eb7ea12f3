"""The pytest fixture for other projects, in a separate test session."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import urllib.request

seen = []

def check(hub):
    assert urllib.request.urlopen(hub.url + "/healthz").status == 200
    assert hub.store.accounts.all() == []
    hub.token("ada")
    seen.append(hub.url)

def test_one(seqhub_hub):
    check(seqhub_hub)

def test_two(seqhub_hub):
    check(seqhub_hub)
    assert len(set(seen)) == 2
"""


def test_each_test_has_its_own_hub(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(TESTS)
    plugins = ["-p", "no:seqhub", "-p", "seqhub.server.pytest_plugin", "-p", "no:cacheprovider"]
    line = [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugins, str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_it_loads_no_server() -> None:
    heavy = ("uvicorn", "starlette", "sqlite3")
    code = f"import sys, seqhub.server.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_fixture_fails_with_a_message_without_the_extra(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('not here', name='uvicorn')")
    (tmp_path / "test_theirs.py").write_text("def test_one(seqhub_hub): ...\ndef test_two(): ...\n")
    plugins = ["-p", "no:seqhub", "-p", "seqhub.server.pytest_plugin", "-p", "no:cacheprovider"]
    line = [sys.executable, "-m", "pytest", "-q", *plugins, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False, env=environment)
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "pip install 'seqhub[server]'" in done.stdout

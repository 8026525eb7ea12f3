"""The package does its main work without what only POSIX systems have: the main job runs where they are hidden."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.without_posix import FUNCTIONS, MODULES

PACKAGE = Path(__file__).parents[1] / "seqhub"
ROOT = PACKAGE.parent

# functions that check before they call, by file
GUARDED = {
    "server/viewer/child.py": {"fork", "WNOHANG", "recv_fds", "setitimer", "ITIMER_REAL", "SIGKILL"},
    "server/viewer/process.py": {"send_fds"},  # only for forked workers
    "server/scan_child.py": {"SIGKILL"},  # suppressed
    "server/xet/stored_xorb.py": {"pread"},
    "sweeps/pool.py": {"setsid"},
    "sweeps/sweep.py": {"sched_getaffinity"},
}

START = """
import os, sys
from pathlib import Path
import seqhub
from seqhub.cli import main
def run(*arguments):
    sys.argv = ["seqhub", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, (arguments, ended.code)
"""
TRAINING = """
from datasets import load_dataset
assert load_dataset("qrsu", "easy", split="test")[0]["text"]
run("train", "qrsu/easy", "--output-dir", "native", "--quiet")
run("train", "qrsu/easy", "--output-dir", "plain", "--quiet", "--max-sequences", "64", "--record", "gradients")
run("verify", "native")
run("evaluate", "native", "--quiet")
run("sweep", "qrsu/easy", "--seeds", "2", "--output-dir", "sweep", "--quiet")
Path("rows.csv").write_text("text,label\\n" + "".join(f"film {n % 7} {n % 2},{'ab'[n % 2]}\\n" for n in range(90)))
run("train", "rows.csv", "--output-dir", "rows", "--quiet", "--epochs", "1")
assert b"\\r" not in Path("native/run.json").read_bytes() + Path("native/history.jsonl").read_bytes()
"""
SERVING = """
import httpx
from huggingface_hub import HfApi
from seqhub.server.serve import running
run("data", "build", "qrsu", "--config", "easy", "--train-size", "500", "--out", "rows", "--quiet")
with running("hub") as hub:
    api = HfApi(endpoint=hub.url, token=hub.token())
    for _ in range(2):  # the second commit replaces files
        api.create_repo("seqhub/rows", repo_type="dataset", exist_ok=True)
        api.upload_folder(repo_id="seqhub/rows", folder_path="rows", repo_type="dataset")
    found = api.hf_hub_download("seqhub/rows", "README.md", repo_type="dataset", local_dir="copy")
    assert Path(found).read_bytes() == Path("rows/README.md").read_bytes()
    names = "dataset=seqhub/rows&config=easy&split=test"
    answer = httpx.get(f"{hub.url}/datasets-server/rows?{names}&offset=3&length=2", timeout=60)
    assert answer.status_code == 200 and len(answer.json()["rows"]) == 2, answer.text
    page = httpx.get(f"{hub.url}/datasets/seqhub/rows", headers={"Accept": "text/html"}, timeout=60)
    assert page.status_code == 200, page.text
    hub.store.maintenance.gc(0)
    damage = hub.store.maintenance.fsck()
    assert damage == [], damage
"""


@pytest.mark.parametrize("job", [TRAINING, SERVING], ids=["training", "serving"])
def test_the_main_job_runs_without_posix(job: str, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "tests.helpers.without_posix", "-c", START + job]
    settings = {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
    environment = {**os.environ, **settings, "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_lock_of_another_process_is_found_without_flock(tmp_path: Path) -> None:
    program = """
import subprocess, sys
from seqhub import io
folder = io.Path(sys.argv[1])
with io.try_lock_folder(folder) as mine:
    with io.try_lock_folder(folder) as again:
        print(io._HAS_FLOCK, mine, again)
with io.try_lock_folder(folder) as later:
    print(later, [path.name for path in folder.parent.iterdir()])
"""
    line = [sys.executable, "-m", "tests.helpers.without_posix", "-c", program, str(tmp_path / "run")]
    (tmp_path / "run").mkdir()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout == "False True False\nTrue ['.run.lock', 'run']\n", done.stdout + done.stderr


def test_posix_is_not_assumed() -> None:
    imported, used = {}, {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = [node for node in tree.body if isinstance(node, ast.Import)]  # one in a `try` has an alternative
        modules = {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
        imported[name] = MODULES & (modules | {alias.name for node in imports for alias in node.names})
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_posix(node)}
        used[name] = attributes
    assert {name: found for name, found in imported.items() if found} == {}
    assert {name: found for name, found in used.items() if found} == GUARDED


def _is_posix(node: ast.Attribute) -> bool:
    owner = node.value.id if isinstance(node.value, ast.Name) else ""
    return any(owner == module.__name__ and node.attr in names for module, names in FUNCTIONS.items())

"""Fingerprint of a task: it changes exactly with the source and data files of its rows."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seqhub
from seqhub.data.fingerprint import modules_of
from seqhub.tasks.registry import list_tasks

EDIT = """
import json, sys
from pathlib import Path
from seqhub.data.fingerprint import fingerprint
from seqhub.tasks.registry import get_task, list_tasks
import seqhub
root = Path(seqhub.__file__).parent
assert str(root) == sys.argv[1], root
def prints():
    fingerprint.cache_clear()
    return {name: fingerprint(get_task(name)) for name in list_tasks()}
before, changed = prints(), {}
for name in json.loads(sys.argv[2]):
    path = root / name
    content = path.read_bytes()
    path.write_bytes(content + b"\\n")
    now = prints()
    changed[name] = [task for task in now if now[task] != before[task]]
    path.write_bytes(content)
assert prints() == before
print(json.dumps(changed))
"""
ALL = list(list_tasks())
EXPECTED = {
    "tasks/_marked_pairs.py": ["adding", "multiplication"],
    "tasks/_qrsu_tutorial.py": ["qrsu"],
    "tasks/_temporal_order.py": ["qrsu", "temporal_order_3bit"],
    "tasks/files/digits.npz": ["digit_captions", "row_images", "sequential_digits"],
    "tasks/echo.py": ["echo"],
    "tasks/rng.py": ALL,
    "tasks/splits.py": ALL,
    "tasks/base.py": ALL,
    "data/arrow.py": ALL,
    "data/builder.py": ALL,
    "training/train.py": [],
    "data/local_files.py": [],
    "cards/text.py": [],
    "errors.py": [],
}


@pytest.mark.timeout(120)
def test_edits_change_the_fingerprints_of_the_affected_tasks(tmp_path: Path) -> None:
    folder = Path(seqhub.__file__).parent
    shutil.copytree(folder, tmp_path / "seqhub", ignore=shutil.ignore_patterns("__pycache__", "*.so", "server"))
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", EDIT, str(tmp_path / "seqhub"), json.dumps(list(EXPECTED))],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


@pytest.mark.parametrize("task", ["adding", "qrsu", "row_images"])
def test_every_module_that_a_task_loads_is_included(task: str) -> None:
    """Compare the imports in source files with the modules that a new process loads to generate rows."""
    code = (
        "import json, sys\n"
        "from seqhub.tasks.registry import get_task\n"
        f"from seqhub.tasks.splits import Split\ntask = get_task({task!r})\n"
        f"Split({task!r} + '/' + task.configs[-1].name, 'test').blocks(0, 1)\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('seqhub.tasks')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert set(json.loads(done.stdout)) <= modules_of({f"seqhub.tasks.{task}", "seqhub.tasks.splits"})


def test_tasks_read_package_files_only_with_importlib_resources() -> None:
    """The fingerprint does not include files that a task opens in another way."""
    for path in (Path(seqhub.__file__).parent / "tasks").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        calls = {node.func.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
                 and isinstance(node.func, ast.Name)}  # fmt: skip
        assert "importlib.resources" in source or "open" not in calls, path

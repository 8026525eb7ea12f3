"""docs/hub-for-a-class.md, played through: thirty accounts, pull requests, and grades."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from seqhub.server.serve import Running, running

ROOT = Path(__file__).parents[2]
STUDENTS = [f"student{number:02}" for number in range(1, 31)]
LIMIT = 900
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", (ROOT / "docs/hub-for-a-class.md").read_text(), re.M | re.S)
accounts, assignment, handing_in, grading = BLOCKS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def play(language: str, code: str, folder: Path, **variables: str) -> None:
    """Run a block of the page in a folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    line = ["bash", "-euo", "pipefail", "-c", code] if language == "sh" else [sys.executable, "-c", code]
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr[-3000:]


def hand_in(hub: Running, folder: Path, name: str, token: str) -> None:
    """Train with the seed of a student and open a pull request; the first one changes the recorded accuracy."""
    folder.mkdir()
    variables = hub.environment(folder / "home", token=token)
    language, code = handing_in
    train, evaluate, upload = code.splitlines()
    play(language, f"{train} --seed {STUDENTS.index(name)}\n{evaluate}", folder, **variables)
    if name == STUDENTS[0]:
        record = json.loads((folder / "week1/run.json").read_text())
        record["evaluation"]["test"]["accuracy"] = 1.0 if record["evaluation"]["test"]["accuracy"] < 1 else 0.5
        (folder / "week1/run.json").write_text(json.dumps(record))
    play(language, upload, folder, **variables)


TOGETHER = """
import csv, seqhub
from huggingface_hub import HfApi
for number, (name, token) in list(enumerate(csv.reader(open("tokens.csv"))))[3:]:
    seqhub.train(task="qrsu/easy", output_dir=name, seed=number)
    seqhub.evaluate(name)
    HfApi(token=token).upload_folder(repo_id="class/week1", folder_path=name, create_pr=True)
"""  # the commands as calls of Python, since each command would load the libraries again


def test_thirty_students_hand_in_and_are_graded(tmp_path: Path) -> None:
    (tmp_path / "students.txt").write_text("\n".join(STUDENTS))
    play(*accounts, tmp_path)
    teacher = (tmp_path / "teacher.token").read_text().strip()
    with (tmp_path / "tokens.csv").open() as file:
        tokens = dict(csv.reader(file))
    assert list(tokens) == STUDENTS
    with running(tmp_path / "class-hub") as hub:
        as_teacher = hub.environment(tmp_path / "home", token=teacher)
        play(*assignment, tmp_path, **as_teacher)
        for name in STUDENTS[:3]:
            hand_in(hub, tmp_path / name, name, tokens[name])
        play("python", TOGETHER, tmp_path, **as_teacher)
        shutil.copy(ROOT / "examples/hub/grade.py", tmp_path)
        play(*grading, tmp_path, **as_teacher)
        weights = [
            httpx.get(
                f"{hub.url}/class/week1/resolve/refs%2Fpr%2F{number}/model.safetensors",
                follow_redirects=True,
                headers={"Authorization": f"Bearer {teacher}"},
            )
            .raise_for_status()
            .content
            for number in range(1, 31)
        ]
    with (tmp_path / "grades.csv").open() as file:
        grades = list(csv.DictReader(file))
    assert [row["student"] for row in grades] == STUDENTS
    assert [row["verified"] for row in grades] == ["False"] + ["True"] * 29
    assert "accuracy" in grades[0]["problem"]
    assert all(float(row["accuracy"]) > 0.99 for row in grades[1:])
    assert len(set(weights)) == len(weights) == 30  # seeds of their own

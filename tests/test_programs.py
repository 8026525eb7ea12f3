"""Programs of this repository, which do no work on an argument that they do not know."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("seqhub", "dataset_scripts", "model_cards", "docs", "benchmarks", "tests")


def is_program(path: Path) -> bool:
    """Return whether a file has a block that runs where it is the program."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    blocks = [node.test for node in tree.body if isinstance(node, ast.If)]
    return any(ast.unparse(test) == "__name__ == '__main__'" for test in blocks)


PROGRAMS = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if is_program(path)
]
CONNECTED = {"tests.server.routes.client_script"}  # connects to a Hub when it is imported
QUICK = ["dataset_scripts", "model_cards"]
WRONG = {  # arguments with an unknown name at their end
    "dataset_scripts": ("build qrs", "publish --namespace me qrs", "verify --source me qrs", "render qrs"),
    "model_cards": ("release qrsu/easier", "render qrsu-easier-lstm"),
    "benchmarks": ("loaders",),
}


def tree() -> dict[str, tuple[int, int]]:
    """Return size and time of every tracked file, and the names in the root."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in names.split("\0") if name]
    found = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.exists()}
    return found | {path.name: (0, 0) for path in ROOT.iterdir() if path.name.startswith(("-", "build"))}


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", program, *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def check(program: str) -> None:
    before = tree()
    ended = run(program, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "usage" in ended.stdout.lower()
    for line in ("--no-such-option", *WRONG.get(program, ("too many arguments here",))):
        wrong = line.split()
        ended = run(program, *wrong)
        assert ended.returncode == 2, (line, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr
        assert "error" in ended.stderr.lower()
        if line in WRONG.get(program, ()):
            assert repr(wrong[-1]) in ended.stderr
    assert tree() == before


def test_programs_are_found() -> None:
    assert {"seqhub.training", "dataset_scripts", "model_cards", "docs.speed", "tests.tasks.test_digests"} <= set(
        PROGRAMS
    )


@pytest.mark.timeout(200)
@pytest.mark.parametrize("program", QUICK)
def test_a_release_program_does_no_work_on_unknown_arguments(program: str) -> None:
    check(program)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", [each for each in PROGRAMS if each not in {*QUICK, *CONNECTED}])
def test_a_program_does_no_work_on_unknown_arguments(program: str) -> None:
    check(program)

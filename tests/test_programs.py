"""Programs of this repository, which do no work on an argument that they do not know."""

import ast
import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers import forked_process, training_processes

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
    "tests.server.suite.run": ("--suite hubs",),  # it runs tests by name
}


def tree() -> dict[str, tuple[int, int]]:
    """Return size and time of every tracked file, and the names in the root."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in names.split("\0") if name]
    found = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.exists()}
    return found | {path.name: (0, 0) for path in ROOT.iterdir() if path.name.startswith(("-", "build"))}


def run(program: str, *arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of a program."""
    environment = os.environ | {"COLUMNS": "100", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
    process = forked_process.Process(["-m", program, *arguments], cwd=ROOT, env=environment)
    return training_processes.finish(process, 100)


def check(program: str) -> None:
    before = tree()
    code, out, errors = run(program, "--help")
    assert code == 0, errors
    assert "usage" in out.lower()
    for line in ("--no-such-option", *WRONG.get(program, ("too many arguments here",))):
        wrong = line.split()
        code, out, errors = run(program, *wrong)
        assert code == 2, (line, out, errors)
        assert "Traceback" not in errors
        assert "error" in errors.lower()
        if line in WRONG.get(program, ()):
            assert repr(wrong[-1]) in errors
    assert tree() == before


def test_programs_are_found() -> None:
    assert {"seqhub.training", "dataset_scripts", "model_cards", "docs.speed", "tests.tasks.test_digests"} <= set(
        PROGRAMS
    )


@pytest.mark.fast_cases("dataset_scripts")
@pytest.mark.timeout(200)
@pytest.mark.parametrize("program", QUICK)
def test_a_release_program_does_no_work_on_unknown_arguments(program: str) -> None:
    check(program)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("program", [each for each in PROGRAMS if each not in {*QUICK, *CONNECTED}])
def test_a_program_does_no_work_on_unknown_arguments(program: str) -> None:
    check(program)

"""Files for contributors: workflow, hooks and templates name commands that exist."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
COMMANDS = [step["run"] for job in WORKFLOW["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_workflow_runs_what_exists(command: str) -> None:
    for target in re.findall(r"^make ([\w-]+)", command):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    for folder in re.findall(r"\btests/[\w/]+", command):
        assert (ROOT / folder).is_dir()
    for extras in re.findall(r"-e '\.\[(.*)\]'", command):
        assert all(
            re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.M) for extra in extras.split(",")
        )


def test_the_workflow_tests_all_supported_versions() -> None:
    classifiers = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert WORKFLOW["jobs"]["linux"]["strategy"]["matrix"]["python"] == classifiers


def test_hooks_are_those_of_make_test() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        command = hook["entry"].replace(" --force-exclude", "").replace(" --check", " --check --quiet")
        assert command.split()[:2] == hook["name"].split()
        assert f"$(BIN)/{hook['name']}" in MAKEFILE

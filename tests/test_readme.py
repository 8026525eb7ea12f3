"""Code in the documentation: the commands and Python of every page, in order, in one new folder for each page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers import forked_process
from tests.helpers.training_processes import finish

ROOT = Path(__file__).parent.parent
PAGES = [
    "README.md",
    "docs/bench.md",
    "docs/cells.md",
    "docs/concepts.md",
    "docs/data.md",
    "docs/deploy.md",
    "docs/first_steps.md",
    "docs/hub.md",
    "docs/hub_storage.md",
    "docs/initialisation.md",
    "docs/install.md",
    "docs/models.md",
    "docs/own_architecture.md",
    "docs/own_data.md",
    "docs/paper.md",
    "docs/trainer.md",
    "docs/training.md",
    "docs/truncated_gradients.md",
]
# they start a Hub on this machine, which offline clients cannot reach
ONLINE = {"docs/first_steps.md", "docs/hub.md", "docs/hub_storage.md"}
INDEX = "docs/tasks/README.md"  # lists pages, without code
PAGES += sorted({str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "tasks").glob("*.md")} - {INDEX})
LINKING = ("docs/fair_comparison.md", "docs/versions.md")  # pages without code
SECONDS = 240

# Runs the steps of a page in one process, which imports torch once, and saves their outputs
RUNNER = """
import contextlib, io, json, shlex, sys
outputs = []
for language, code in json.load(open(sys.argv[1])):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if language == "python":
            exec(compile(code, "<page>", "exec"), {"__name__": "page"})
        else:
            from seqhub.cli import main
            sys.argv = shlex.split(code)
            try:
                main()
            except SystemExit as end:
                assert not end.code, f"{code}: exit code {end.code}"
    outputs.append(printed.getvalue())
json.dump(outputs, open("outputs.json", "w"))
"""


class Step(NamedTuple):
    language: str
    code: str
    output: str | None  # what the page says it prints


def steps(page: str) -> list[Step]:
    """Return every Python block and seqhub command of a page, with the output block that follows it, if any."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [(m[1], m[2], m.start(), m.end()) for m in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)]
    found: list[Step] = []
    for number, (language, code, _, end) in enumerate(blocks):
        follows = blocks[number + 1] if number + 1 < len(blocks) else None
        shown = follows[1] if follows and follows[0] == "text" and not text[end : follows[2]].strip() else None
        if language == "python":
            found.append(Step("python", code, shown))
        elif language == "bash":
            lines = [line for line in code.splitlines() if line.startswith("seqhub ")]
            found += [Step("bash", line, shown if line is lines[-1] else None) for line in lines]
    return found


@pytest.mark.fast_cases(
    "README.md", "docs/concepts.md", "docs/data.md", "docs/first_steps.md", "docs/hub.md", "docs/models.md"
)
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_prints_its_output(page: str, tmp_path: Path) -> None:
    todo = steps(page)
    assert todo
    (tmp_path / "steps.json").write_text(json.dumps([(step.language, step.code) for step in todo]))
    command = ["-c", RUNNER, "steps.json"]
    if page in ONLINE:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=os.environ | {"HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        code, errors = done.returncode, done.stderr
    else:
        process = forked_process.Process(command, cwd=tmp_path, env=dict(os.environ))
        code, _, errors = finish(process, SECONDS)
    assert code == 0, errors[-3000:]
    for step, output in zip(todo, json.loads((tmp_path / "outputs.json").read_text()), strict=True):
        if step.output is not None:
            assert output.strip() == step.output.strip(), step.code


def test_every_make_target_in_the_documentation_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in ("README.md", "CONTRIBUTING.md", "docs/install.md"):
        for target in re.findall(r"\bmake (\w[\w-]*)", (ROOT / page).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page} names make {target}"
    assert "seqhub demo runs/demo" in makefile


def test_linked_files_exist() -> None:
    missing = [
        f"{page} links to {target}"
        for page in (*PAGES, *LINKING, INDEX, "CONTRIBUTING.md", "CHANGELOG.md", "model_cards/README.md")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
        if not (ROOT / page).parent.joinpath(target).exists()
    ]
    assert not missing


def test_the_index_lists_every_page_of_a_task() -> None:
    named = re.findall(r"^- \[\w+\]\((\w+\.md)\): ", (ROOT / INDEX).read_text(encoding="utf-8"), re.M)
    assert sorted(named) == sorted({page.name for page in (ROOT / INDEX).parent.glob("*.md")} - {"README.md"})


def test_every_package_is_in_the_list_for_contributors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (ROOT / "seqhub").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"`seqhub/(\w+)`", text))

"""CONTRIBUTING.md, followed to the letter in a copy of the repository: new files, nothing else edited."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`(seqhub/[\w/]+\.py)`:\n\n```python\n(.*?)```", TEXT, flags=re.DOTALL))
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.DOTALL) for line in block.splitlines()]
SECONDS = 300
GENERIC = (  # tests that ask something of every task or family; the whole suite is run by `make test`
    "tests/tasks/test_every_task.py",
    "tests/tasks/test_digests.py",
    "tests/baselines/test_random_search.py",
    "tests/data/test_builder.py",
    "tests/data/test_parquet.py",
    "tests/data/test_loader.py",
    "tests/data/test_fingerprint.py",
    "tests/cli/test_forms.py",
    "tests/models/test_registry.py",
    "tests/models/test_subclasses.py",
    "tests/models/test_extra_arguments.py",
    "tests/test_rendered.py",
    "tests/test_layers.py",
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository that are not ignored, and those that the page adds."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    library = ROOT / "seqhub" / "native" / "recurrence.so"
    if library.exists():
        shutil.copy2(library, folder / "seqhub" / "native")
    for name, source in FILES.items():
        assert not (folder / name).exists(), f"{name} is there already"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source, encoding="utf-8")
    return folder


def python(folder: Path, *arguments: str, seconds: float = SECONDS) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def test_the_page_adds_one_file_for_a_task_and_three_for_a_family() -> None:
    assert sorted(FILES) == [
        "seqhub/models/leaky/__init__.py",
        "seqhub/models/leaky/configuration_leaky.py",
        "seqhub/models/leaky/modeling_leaky.py",
        "seqhub/tasks/majority.py",
    ]
    assert [command.split()[:2] for command in COMMANDS].count(["seqhub", "check"]) == 2


@pytest.mark.slow
def test_the_commands_of_the_page_run(copy: Path) -> None:
    code = "import sys; from seqhub.cli import main; sys.argv = sys.argv[1:]; main()"
    assert str(copy) in python(copy, "-c", "import seqhub; print(seqhub.__file__)")
    for command in COMMANDS:
        if command.startswith("seqhub "):
            python(copy, "-c", code, *command.split())
    assert "# majority" in (copy / "majority" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_generic_test_covers_the_new_task_and_family(copy: Path) -> None:
    found = python(copy, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not slow", *GENERIC, seconds=1700)
    assert "failed" not in found

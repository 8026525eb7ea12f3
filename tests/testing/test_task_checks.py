"""Checks of tasks from files and installed packages: a valid task passes, and each kind of fault is found."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqhub.errors import InvalidConfigError, UnknownNameError
from seqhub.tasks.ref import TaskRef
from seqhub.tasks.registry import get_task
from seqhub.testing import checks_of, run_checks
from tests.helpers.cli_calls import call

MAJORITY = '''"""Majority: whether a string of bits has more ones than zeros.

Source: Minsky & Papert (1969), "Perceptrons".
"""

from dataclasses import dataclass

import numpy as np

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, TaskConfig


@dataclass(frozen=True, kw_only=True)
class MajorityConfig(TaskConfig):
    """Bits of one length."""


class Majority(Task[MajorityConfig]):
    """Majority of a string of bits."""

    name = "majority"
    version = 1
    title = "Majority: more ones or more zeros"
    symbols = "01"
    labels = ("zeros", "ones")
    description = "The label is the symbol that occurs more often in a string of odd length."
    source = "@book{minsky1969, author = {Minsky, M. and Papert, S.}, title = {Perceptrons}, year = {1969}}"
    configs = (MajorityConfig(name="n41", length=(41, 41)),)

    def generate(self, config: MajorityConfig, random: BlockRandom) -> Batch:
        bits = random.uint16(config.length[1]) & 1
        ids = np.array([ord("0"), ord("1")], np.uint8)[bits]
        labels = (2 * bits.sum(axis=1) > config.length[1]).astype(np.int64)
        return Batch(ids, np.full(len(ids), config.length[1]), labels)

    def solve(self, sequence: str) -> str:
        if set(sequence) - set("01"):
            raise InvalidInputError(f"{sequence!r} is not a string of 0 and 1")
        return self.labels[2 * sequence.count("1") > len(sequence)]


TASK = Majority()
'''

BITS = "random.uint16(config.length[1])"
FAULTS = {  # check -> text of the file, its replacement, and a part of the message
    "definition": ("year = {1969}", "yr = {1969}", "author, title and year"),
    "form": ("np.full(len(ids), config.length[1])", "np.full(len(ids), config.length[1] + 1)", "lengths 42 to 42"),
    "solution": ('sequence.count("1") >', 'sequence.count("0") >', "generate has"),
    "determinism": (BITS, "np.random.randint(0, 9, (random.size, 41))", "rows differ when generated twice"),
    "chance": (f"bits = {BITS} & 1", "bits = random.uint16(41) // 65535", "most frequent class"),
    "splits": (f"{BITS} & 1", "random.uint16(41) & (np.arange(41) < 4)", "list them in finite_domain"),
}


def write(folder: Path, source: str = MAJORITY) -> Path:
    file = folder / "majority.py"
    file.write_text(source)
    return file


def test_valid_task_file_passes_every_check(tmp_path: Path) -> None:
    results = list(run_checks(checks_of(str(write(tmp_path)))))
    assert [result.name for result in results if result.error] == []
    assert len(results) == 11


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_by_its_check(name: str, tmp_path: Path) -> None:
    old, new, message = FAULTS[name]
    assert old in MAJORITY
    file = write(tmp_path, MAJORITY.replace(old, new))
    results = {result.name: result.error for result in run_checks(checks_of(str(file))[:9])}
    assert message in results[name], results


def test_command_reports_each_check_and_exits_with_1_on_failure(tmp_path: Path) -> None:
    old, new, message = FAULTS["solution"]
    write(tmp_path, MAJORITY.replace(old, new))
    ended = call("check", tmp_path / "majority.py", "--json")
    assert ended.code == 1
    assert message in ended.out
    assert call("check", "nothing").code == 2
    assert "nothing" in call("check", "nothing").err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("x = 1", "no TASK"),
        ("TASK = 3", "a TASK of type int"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_file_without_a_task_raises_a_one_line_error(source: str, message: str, tmp_path: Path) -> None:
    file = write(tmp_path, source)
    with pytest.raises(InvalidConfigError, match=f"majority.py.*{message}"):
        get_task(str(file))
    with pytest.raises(InvalidConfigError, match=re.escape(str(tmp_path / "gone.py"))):
        TaskRef.parse(f"{tmp_path / 'gone.py'}/n41")


def test_configs_of_a_file_are_listed_and_edits_are_loaded(tmp_path: Path) -> None:
    file = write(tmp_path)
    with pytest.raises(UnknownNameError, match="'n42'; known: n41"):
        TaskRef.parse(f"{file}/n42")
    write(tmp_path, MAJORITY.replace("n41", "n42"))
    assert str(TaskRef.parse(f"{file}/n42")) == f"{file}/n42"


PACKAGED = """
import seqhub
assert "majority" in seqhub.list_tasks()
import datasets
rows = datasets.load_dataset("majority", "n41", split="test")
assert rows.num_rows == 10_000 and len(rows[0]["text"]) == 41
from seqhub.testing import checks_of, run_checks
assert [result for result in run_checks(checks_of("majority")[:9]) if result.error] == []
"""


def test_installed_package_adds_a_task(tmp_path: Path) -> None:
    """Simulate a distribution with an entry point, with the files of `pip install`."""
    (tmp_path / "majority_package").mkdir()
    (tmp_path / "majority_package" / "__init__.py").write_text(MAJORITY)
    info = tmp_path / "majority_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: majority-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seqhub.tasks]\nmajority = majority_package\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", PACKAGED], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr

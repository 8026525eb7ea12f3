"""Run the common model tests of transformers on every preset: `python tests/models/common_suite/run.py`.

The tests are not part of the installed package, so the source release of the installed version is downloaded from PyPI
to a scratch folder. Network access is required.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
# The release has the mixins but not the folders of these modules, whose tests are therefore not run
STUBS = {
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/test_configuration_utils.py": "config_common_kwargs = {'return_dict': False}\n",
}
SUITES = {  # file -> path at which its relative imports are valid
    "suite.py": "tests/models/recurrent/test_modeling_recurrent.py",
    "suite_seq2seq.py": "tests/models/recurrent/test_modeling_seq2seq.py",
    "suite_values.py": "tests/models/recurrent/test_modeling_values.py",
}
TIME_LIMIT = 1800  # seconds


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True, timeout=TIME_LIMIT)


def fetch(scratch: Path) -> Path:
    """Unpack the tests, add our files, and return the folder in which to run them."""
    release = f"transformers=={version('transformers')}"
    if not list(scratch.glob("transformers-*.tar.gz")):
        pip("download", "--no-binary", ":all:", "--no-deps", "--dest", str(scratch), release)
        pip("install", "--no-deps", "--target", str(scratch / "site"), "parameterized")
    (archive,) = scratch.glob("transformers-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, [m for m in tar.getmembers() if "/tests/" in m.name], filter="data")
    tests = scratch / archive.name.removesuffix(".tar.gz") / "tests"
    for name, text in STUBS.items():
        (tests / name).parent.mkdir(exist_ok=True)
        (tests / name).write_text(text)
    for name, place in SUITES.items():
        ours = tests.parent / place
        ours.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / name, ours)
    for folder in (tests, *(path for path in tests.rglob("*") if path.is_dir())):
        (folder / "__init__.py").touch()
    return tests.parent


def run(folder: Path, scratch: Path) -> Path:
    """Run the tests and return the path of the report."""
    report = scratch / "report.xml"
    report.unlink(missing_ok=True)
    options = f"-q -p no:cacheprovider --tb=short --disable-warnings -c {os.devnull}".split()
    paths = [str(scratch / "site"), str(HERE.parents[2])]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", f"--junitxml={report}", *SUITES.values()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        timeout=TIME_LIMIT,
        check=False,  # failures are in the report
    )
    return report


def summarize(report: Path) -> tuple[str, bool]:
    """Return a summary with counts by outcome and skips by reason, and whether all tests passed."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    lines = []
    for case in ElementTree.parse(report).iter("testcase"):
        parts = {part.tag: part.get("message", "") for part in case}  # several where a test has subtests
        outcome = next((tag for tag in ("error", "failure", "skipped") if tag in parts), "passed")
        outcomes[outcome] += 1
        if outcome == "skipped":
            reasons[parts[outcome]] += 1
        elif outcome != "passed":
            lines.append(f"{outcome}: {case.get('classname')}.{case.get('name')}")
    lines += [f"skipped {count} times: {reason}" for reason, count in reasons.most_common()]
    lines.append(", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())))
    return "\n".join(lines) + "\n", outcomes.keys() <= {"passed", "skipped"} and outcomes["passed"] > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, help="folder to unpack to, kept for further runs; temporary by default")
    scratch = parser.parse_args().scratch
    with tempfile.TemporaryDirectory() as temporary:
        folder = (scratch or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        text, good = summarize(run(fetch(folder), folder))
    sys.stdout.write(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

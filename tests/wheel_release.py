"""Build the wheel for publication and test it outside of the checkout: `make wheel`.

On Linux the platform tag of the wheel is the oldest supported C library, which auditwheel verifies. The wheel is then
installed into a separate environment, and a copy of the tests of the native recurrence runs there against the installed
package. Requires a package index; takes minutes.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
WORK = ROOT / "build" / "wheel"
LINUX = f"manylinux_2_17_{platform.machine()}"
FOR_TESTS = ("hypothesis", "pytest", "pytest-timeout")


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    wheel = build()
    if sys.platform == "linux":
        audit(wheel)
    check(wheel)
    DIST.mkdir(exist_ok=True)
    shutil.copy(wheel, DIST)
    print(f"built and tested: dist/{wheel.name}")


def build() -> Path:
    """Build the wheel from a copy of the tracked files, so that no other file of the checkout is included."""
    source = WORK / "source"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if name.partition("/")[0] in ("seqhub", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    options = [f"-C--build-option=--plat-name={LINUX}"] if sys.platform == "linux" else []
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", *options, "--outdir", str(WORK), str(source))
    (wheel,) = WORK.glob("*.whl")
    return wheel


def audit(wheel: Path) -> None:
    """Exit unless the native library is compatible with the platform tag of the wheel."""
    report = run(sys.executable, "-m", "auditwheel", "show", str(wheel))
    if f'"{LINUX}"' not in report:
        raise SystemExit(f"{wheel.name} does not match its platform tag:\n{report}")


def check(wheel: Path) -> None:
    """Run tests in an environment with the wheel and its dependencies, outside of the checkout."""
    outside = WORK / "outside"
    venv.create(outside / "env", with_pip=True)
    python = str(outside / "env" / "bin" / "python")
    run(python, "-m", "pip", "install", "-qq", "-c", str(ROOT / "constraints.txt"), str(wheel), *FOR_TESTS)
    shutil.copytree(ROOT / "tests", outside / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    print(run(str(outside / "env" / "bin" / "seqhub"), "env", cwd=outside))
    tests = ["tests/native", "tests/test_absences.py"]
    print(run(python, "-m", "pytest", "-q", "-m", "not slow and not gpu", *tests, cwd=outside))


def run(*command: str, cwd: Path = WORK) -> str:
    """Run a command, and return its output; exit if it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    main()

"""Build the wheel that is published, and test it where nothing else of this checkout is: `make wheel`.

On Linux the wheel is named after the oldest C library that it runs with, and auditwheel has to agree. Then it is
installed into an environment of its own, and the tests of the native recurrence run there, from a copy, against what
the wheel brought. Needs a package index; takes minutes.
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
    """The wheel, from a copy of what is tracked: nothing that lies about in the checkout gets in."""
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
    """Exit unless the native library needs no newer C library, and no other library, than its name says."""
    said = run(sys.executable, "-m", "auditwheel", "show", str(wheel))
    if f'"{LINUX}"' not in said:
        raise SystemExit(f"{wheel.name} is not what its name says:\n{said}")


def check(wheel: Path) -> None:
    """Run tests in an environment that has the wheel and what it asks for, away from the checkout."""
    away = WORK / "away"
    venv.create(away / "env", with_pip=True)
    python = str(away / "env" / "bin" / "python")
    run(python, "-m", "pip", "install", "-qq", "-c", str(ROOT / "constraints.txt"), str(wheel), *FOR_TESTS)
    shutil.copytree(ROOT / "tests", away / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    print(run(str(away / "env" / "bin" / "seqhub"), "env", cwd=away))
    tests = ["tests/native", "tests/test_absences.py"]
    print(run(python, "-m", "pytest", "-q", "-m", "not slow and not gpu", *tests, cwd=away))


def run(*command: str, cwd: Path = WORK) -> str:
    """Output of a command, which has to succeed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    main()

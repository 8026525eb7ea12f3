"""Check a release in clean environments: `make release-check`.

The sdist is built from the tracked files, and the wheel from the sdist. On Linux the platform tag of the wheel is the
oldest supported C library, which auditwheel verifies. Each Python gets one environment with the dependencies of the
wheel, at the versions of constraints.txt. The wheel, the wheel with each extra, and the sdist are then installed over
it into an environment of their own, outside of the checkout, and used there. Requires a package index.
"""

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
WORK = ROOT / "build" / "release"
CONSTRAINTS = ROOT / "constraints.txt"
INSTALL = ("--no-compile", "-c", str(CONSTRAINTS))  # modules are compiled at first use, which saves minutes
LINUX = f"manylinux_2_17_{platform.machine()}"
PYTHONS = ("3.11", "3.12", "3.13")
SECONDS = 1800  # longest time of one command
IN_SDIST = ("seqhub", "pyproject.toml", "setup.py", "README.md", "LICENSE")
TESTS = ("tests/native", "tests/tasks", "tests/models", "tests/test_absences.py")  # of the installed package
FOR_TESTS = (
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/helpers",
    "dataset_scripts/cards",
    "benchmarks",
    "examples",
    "pyproject.toml",
)
UNOPTIMIZED = "-O0 -fno-asynchronous-unwind-tables -Dalways_inline=unused"  # a build in seconds instead of minutes

# What is done with an installation: commands, and Python code. The first three are the lines that every user types.
CORE = (
    "import seqhub\nfrom datasets import load_dataset\n"
    "assert len(load_dataset('qrsu', 'hard', split='test')) == 10_000",
    "import seqhub\nfrom transformers import AutoModel\n"
    "assert AutoModel.from_pretrained(seqhub.pretrained('qrsu-hard-lstm')).config.hidden_size == 8",
    "accelerate launch --num_processes 1 -m seqhub.training qrsu/easy --cpu --output-dir launched --max-sequences 640",
    "seqhub env",
    "from seqhub.native.loader import reason\nassert not reason(), reason()",
    "seqhub train qrsu/easy --output-dir run --quiet",
    "seqhub evaluate run --quiet",
    "seqhub card run",
    "seqhub verify run --quiet",
)
RUN = "seqhub train qrsu/easy --output-dir run --max-sequences 640 --evaluate-size 320 --quiet"
WITHOUT_EXTRA = {"seqhub serve": "server", "seqhub plot run": "plots"}  # command -> the extra that its error names
WITH = {"ray": "plots,ray", "dev": "all,dev"}  # a comparison draws figures; tests use every extra
EXTRAS = {
    "cluster": ("seqhub sweep qrsu/easy --engine submitit --seeds 2 --max-sequences 640 --output-dir sweep --quiet",),
    "onnx": (RUN, "seqhub export run --output easy.onnx --quiet"),
    "plots": (RUN, "seqhub evaluate run --num-examples 100 --sibling-examples 100 --quiet", "seqhub plot run --quiet"),
    "ray": (
        "seqhub bench --models lstm --tasks qrsu/easy --params 2k --budget 5k --seeds 1 --rows 64 --engine ray --quiet "
        "--out bench",
    ),
    "scan": (
        "import os, pickle\nfrom seqhub.server.scan_child import scan\n"
        "class Bad:\n    def __reduce__(self):\n        return os.system, ('true',)\n"
        "assert scan('bad.pkl', pickle.dumps(Bad())) == 'suspicious'",
    ),
    "server": (
        "from pathlib import Path\nfrom huggingface_hub import HfApi\nfrom seqhub.server.serve import running\n"
        "with running(Path('hub')) as hub:\n    assert list(HfApi(endpoint=hub.url).list_models()) == []",
    ),
    "torchrecurrent": (f"{RUN} --model torchrecurrent:MGU",),
    "track": (f"{RUN} --tracker tensorboard", "from pathlib import Path\nassert list(Path('run').rglob('*tfevents*'))"),
    "all": ("seqhub demo demo",),
    "docs": ("import material, mkdocstrings_handlers.python",),
    "dev": (f"python -m pytest -n 2 --dist loadfile -m 'not slow and not gpu' {' '.join(TESTS)}",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--python", action="append", metavar="X.Y or PATH", help="Python to check with; may be repeated"
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="wheel, sdist or an extra; may be repeated")
    chosen = parser.parse_args()
    known = ["wheel", *EXTRAS, "sdist"]
    declared = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    if declared != set(EXTRAS):
        raise SystemExit(f"extras without a check, or checks without an extra: {sorted(declared ^ set(EXTRAS))}")
    if wrong := set(chosen.only or ()) - set(known):
        raise SystemExit(f"--only {sorted(wrong)[0]}: must be one of {', '.join(known)}")
    found = {name: interpreter(name) for name in chosen.python or PYTHONS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        print(f"no interpreter found for Python {', '.join(missing)}; name one with --python PATH", flush=True)
    sdist, wheel = build()
    faults = [f"Python {name}: not checked, no interpreter" for name in missing]
    for path in filter(None, found.values()):
        faults += check_python(path, sdist, wheel, chosen.only or known)
    if faults:
        raise SystemExit("\n".join(["", *faults]))
    if chosen.only:
        return  # not a complete check
    DIST.mkdir(exist_ok=True)
    for file in (sdist, wheel):
        shutil.copy(file, DIST)
    print(f"checked: dist/{sdist.name}, dist/{wheel.name}")


def interpreter(name: str) -> Path | None:
    """Return the path of an interpreter, from its path or from its version on PATH or below pyenv; None if missing."""
    if Path(name).is_file():
        return Path(name)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python{name}"), *sorted(pyenv.glob(f"{name}.*/bin/python"), reverse=True)):
        if path is not None and version(Path(path)) == name:
            return Path(path)
    return None


def version(python: Path) -> str | None:
    """Return the version of an interpreter, as in 3.12; None if it does not start, as an unset shim of pyenv."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else None


def build() -> tuple[Path, Path]:
    """Build the sdist from a copy of the tracked files, so that no other file is included, and the wheel from it.

    Both are kept as long as no file changes.
    """
    source, built = WORK / "source", WORK / "built"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [name for name in filter(None, files.split("\0")) if name.partition("/")[0] in IN_SDIST]
    flags = os.environ.get("CXXFLAGS", "")
    contents = (part for name in names for part in (name.encode(), (ROOT / name).read_bytes()))
    state = sha256(b"\0".join([flags.encode(), *contents])).hexdigest()
    mark = built / "complete"
    if not mark.exists() or mark.read_text() != state:
        for folder in (source, built):
            shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            copy(name, source)
        _build(source, built)
        mark.write_text(state)
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    return sdist, wheel


def _build(source: Path, built: Path) -> None:
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(built), str(source))
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(built, filter="data")
    options = [f"-C--build-option=--plat-name={LINUX}"] if sys.platform == "linux" else []
    unpacked = built / sdist.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", *options, "--outdir", str(built), str(unpacked))
    (wheel,) = built.glob("*.whl")
    if "-py3-none-" not in wheel.name:
        raise SystemExit(f"{wheel.name}: must be for every Python 3")
    with zipfile.ZipFile(wheel) as archive:
        if "seqhub/native/recurrence.so" not in archive.namelist():
            raise SystemExit(f"{wheel.name} has no native library: see the output of the compiler above")
    if sys.platform == "linux" and f'"{LINUX}"' not in (
        report := run(sys.executable, "-m", "auditwheel", "show", str(wheel))
    ):
        raise SystemExit(f"{wheel.name} does not match its platform tag:\n{report}")


def check_python(python: Path, sdist: Path, wheel: Path, names: list[str]) -> list[str]:
    """Check the wheel, its extras and the sdist with one Python; return what failed."""
    folder = WORK / (version(python) or python.name)
    base = dependencies(python, folder / "dependencies", wheel)
    faults = []
    for name in names:
        started = time.perf_counter()
        try:
            check(python, folder / name, base, name, sdist if name == "sdist" else wheel)
            verdict = "passed"
        except RuntimeError as error:
            faults.append(f"Python {folder.name}, {name}: {error}")
            verdict = f"FAILED: {error}\nPython {folder.name}, {name}: failed"
        print(f"Python {folder.name}, {name}: {verdict} in {time.perf_counter() - started:.0f} s", flush=True)
    return faults


def dependencies(python: Path, folder: Path, wheel: Path) -> Path:
    """Return an environment with the dependencies of the wheel alone, made again only if they have changed."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        required = [line for line in archive.read(metadata).splitlines() if line.startswith(b"Requires-Dist")]
    state = sha256(b"\n".join([*required, CONSTRAINTS.read_bytes()])).hexdigest()
    mark = folder / "complete"
    if not mark.exists() or mark.read_text() != state:
        environment(python, folder)
        pip(folder, "install", *INSTALL, str(wheel))
        pip(folder, "uninstall", "--yes", "seqhub")
        mark.write_text(state)
    return folder


def check(python: Path, folder: Path, base: Path, name: str, package: Path) -> None:
    """Install a package over the environment of its dependencies, and use it.

    Raises:
        RuntimeError: A command failed.
    """
    environment(python, folder, base)
    extra = f"[{WITH.get(name, name)}]" if name in EXTRAS else ""
    variables = {"CXXFLAGS": UNOPTIMIZED} if name == "sdist" else {}
    pip(folder, "install", *INSTALL, f"{package}{extra}", **variables)
    pip(folder, "check")
    work = folder / "work"
    work.mkdir()
    if name == "dev":
        for part in (*TESTS, *FOR_TESTS):
            copy(part, work)
    for step in EXTRAS.get(name, CORE):
        use(folder, step)
    if name == "wheel":
        for step, wanted in WITHOUT_EXTRA.items():
            output = use(folder, step, fails=True)
            if f"pip install 'seqhub[{wanted}]'" not in output:
                raise RuntimeError(f"{step} does not name the extra {wanted}:\n{output}")


def copy(part: str, target: Path) -> None:
    """Copy a file or folder of the checkout."""
    (target / part).parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / part).is_dir():
        shutil.copytree(ROOT / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(ROOT / part, target / part)


def environment(python: Path, folder: Path, base: Path | None = None) -> None:
    """Make a new virtual environment, which also sees the packages of another one, if given."""
    shutil.rmtree(folder, ignore_errors=True)
    call([str(python), "-m", "venv", str(folder)])
    if base is not None:
        (packages,) = base.glob("lib/python*/site-packages")
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "dependencies.pth").write_text(f"{packages}\n")


def use(folder: Path, step: str, *, fails: bool = False) -> str:
    """Run a command or Python code with an environment, outside of the checkout; return its output."""
    program, _, rest = step.partition(" ")
    places = {
        "seqhub": [str(folder / "bin" / "seqhub")],
        "accelerate": [str(folder / "bin" / "python"), "-m", "accelerate.commands.accelerate_cli"],
        "python": [str(folder / "bin" / "python")],
    }
    command = [*places[program], *shlex.split(rest)] if program in places else [*places["python"], "-c", step]
    variables = {"HF_HOME": str(folder / "cache"), "SEQHUB_CACHE": str(folder / "cache"), "MPLBACKEND": "Agg"}
    return call(command, cwd=folder / "work", fails=fails, **variables, OMP_NUM_THREADS="1")


def pip(folder: Path, *arguments: str, **variables: str) -> str:
    return call([str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments], **variables)


def call(command: list[str], *, cwd: Path = WORK, fails: bool = False, **variables: str) -> str:
    """Run a command; return its output.

    Raises:
        RuntimeError: It failed, or did not although it should.
    """
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if (done.returncode != 0) != fails:
        raise RuntimeError(
            f"{shlex.join(command)}: exit code {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
    return done.stdout + done.stderr


def run(*command: str) -> str:
    """Run a command of the build; return its output, or exit if it fails."""
    try:
        return call(list(command), cwd=ROOT)
    except RuntimeError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()

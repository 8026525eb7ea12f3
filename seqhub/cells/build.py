"""Compilation of kernels with the local C++ compiler, and a cache of the libraries.

A library is named by a hash of everything that decides it: source, headers, flags and compiler. It is written to a
temporary file and renamed, so that several processes may compile the same cell. It ends in the hash of its content,
which is checked before it is loaded.
"""

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

from seqhub.cells.errors import NotCompilableError
from seqhub.errors import SaveError
from seqhub.io import write_atomically
from seqhub.native import loader

HEADERS = Path(loader.__file__).parent / "src"
MAX_BYTES = 256 << 20  # of all libraries in the cache; the ones that were used longest ago are removed
_SUFFIX = ".so"
_DIGEST_BYTES = 32
_SECONDS = 120
_TEMPORARY = re.compile(r"\..+\.so\.[0-9a-f]+")
_LEFTOVER_SECONDS = 3600
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"),
    # these keep NaN and infinity; contraction fuses a multiplication and an addition into one instruction
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)
_INSTRUCTION_SETS = {  # as in setup.py
    "baseline": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"),
}


def cache_folder() -> Path:
    """Return the folder of compiled kernels: `cells` in SEQHUB_CACHE, by default in the user's cache folder."""
    root = os.environ.get("SEQHUB_CACHE")
    if root:
        return Path(root) / "cells"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "seqhub" / "cells"


def clear_cache() -> tuple[int, int]:
    """Remove all compiled kernels; return their number and their size in bytes."""
    files = _libraries()
    _remove_leftovers()
    size = sum(each.stat().st_size for each in files)
    for each in files:
        each.unlink(missing_ok=True)
    return len(files), size


def _libraries() -> list[Path]:
    folder = cache_folder()
    return [each for each in folder.iterdir() if each.suffix == _SUFFIX] if folder.is_dir() else []


def _remove_leftovers() -> None:
    """Remove temporary files of processes that were ended while they wrote a library."""
    folder = cache_folder()
    for each in folder.iterdir() if folder.is_dir() else ():
        try:
            if _TEMPORARY.fullmatch(each.name) and time.time() - each.stat().st_mtime > _LEFTOVER_SECONDS:
                each.unlink()
        except OSError:  # removed by another process, or not ours to remove
            continue


def instruction_set() -> str:
    """Return the best instruction set that this machine supports, as far as the library of seqhub can tell."""
    try:
        return loader.instruction_sets()[0]
    except loader.LibraryMissingError:
        return "baseline"


def load_library(source: str, instructions: str | None = None) -> ctypes.CDLL:
    """Return the library of a source, from the cache or compiled now.

    Args:
        source: C++ source.
        instructions: Instruction set; by default the best.

    Raises:
        NotCompilableError: There is no compiler, it fails, or the cache cannot be written.
    """
    compiler = _compiler()
    extra = os.environ.get("CXXFLAGS", "").split()
    flags = (*_FLAGS, *_INSTRUCTION_SETS[instructions or instruction_set()], *extra)
    code = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith("//"))
    text = "\0".join((code, _headers_digest(), " ".join(flags), platform.machine(), *compiler, _version(compiler)))
    path = cache_folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}{_SUFFIX}"
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() == content[-_DIGEST_BYTES:]:
            os.utime(path)
            return ctypes.CDLL(str(path))
    except OSError:
        pass  # missing, unreadable or not loadable here: compiled again
    try:
        content = _compile(source, compiler, flags)
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_space(len(content), path)
        write_atomically(path, content + hashlib.sha256(content).digest())
    except (OSError, SaveError) as error:
        raise NotCompilableError(f"the folder of compiled cells cannot be used: {_one_line(error)}") from error
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise NotCompilableError(f"the compiled library cannot be loaded: {_one_line(error)}") from error


def _compile(source: str, compiler: tuple[str, ...], flags: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder, "cell.cpp"), Path(folder, "cell.so")
        code.write_text(source, encoding="utf-8")
        command = [*compiler, *flags, f"-I{HEADERS}", str(code), "-o", str(library), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
            return library.read_bytes()
        except subprocess.TimeoutExpired as error:
            reason = f"it took more than {_SECONDS} seconds"
            raise NotCompilableError(f"the compiler {compiler[0]} failed: {reason}") from error
        except FileNotFoundError as error:
            raise NotCompilableError(f"the compiler {compiler[0]} failed: it made no library") from error
        except (OSError, subprocess.SubprocessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip()
            errors = [line for line in reason.splitlines() if "error" in line] or reason.splitlines()
            raise NotCompilableError(f"the compiler {compiler[0]} failed: {errors[0] if errors else error}") from error


def _compiler() -> tuple[str, ...]:
    """Return the command of the C++ compiler.

    Raises:
        NotCompilableError: There is none.
    """
    command = tuple((os.environ.get("CXX") or "").split()) or tuple(filter(shutil.which, _COMPILERS))[:1]
    if not command or shutil.which(command[0]) is None:
        raise NotCompilableError(f"no C++ compiler ({command[0] if command else ', '.join(_COMPILERS)}) was found")
    return (str(shutil.which(command[0])), *command[1:])


@cache
def _version(compiler: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([*compiler, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotCompilableError(f"the compiler {compiler[0]} failed: {_one_line(error)}") from error
    return done.stdout


@cache
def _headers_digest() -> str:
    digest = hashlib.sha256()
    for name in ("activations.h", "cell.h", "cell_gradients.h", "cell_units.h", "vector.h"):
        digest.update((HEADERS / name).read_bytes())
    return digest.hexdigest()


def _make_space(size: int, new: Path) -> None:
    """Remove the libraries that were used longest ago, so that the cache with another file stays below its limit."""
    _remove_leftovers()
    files = []
    for each in _libraries():
        try:
            files.append((each.stat().st_mtime, each.stat().st_size, each))
        except FileNotFoundError:  # removed by another process
            continue
    total = size + sum(each[1] for each in files)
    for _, own, each in sorted(files):
        if total <= MAX_BYTES:
            break
        if each != new:
            each.unlink(missing_ok=True)
            total -= own


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())

"""Build of the native recurrence, if there is a C++ compiler; pyproject.toml has all other settings of the package.

The source is compiled once for each instruction set into one library that does not depend on Python or torch, so a
wheel fits every Python of its platform. Without a compiler, or if it fails, the package works without the library.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

_PROCESSOR_SECONDS = 18  # for one instruction set, on a processor of 2023
SOURCE = Path("seqhub/native/src")
FLAGS = [
    *("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"),
    # these keep NaN and infinity; contraction fuses a multiplication and an addition into one instruction
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
]
# passes of GCC that take time, and neither change the results of the recurrence nor speed up code that is unrolled and
# vectorized by hand
LEFT_OUT = [
    *("-fno-gcse", "-fno-rerun-cse-after-loop", "-fno-tree-pre", "-fno-tree-vrp", "-fno-tree-vectorize"),
    *("-fno-tree-slp-vectorize", "-fno-ipa-cp", "-fno-ipa-modref"),
]
LINKING = ["-Wl,--as-needed", "-Wl,-s"] if sys.platform == "linux" else []  # the C++ library is not used
INSTRUCTION_SETS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    INSTRUCTION_SETS |= {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
    }


class BuildLibrary(build_ext):
    """Build of a plain shared library; a failure is one line."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
        try:
            if compiler is None:
                raise FileNotFoundError("no C++ compiler")
            self._build(compiler.split(), Path(self.get_ext_fullpath(ext.name)))
        except (OSError, subprocess.CalledProcessError) as error:
            reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            sys.stderr.write(f"seqhub: native recurrence not built, torch's is used ({reason[0]})\n")

    def _build(self, compiler: list[str], target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        extra = os.environ.get("CXXFLAGS", "").split()
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = {
                Path(folder, f"{source}-{name}.o"): [f"-DISA={name}", *flags, "-c", str(SOURCE / f"{source}.cpp")]
                for name, flags in INSTRUCTION_SETS.items()
                for source in ("recurrence", "memory_blocks", "scans", "compiled_cells")
            }
            jobs |= {
                Path(folder, f"{name}.o"): ["-c", str(SOURCE / f"{name}.cpp")] for name in ("dispatch", "mask_spans")
            }

            kept = _accepted(compiler, LEFT_OUT, Path(folder, "none.o"))
            for path, arguments in jobs.items():
                if path.name.startswith("recurrence"):
                    arguments[:0] = kept

            sys.stderr.write(
                f"seqhub: compiling native code for {', '.join(INSTRUCTION_SETS)} with {compiler[0]}, about "
                f"{_PROCESSOR_SECONDS * len(INSTRUCTION_SETS)} s of processor time on {os.cpu_count()} cores\n"
            )
            started = time.perf_counter()

            def run(*arguments: str) -> None:
                subprocess.run([*compiler, *FLAGS, *extra, *arguments], check=True, capture_output=True, text=True)

            list(pool.map(lambda job: run(*job[1], "-o", str(job[0])), jobs.items()))
            library = Path(folder, target.name)
            run("-shared", *LINKING, *map(str, jobs), "-o", str(library))
            # renamed into place, so that a process with the old library open is not affected
            beside = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copy(library, beside)
            beside.replace(target)
            sys.stderr.write(f"seqhub: compiled native code in {time.perf_counter() - started:.0f} s\n")


def _accepted(compiler: list[str], flags: list[str], target: Path) -> list[str]:
    """Return flags that the compiler has: all, or none."""
    source = str(SOURCE / "dispatch.cpp")
    found = subprocess.run(
        [*compiler, "-Werror", *flags, "-c", source, "-o", str(target)], check=False, capture_output=True
    )
    return [] if found.returncode else flags


class PlatformWheel(bdist_wheel):
    """A wheel for one platform and every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        *_, platform_tag = super().get_tag()
        return "py3", "none", platform_tag


setup(
    ext_modules=[
        Extension("seqhub.native.recurrence", sources=[str(path) for path in sorted(SOURCE.iterdir())], optional=True)
    ],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": PlatformWheel},
)

"""Builds the native recurrence where a C++ compiler is there; everything else about the package is in pyproject.toml.

The same source is compiled once per instruction set, into one library that knows neither Python nor torch, so a wheel
fits every Python of its platform. Without a compiler, or where it fails, the package is complete without the library.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCE = Path("seqhub/native/src")
FLAGS = [
    *("-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti"),
    # no NaN or infinity is lost by these; contraction is what makes a multiplication and an addition one instruction
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
]
LINKING = ["-Wl,--as-needed", "-Wl,-s"] if sys.platform == "linux" else []  # nothing of the C++ library is used
INSTRUCTION_SETS = {"baseline": []}
if platform.machine().lower() in ("x86_64", "amd64"):
    INSTRUCTION_SETS |= {
        "avx2": ["-mavx2", "-mfma"],
        "avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma", "-mprefer-vector-width=512"],
    }


class BuildLibrary(build_ext):
    """Builds a plain shared library, and says in one line where it does not."""

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
                for source in ("recurrence", "memory_blocks")
            }
            jobs |= {
                Path(folder, f"{name}.o"): ["-c", str(SOURCE / f"{name}.cpp")] for name in ("dispatch", "mask_spans")
            }

            def run(*arguments: str) -> None:
                subprocess.run([*compiler, *FLAGS, *extra, *arguments], check=True, capture_output=True, text=True)

            list(pool.map(lambda job: run(*job[1], "-o", str(job[0])), jobs.items()))
            library = Path(folder, target.name)
            run("-shared", *LINKING, *map(str, jobs), "-o", str(library))
            # beside and renamed: a process that has the old library open keeps it whole
            beside = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copy(library, beside)
            beside.replace(target)


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

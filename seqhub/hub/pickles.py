"""Detection of pickles by name and content. Loading a pickle can run arbitrary code.

A pickle may be harmless, but seqhub does not publish any. The detection prevents accidents only: many other file
formats can contain pickles too.
"""

import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import IO

from seqhub.pickle_suffixes import PICKLE_SUFFIXES

_IMPORTS = {"GLOBAL", "INST"}  # opcodes of the text protocols that import a class or function
_NAME = re.compile(r"[\w.]+ [\w.]+")  # module and name
_MAX_BYTES = 1 << 24  # read from a file, since it may declare strings of any length
_MAX_OPCODES = 10_000
_NUMPY_OBJECTS = re.compile(rb"'descr':.*'\|?O\d*'", re.DOTALL)


def find_pickles(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are or contain a pickle, by suffix, protocol, zip archive or NumPy array.

    An archive that cannot be read (encrypted, damaged) is included.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # raised for text that resembles pickled strings with invalid escapes
        return [path for path in paths if path.suffix.lower() in PICKLE_SUFFIXES or _contains_pickle(path)]


def _contains_pickle(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    with archive.open(member) as stream:
                        if member.filename.lower().endswith(PICKLE_SUFFIXES) or _is_pickle(stream):
                            return True
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
            return True
    with path.open("rb") as stream:
        return _is_pickle(stream)


def _is_pickle(stream: IO[bytes]) -> bool:
    start = stream.read(_MAX_BYTES)
    if start.startswith(b"\x93NUMPY"):
        return _NUMPY_OBJECTS.search(start[:4096]) is not None
    operations, ended, names = 0, False, []
    try:
        for opcode, argument, _ in islice(pickletools.genops(start), _MAX_OPCODES):
            operations += 1
            ended = opcode.name == "STOP"
            if opcode.name in _IMPORTS:
                names.append(str(argument))
    except ValueError:  # not an opcode, or the file ends within one
        pass
    if start[:1] == b"\x80":  # first byte of the binary protocols; other formats differ within two opcodes
        return operations > 2
    return ended and bool(names) and all(_NAME.fullmatch(name) for name in names)

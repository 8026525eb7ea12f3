"""Detection of pickles by name and content. Loading a pickle runs code that its author chose.

A pickle may be harmless, but seqhub does not publish any. The detection guards against accidents only: many other file
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

_IMPORTS = {"GLOBAL", "INST"}  # opcodes of the text protocols that name a class or function
_NAME = re.compile(r"[\w.]+ [\w.]+")  # module and name
_LOOKED_AT = 1 << 24  # bytes read at most, since a file may claim strings of any length
_MOST_OPCODES = 10_000
_NUMPY_OBJECTS = re.compile(rb"'descr':.*'\|?O\d*'", re.DOTALL)


def find_pickles(paths: Iterable[Path]) -> list[Path]:
    """Return files that are or contain a pickle, by suffix, protocol, zip archive or NumPy array.

    An archive that cannot be read (encrypted, damaged) counts as containing one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # text that looks like a pickle's strings with invalid escapes
        return [path for path in paths if path.suffix.lower() in PICKLE_SUFFIXES or _holds_pickle(path)]


def _holds_pickle(path: Path) -> bool:
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
    start = stream.read(_LOOKED_AT)
    if start.startswith(b"\x93NUMPY"):
        return _NUMPY_OBJECTS.search(start[:4096]) is not None
    operations, ended, names = 0, False, []
    try:
        for opcode, argument, _ in islice(pickletools.genops(start), _MOST_OPCODES):
            operations += 1
            ended = opcode.name == "STOP"
            if opcode.name in _IMPORTS:
                names.append(str(argument))
    except ValueError:  # not an opcode, or the file ends within one
        pass
    if start[:1] == b"\x80":  # first byte of the binary protocols; other formats may start with it too, but then differ
        return operations > 2
    return ended and bool(names) and all(_NAME.fullmatch(name) for name in names)

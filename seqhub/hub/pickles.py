"""Finds pickles, by name and by content: loading one runs whatever code its author put in.

What is found may be harmless; seqhub publishes none either way. What is not found may still be one: this is a guard
against accidents, for a file of a few thousand formats there are that may hold one.
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

_IMPORTS = {"GLOBAL", "INST"}  # how the text protocols name a class or function
_NAME = re.compile(r"[\w.]+ [\w.]+")  # its module and its own name
_LOOKED_AT = 1 << 24  # bytes; a file may claim strings of any length, so it is not read as it asks
_MOST_OPCODES = 10_000
_NUMPY_OBJECTS = re.compile(rb"'descr':.*'\|?O\d*'", re.DOTALL)


def find_pickles(paths: Iterable[Path]) -> list[Path]:
    """Those of the files that are pickles or hold one: by suffix, by protocol, in a zip archive, in a NumPy array.

    An archive that cannot be looked into (encrypted, damaged) counts as holding one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # text that happens to look like a pickle's strings, with strange escapes
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
    except ValueError:  # no opcode, or the file ends within one
        pass
    if start[:1] == b"\x80":  # the binary protocols open with this byte; other formats may too, but do not go on so
        return operations > 2
    return ended and bool(names) and all(_NAME.fullmatch(name) for name in names)

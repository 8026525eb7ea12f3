"""Detection of pickles by name and content. Loading a pickle runs code that its author chose.

`seqhub push` refuses them, and so does a Hub with the safetensors-only policy. A pickle may be harmless, but neither
accepts any. The detection guards against accidents only: many other file formats can contain pickles too.
"""

import io
import pickletools
import re
import warnings
import zipfile
import zlib
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, cast

PICKLE_SUFFIXES = (".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth")  # loaders unpickle these

MAX_BYTES = 1 << 24  # read from one file, since a pickle may claim strings of any length
MAX_OPCODES = 10_000
MAX_MEMBER_BYTES = 1 << 20  # read from one member of an archive
MAX_ARCHIVE_BYTES = 1 << 26  # read from all members
MAX_DIRECTORY = 1 << 20  # bytes of an archive's central directory
_IMPORTS = {"GLOBAL", "INST"}  # opcodes of the text protocols that name a class or function
_NAME = re.compile(r"[\w.]+ [\w.]+")  # module and name
_NUMPY_OBJECTS = re.compile(rb"'descr':.*'\|?O\d*'", re.DOTALL)
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22  # without the comment


class _Start:
    """The first bytes of a stream, read when they are needed."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int) -> bytes:
        return self._count(self._stream.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._count(self._stream.readline(self._left))

    def _count(self, data: bytes) -> bytes:
        self._left -= len(data)
        return data


def has_pickle_suffix(name: str) -> bool:
    """Return whether loaders unpickle files of this name.

    >>> has_pickle_suffix("weights/MODEL.PT"), has_pickle_suffix("model.safetensors")
    (True, False)
    """
    return PurePosixPath(name).suffix.lower() in PICKLE_SUFFIXES


def contains_pickle(content: bytes | Path) -> bool:
    """Return whether a file is a pickle or contains one: by its opcodes, in zip archives and in NumPy arrays.

    An archive that cannot be read (encrypted, damaged, or with a huge central directory) counts as containing one. Of
    very long files only the start is read.

    >>> import pickle
    >>> contains_pickle(pickle.dumps({"weights": [1.0]})), contains_pickle(b"weights: 1.0")
    (True, False)
    """
    with (
        io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # text that looks like a pickle's strings with invalid escapes
        if zipfile.is_zipfile(stream) and _archive_contains_pickle(stream):
            return True
        stream.seek(0)
        return _is_pickle(stream)


def _archive_contains_pickle(stream: IO[bytes]) -> bool:
    if _directory_bytes(stream) > MAX_DIRECTORY:
        return True
    left = MAX_ARCHIVE_BYTES
    try:
        with zipfile.ZipFile(stream) as archive:
            if any(has_pickle_suffix(name) for name in archive.namelist()):
                return True
            for member in archive.infolist():
                with archive.open(member) as content:
                    start = content.read(min(MAX_MEMBER_BYTES, left))
                left -= len(start)
                if _is_pickle(io.BytesIO(start)):
                    return True
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        return True
    return False


def _directory_bytes(stream: IO[bytes]) -> int:
    """Return the size of the central directory that an archive claims."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - _END_RECORD_BYTES - (1 << 16)))
    tail = stream.read()
    place = tail.rfind(_END_RECORD)
    return int.from_bytes(tail[place + 12 : place + 16], "little") if place >= 0 else 0


def _is_pickle(stream: IO[bytes]) -> bool:
    head = stream.read(4096)
    if head.startswith(b"\x93NUMPY"):
        return _NUMPY_OBJECTS.search(head) is not None
    stream.seek(0)
    start = cast("IO[bytes]", _Start(stream, MAX_BYTES))
    operations, ended, names = 0, False, []
    try:
        for opcode, argument, _ in islice(pickletools.genops(start), MAX_OPCODES):
            operations += 1
            ended = opcode.name == "STOP"
            if opcode.name in _IMPORTS:
                names.append(str(argument))
    except ValueError:  # not an opcode, or the file ends within one
        pass
    if head[:1] == b"\x80":  # first byte of the binary protocols; other formats may start with it too, but then differ
        return operations > 2
    return ended and bool(names) and all(_NAME.fullmatch(name) for name in names)

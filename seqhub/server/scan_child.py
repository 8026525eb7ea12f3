"""Scan files for pickles in a separate process: one path per line on standard input, one status per line on the output.

Started by `seqhub.server.pickle_scan`. Resource limits bound its memory and processor time, and it ends when the
server closes the pipe.
"""

import argparse
import ctypes
import io
import signal
import sys
import zipfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import IO, Literal

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Status = Literal["suspicious", "not scanned"]

MAX_BYTES = 64 * 2**20  # size of a pickle; a larger one is not scanned
MAX_MEMBERS = 10_000
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def scan(path: str, content: bytes | Path) -> Status:
    """Scan for imports that weights do not need.

    Args:
        path: Name in the repository; its suffix determines the file format.
        content: Bytes, or the path of a file.
    """
    try:
        from picklescan.scanner import scan_bytes
    except ImportError:
        return "not scanned"
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        if not _can_be_read(stream):
            return "not scanned"
        try:
            result = scan_bytes(stream, "file", PurePosixPath(path).suffix.lower(), strict=True)
        except MemoryError:
            raise
        except Exception:  # a stream that crashes the scanner may still run in a loader, which reads it in order
            return "suspicious"
    return "suspicious" if result.issues_count or result.suspicious_count or result.scan_err else "not scanned"


def _can_be_read(stream: IO[bytes]) -> bool:
    """Return whether a file is small enough to scan, including the unpacked size of an archive."""
    head = stream.read(6)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return False
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return size <= MAX_BYTES
    stream.seek(0)
    try:
        members = zipfile.ZipFile(stream).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return size <= MAX_BYTES
    finally:
        stream.seek(0)
    unpacked = sum(member.file_size for member in members if member.compress_type or not _is_tensor(member.filename))
    return len(members) <= MAX_MEMBERS and unpacked <= MAX_BYTES


def _is_tensor(name: str) -> bool:
    """Return whether a member of a PyTorch archive is a tensor, which has a number as its name."""
    return name.rpartition("/")[2].isdigit()


def limit_this_process(memory_bytes: int) -> None:
    with suppress(OSError, AttributeError, TypeError):  # on other systems the process ends with its standard input
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Scan the files on standard input for pickles.")
    parser.add_argument("memory", type=int, help="largest memory of this process, in bytes")
    limit_this_process(parser.parse_args().memory)
    import picklescan.scanner  # noqa: F401  loaded before the first file

    for line in sys.stdin.buffer:
        ending, _, file = line.rstrip(b"\n").decode("utf-8", "surrogateescape").partition(" ")
        status = scan(f"file{ending}", Path(file))  # a MemoryError ends the process, which the parent detects
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

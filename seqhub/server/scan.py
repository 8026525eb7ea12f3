"""What pickles may do to whoever loads them: a warning where one shows, and a policy that refuses them all.

A scan that finds nothing proves nothing, since lists of dangerous names are got round again and again; so a file is
"suspicious" or "not scanned", never safe.
"""

import io
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import IO, Literal, Protocol

from seqhub.pickle_suffixes import PICKLE_SUFFIXES
from seqhub.server.model import AddLarge, AddSmall, CopyFile, Operation
from seqhub.server.refusal import Refusal

Status = Literal["suspicious", "not scanned"]
Opened = Callable[[], bytes | Path | None]

PICKLES = frozenset(PICKLE_SUFFIXES)
SCANNED = PICKLES | {".npy", ".npz", ".zip"}
MAGIC = tuple(bytes([0x80, version]) for version in range(6))  # PROTO and its number
MOST_BYTES = 64 * 2**20  # of one pickle; a longer one is not scanned
MOST_MEMBERS = 10_000
MOST_WAITING = 1000
MOST_KNOWN = 50_000


def may_hold_pickle(path: str) -> bool:
    """Whether a file is worth a scan, by its name."""
    return PurePosixPath(path).suffix.lower() in SCANNED


def scan(path: str, content: bytes | Path) -> Status:
    """Look for imports that a weights file has no need of.

    Args:
        path: Name in the repository; its ending tells how loaders read it.
        content: The bytes, or where they lie.
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
        except Exception:  # a stream made to break the scanner may still run in a loader, which reads it in order
            return "suspicious"
    return "suspicious" if result.issues_count or result.suspicious_count or result.scan_err else "not scanned"


def _can_be_read(stream: IO[bytes]) -> bool:
    """Whether the scanner would stay within bounds: no archive that unpacks to more than a pickle should hold."""
    head = stream.read(6)
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if head.startswith(b"7z\xbc\xaf\x27\x1c"):
        return False
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return size <= MOST_BYTES
    stream.seek(0)
    try:
        members = zipfile.ZipFile(stream).infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return size <= MOST_BYTES
    finally:
        stream.seek(0)
    unpacked = sum(member.file_size for member in members if member.compress_type or not _is_tensor(member.filename))
    return len(members) <= MOST_MEMBERS and unpacked <= MOST_BYTES


def _is_tensor(name: str) -> bool:
    """Torch's archives number the tensors, which are no pickles and not compressed."""
    return name.rpartition("/")[2].isdigit()


def refuse_pickles(operations: Iterable[Operation], opened: Callable[[str], Path | None] = lambda sha256: None) -> None:
    """The safetensors-only policy.

    Args:
        operations: What a commit would do.
        opened: Where the large file of a sha256 lies; without it large files are judged by name alone.

    Raises:
        Refusal: If one of them puts a file that holds a pickle, by its name or by its first bytes.
    """
    for operation in operations:
        if not isinstance(operation, AddSmall | AddLarge | CopyFile):
            continue
        content: bytes | Path | None = None
        if isinstance(operation, AddSmall):
            content = operation.content
        elif isinstance(operation, AddLarge):
            content = opened(operation.sha256)
        if PurePosixPath(operation.path).suffix.lower() in PICKLES or (content is not None and _is_pickle(content)):
            what = f"{operation.path!r} may hold a pickle, which runs code when it is loaded"
            raise Refusal(422, f"{what}; this server takes safetensors only")


def _is_pickle(content: bytes | Path) -> bool:
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        head = stream.read(4)
        if head.startswith(MAGIC):
            return True
        if not head.startswith(b"PK"):
            return False
        try:
            names = zipfile.ZipFile(stream).namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return False
        return any(PurePosixPath(name).suffix.lower() in PICKLES for name in names)


class Memory(Protocol):
    """What keeps results for good."""

    def scan_result(self, content: str, ending: str, scanner: str) -> str | None: ...
    def keep_scan_result(self, content: str, ending: str, scanner: str, status: str) -> None: ...


class Scanner:
    """Scans in one thread of its own and remembers by content; what is not known yet is "not scanned".

    Args:
        memory: Has the results of earlier times. What another version of the scanner said is asked anew.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._scanner = _installed()
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], Status] = OrderedDict()
        self._waiting: dict[tuple[str, str], Future[None]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seqhub-scan")

    def status(self, oid: str, path: str, opened: Opened) -> Status:
        """What is known of a file, which is scanned soon if nothing is.

        Args:
            oid: Names the content.
            path: Name in the repository.
            opened: Gives the content, in the scanner's thread; None if it is gone.
        """
        key = (oid, PurePosixPath(path).suffix.lower())
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        if not may_hold_pickle(path):
            return "not scanned"
        kept = None if self._scanner is None else self._memory.scan_result(*key, self._scanner)
        with self._lock:
            if kept is not None:
                self._remember(key, "suspicious" if kept == "suspicious" else "not scanned")
                return self._known[key]
            if key not in self._waiting and len(self._waiting) < MOST_WAITING:
                self._waiting[key] = self._worker.submit(self._scan, key, path, opened)
        return "not scanned"

    def settle(self) -> None:
        """Wait for every scan that has been asked for."""
        with self._lock:
            waiting = list(self._waiting.values())
        wait(waiting)

    def close(self) -> None:
        self._worker.shutdown(cancel_futures=True)

    def _scan(self, key: tuple[str, str], path: str, opened: Opened) -> None:
        status: Status = "not scanned"
        with suppress(OSError, Refusal):  # deleted meanwhile, or a disk that is full
            content = opened()
            if content is not None:
                status = scan(path, content)
                if self._scanner is not None:
                    self._memory.keep_scan_result(*key, self._scanner, status)
        with self._lock:
            self._remember(key, status)
            self._waiting.pop(key, None)

    def _remember(self, key: tuple[str, str], status: Status) -> None:
        self._known[key] = status
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _installed() -> str | None:
    """Name and version of the scanner; None without one."""
    try:
        return f"picklescan {version('picklescan')}"
    except PackageNotFoundError:
        return None

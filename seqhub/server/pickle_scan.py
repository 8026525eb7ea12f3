"""Pickles in repositories: a scanner that reports them, and a policy that rejects them.

A scan without findings does not prove safety, since lists of dangerous names are regularly bypassed. So the status of a
file is "suspicious" or "not scanned", never "safe".
"""

import subprocess
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from threading import Event, Lock, Timer
from typing import Literal, Protocol

from seqhub.pickles import PICKLE_SUFFIXES, contains_pickle, has_pickle_suffix
from seqhub.server import scan_child
from seqhub.server.errors import HubHTTPError
from seqhub.server.types import AddLarge, AddSmall, AddStaged, CopyFile, Operation

Status = Literal["suspicious", "not scanned", "failed"]
Opened = Callable[[], bytes | Path | None]
Unscanned = tuple[str, str, Opened]  # id of the content, suffix, and a function that opens it

SCANNED = {*PICKLE_SUFFIXES, ".npy", ".npz", ".zip"}
MAX_SECONDS = 60.0  # for one file
MEMORY_BYTES = 320 * 2**20
MAX_WAITING = 1000
_PAGE = 500  # contents without a result that are looked up at a time
_CATCHING_UP = ("", "")
MAX_CACHED = 50_000


def may_contain_pickle(path: str) -> bool:
    """Return whether a file with this name is scanned."""
    return PurePosixPath(path).suffix.lower() in SCANNED


def reject_pickles(operations: Iterable[Operation], opened: Callable[[str], Path | None] = lambda sha256: None) -> None:
    """Reject operations that add pickles (the safetensors-only policy).

    Args:
        operations: Operations of a commit.
        opened: Function from a SHA-256 to the path of the large file. By default large files are checked by name only.

    Raises:
        HubHTTPError: If one of them adds a file that is or contains a pickle, by its name or its content.
    """
    for operation in operations:
        if not isinstance(operation, AddSmall | AddStaged | AddLarge | CopyFile):
            continue
        content: bytes | Path | None = None
        if isinstance(operation, AddSmall):
            content = operation.content
        elif isinstance(operation, AddStaged):
            content = operation.opened()
        elif isinstance(operation, AddLarge):
            content = opened(operation.sha256)
        if has_pickle_suffix(operation.path) or (content is not None and contains_pickle(content)):
            what = f"{operation.path!r} may hold a pickle, which runs code when it is loaded"
            raise HubHTTPError(422, f"{what}; this server takes safetensors only")


class Results(Protocol):
    """Storage of scan results, such as `Store.scans`."""

    root: Path

    def find(self, content: str, ending: str, scanner: str) -> str | None: ...
    def missing(self, endings: Iterable[str], scanner: str, limit: int) -> list[Unscanned]: ...
    def keep(self, content: str, ending: str, scanner: str, status: str) -> None: ...


class Scanner:
    """Scanner of committed files: one at a time, in a child process, with results stored by content.

    Args:
        results: Storage of results. Results of another version of the scanner are ignored.
        seconds: Timeout for one file, after which its result is "failed".
        memory_bytes: Address space of the child process.
    """

    def __init__(self, results: Results, seconds: float = MAX_SECONDS, memory_bytes: int = MEMORY_BYTES) -> None:
        self._results = results
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._scanner = _installed()
        self._lock = Lock()
        self._known: OrderedDict[tuple[str, str], Status] = OrderedDict()
        self._waiting: dict[tuple[str, str], Future[None]] = {}
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="seqhub-scan")
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self.catch_up()

    def status(self, oid: str, path: str, results: Results | None = None) -> Status:
        """Return the result for a file, without starting a scan.

        Args:
            oid: Id of the content.
            path: Name in the repository.
            results: Storage to read, such as the session of a request; None for the storage of the scanner.
        """
        key = (oid, PurePosixPath(path).suffix.lower())
        if not may_contain_pickle(path) or self._scanner is None:
            return "not scanned"
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        kept = (results or self._results).find(*key, self._scanner)
        if kept is None:
            return "not scanned"
        status: Status = kept if kept in ("suspicious", "failed") else "not scanned"  # type: ignore[assignment]
        self._cache_result(key, status)
        return status

    def add(self, oid: str, path: str, opened: Opened) -> None:
        """Schedule the scan of a content, unless it has a result or is already scheduled.

        Args:
            oid: Id of the content.
            path: Name in the repository.
            opened: Function that returns the content, or None if it was deleted; called in the scanner thread.
        """
        key = (oid, PurePosixPath(path).suffix.lower())
        if not may_contain_pickle(path) or self._scanner is None:
            return
        with self._lock:
            if key in self._waiting or self._closed:
                return
            if len(self._waiting) < MAX_WAITING:
                self._waiting[key] = self._worker.submit(self._scan, key, opened)
                return
        self.catch_up()

    def catch_up(self) -> None:
        """Schedule scans of all contents without a result, for example those committed by other processes."""
        if self._scanner is None:
            return
        with self._lock:
            if _CATCHING_UP not in self._waiting and not self._closed:
                self._waiting[_CATCHING_UP] = self._worker.submit(self._catch_up)

    def _catch_up(self) -> None:
        assert self._scanner is not None
        seen: set[tuple[str, str]] = set()
        try:
            while not self._closed:
                with suppress(HubHTTPError):
                    found = self._results.missing(SCANNED, self._scanner, len(seen) + _PAGE)
                    unseen = [item for item in found if item[:2] not in seen]
                    if not unseen:
                        return
                    for content, ending, opened in unseen:
                        seen.add((content, ending))
                        if not self._closed:
                            self._scan((content, ending), opened)
                    continue
                return
        finally:
            self._finish_scan(_CATCHING_UP)

    def wait_all(self) -> None:
        """Wait for all scheduled scans."""
        with self._lock:
            waiting = list(self._waiting.values())
        wait(waiting)

    def close(self) -> None:
        """Stop the child process; contents that were not scanned are scanned after the next start."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()
        self._worker.shutdown(cancel_futures=True)
        self._end_child()

    def _scan(self, key: tuple[str, str], opened: Opened) -> None:
        try:
            assert self._scanner is not None
            with suppress(OSError, HubHTTPError):  # the content was deleted, or the disk is full
                if self._results.find(*key, self._scanner) is not None:
                    return
                content = opened()
                if content is None:
                    return
                status = self._scan_content(key[1], content)
                if status is not None:
                    self._results.keep(*key, self._scanner, status)
                    self._cache_result(key, status)
        finally:
            self._finish_scan(key)

    def _finish_scan(self, key: tuple[str, str]) -> None:
        """Remove a scan from the queue, and stop the child process after the last one."""
        with self._lock:
            self._waiting.pop(key, None)
            is_idle = not self._waiting
        if is_idle:
            self._end_child()

    def _scan_content(self, ending: str, content: bytes | Path) -> Status | None:
        """Scan a content in the child process; return None if the server is stopping."""
        if isinstance(content, Path):
            return self._scan_in_child(ending, content)
        with tempfile.NamedTemporaryFile(dir=self._results.root / "tmp", delete=False) as file:
            file.write(content)
        try:  # closed, since Windows does not let another process open it before
            return self._scan_in_child(ending, Path(file.name))
        finally:
            Path(file.name).unlink()

    def _scan_in_child(self, ending: str, path: Path) -> Status | None:
        with self._lock:
            if self._closed:
                return None
            if self._child is None:
                self._child = _start(self._memory_bytes)
            child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            expired = Event()

            def expire() -> None:
                expired.set()
                child.kill()

            timer = Timer(self._seconds, expire)  # Windows has no `select` for pipes
            timer.start()
            try:
                child.stdin.write(f"{ending} {path.absolute()}\n".encode("utf-8", "surrogateescape"))
                child.stdin.flush()
                line = child.stdout.readline().decode().strip()
            finally:
                timer.cancel()
                timer.join()
                if expired.is_set():
                    self._end_child()
        except OSError:
            line = ""
        if line == "suspicious":
            return "suspicious"
        if line == "not scanned":
            return "not scanned"
        self._end_child()  # timeout, memory limit, or a stream that crashes the scanner
        return None if self._closed else "failed"

    def _end_child(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
            child.wait()

    def _cache_result(self, key: tuple[str, str], status: Status) -> None:
        with self._lock:
            self._known[key] = status
            while len(self._known) > MAX_CACHED:
                self._known.popitem(last=False)


def _start(memory_bytes: int) -> "subprocess.Popen[bytes]":
    line = [sys.executable, "-P", scan_child.__file__, str(memory_bytes)]  # run as a file, without this package
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _installed() -> str | None:
    """Return name and version of the scanner; None if it is not installed."""
    try:
        return f"picklescan {version('picklescan')}"
    except PackageNotFoundError:
        return None

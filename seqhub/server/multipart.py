"""Multipart uploads: large files in numbered parts.

    root/parts/ACCOUNT/UPLOAD/NUMBER       one part, followed by its SHA-256, 32 bytes
    root/parts/ACCOUNT/UPLOAD/*.part       a part that is being received, allocated with its final size

The SHA-256 is the ETag that the client sends in the completion request. A part that is sent again replaces the earlier
one. Parts are not flushed to disk: only the joined file is acknowledged. Unfinished uploads are removed after a day.
"""

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import private

PIECE_BYTES: Final = 256 * 1024
PENDING_SECONDS: Final = 24 * 3600.0
ETAG: Final = re.compile(r"[0-9a-f]{64}")
HASH_BYTES: Final = 32


def new_upload() -> str:
    return secrets.token_hex(16)


def folder_of(root: Path, account: int, upload: str) -> Path:
    return root / "parts" / str(account) / upload


class PartWriter:
    """Writer of one part of an upload.

    Args:
        root: Folder of the store.
        account: Id of the account that sends the part.
        upload: Id of the upload.
        number: Number of the part, from 1.
        size: Size of the part in bytes, which counts towards the quota from now on.
    """

    def __init__(self, root: Path, account: int, upload: str, number: int, size: int) -> None:
        self._number, self._size, self._seen = number, size, 0
        self._folder = folder_of(root, account, upload)
        self._path = self._folder / f"{secrets.token_hex(8)}.part"
        self._hash = hashlib.sha256()
        self._file: BinaryIO = self._created()
        self._file.truncate(size)

    def _created(self) -> BinaryIO:
        """Create the file, and its folder again if `sweep` has removed it."""
        for _ in range(5):
            with suppress(FileNotFoundError):
                private.make_folder(self._folder)
                return private.create(self._path, buffering=0)
        private.make_folder(self._folder)
        return private.create(self._path, buffering=0)

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._file.write(piece)
        self._seen += len(piece)

    def finish(self) -> str:
        """Check the part, store it in place of an earlier one, and return its ETag."""
        if self._seen != self._size:
            raise HubHTTPError(400, f"Part {self._number} has {self._seen} bytes; it must have {self._size}.")
        self._file.write(self._hash.digest())
        self._file.close()
        self._path.replace(self._folder / str(self._number))
        return self._hash.hexdigest()

    def abort(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def part_bytes(root: Path, account: int, upload: str, number: int) -> int:
    """Return the size of a stored part; 0 if there is none."""
    try:
        return max(0, (folder_of(root, account, upload) / str(number)).stat().st_size - HASH_BYTES)
    except FileNotFoundError:
        return 0


def waiting_bytes(root: Path, account: int, upload: str = "*") -> int:
    """Return the total size of the parts that an account has sent and not joined."""
    total = 0
    for path in (root / "parts" / str(account)).glob(f"{upload}/*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def joined_parts(root: Path, account: int, upload: str, etags: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of all parts in order.

    Raises:
        HubHTTPError: 400 if a part is missing.
    """
    for number, etag in enumerate(etags, start=1):
        if not ETAG.fullmatch(etag):
            raise HubHTTPError(400, f"{etag[:80]!r} is not the ETag of a part.")
        missing = HubHTTPError(400, f"Part {number} with ETag {etag} has not arrived.")
        try:
            file = (folder_of(root, account, upload) / str(number)).open("rb", buffering=0)
        except FileNotFoundError:
            raise missing from None
        with file:
            left = file.seek(-HASH_BYTES, 2)
            if file.read(HASH_BYTES).hex() != etag:
                raise missing
            file.seek(0)
            while left and (piece := file.read(min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece


def remove_upload(root: Path, account: int, upload: str) -> None:
    """Remove the parts of an upload, and all parts that are older than a day."""
    folder = folder_of(root, account, upload)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty: another upload of the account is in progress
        folder.parent.rmdir()
    sweep(root, time.time() - PENDING_SECONDS)


def sweep(root: Path, before: float) -> tuple[int, int]:
    """Remove parts last written before a time, and empty folders; return the number of parts and their bytes."""
    number = size = 0
    for folder, _, names in _deepest_first(root / "parts"):
        for name in names:
            with suppress(FileNotFoundError):
                status = (folder / name).stat()
                if status.st_mtime < before:
                    (folder / name).unlink()
                    number, size = number + 1, size + status.st_size
        with suppress(OSError):  # not empty, or already removed
            is_account = folder.parent == root / "parts"
            if is_account or folder.stat().st_mtime < before or number:
                folder.rmdir()
    return number, size


def check(root: Path) -> Iterator[str]:
    """Yield a message for each damaged part."""
    for folder, folders, names in _deepest_first(root / "parts"):
        account, upload = folder.parent.name, folder.name
        for name in sorted(names):
            if name.endswith(".part"):
                continue
            where = f"part {name} of upload {upload}"
            if folder.parent.parent != root / "parts" or not account.isdigit() or not name.isdigit() or folders:
                yield f"{where} is not a valid part; gc removes it"
                continue
            with suppress(FileNotFoundError), (folder / name).open("rb") as file:
                left, digest = file.seek(0, 2) - HASH_BYTES, hashlib.sha256()
                file.seek(0)
                while left > 0 and (piece := file.read(min(left, PIECE_BYTES))):
                    left -= len(piece)
                    digest.update(piece)
                if left or file.read() != digest.digest():
                    yield f"{where} does not match its SHA-256; send it again"


def _deepest_first(folder: Path) -> Iterator[tuple[Path, list[Path], list[str]]]:
    """Yield the folders below a folder, deepest first, with the folders and file names in each."""
    if not folder.is_dir():
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_dir():
            yield from _deepest_first(inner)
            with suppress(FileNotFoundError):
                entries = list(inner.iterdir())
                yield inner, [path for path in entries if path.is_dir()], [p.name for p in entries if not p.is_dir()]

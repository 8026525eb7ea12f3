"""Large files that arrive in numbered parts, until they are joined.

    root/parts/UPLOAD/NUMBER-SHA256        one part; its SHA-256 is the ETag that the client gives back at the end

Parts are not synced: only the joined file is acknowledged. What nobody joins goes after a day.
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

from seqhub.server.refusal import Refusal
from seqhub.server.store import private

PIECE_BYTES: Final = 1024 * 1024
PENDING_SECONDS: Final = 24 * 3600.0
ETAG: Final = re.compile(r"[0-9a-f]{64}")


def new_upload() -> str:
    return secrets.token_hex(16)


class PartWriter:
    """One part on its way in.

    Args:
        root: The store's folder.
        upload: Name of the upload.
        number: Number of the part, from 1.
        size: Bytes that it must have.
    """

    def __init__(self, root: Path, upload: str, number: int, size: int) -> None:
        self._number, self._size, self._seen = number, size, 0
        self._folder = root / "parts" / upload
        private.make_folder(self._folder)
        self._path = self._folder / f"{secrets.token_hex(8)}.part"
        self._hash = hashlib.sha256()
        self._file: BinaryIO = private.create(self._path, buffering=0)

    def write(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._file.write(piece)
        self._seen += len(piece)

    def finish(self) -> str:
        """Check and keep it; returns its ETag."""
        if self._seen != self._size:
            raise Refusal(400, f"Part {self._number} has {self._seen} bytes; it must have {self._size}.")
        self._file.close()
        etag = self._hash.hexdigest()
        self._path.replace(self._folder / f"{self._number}-{etag}")
        return etag

    def abort(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def joined(root: Path, upload: str, etags: Sequence[str]) -> Iterator[bytes]:
    """Bytes of all parts in order, in pieces of at most 1 MiB.

    Raises:
        Refusal: 400: a part is missing.
    """
    for number, etag in enumerate(etags, start=1):
        if not ETAG.fullmatch(etag):
            raise Refusal(400, f"{etag[:80]!r} is not the ETag of a part.")
        try:
            file = (root / "parts" / upload / f"{number}-{etag}").open("rb", buffering=0)
        except FileNotFoundError:
            raise Refusal(400, f"Part {number} with ETag {etag} has not arrived.") from None
        with file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def forget(root: Path, upload: str) -> None:
    """Remove the parts of an upload, and those of uploads that nobody finished."""
    shutil.rmtree(root / "parts" / upload, ignore_errors=True)
    for folder in (root / "parts").glob("*"):
        with suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - PENDING_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

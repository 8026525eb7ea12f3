"""Temporary storage for the contents of a commit, with constant use of memory."""

import hashlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from seqhub.io import sync_folder
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import objects, private
from seqhub.server.store.database import Database, storage_errors
from seqhub.server.store.objects import MIN_FILE_BYTES, Packed, Spooled
from seqhub.server.types import AddStaged

_IN_MEMORY_BYTES: Final = 512 * 1024  # packed contents of a commit that are kept in memory
_PIECE: Final = 256 * 1024
_KEEP: Final = "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET created = excluded.created"


class Contents:
    """Temporary storage for the contents of the small files of a commit.

    Args:
        root: Folder of the store.
        max_bytes: Maximum size of a small file.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._root = root
        self._held = 0
        self._spool: IO[bytes] | None = None
        self._files: dict[bytes, tuple[Path, int]] = {}  # SHA-256 -> temporary file and its size

    def __enter__(self) -> "Contents":
        return self

    def __exit__(self, *problem: object) -> None:
        if self._spool is not None:
            self._spool.close()
        for path, _ in self._files.values():
            path.unlink(missing_ok=True)

    def add(self, content: bytes) -> Packed:
        """Add a content: hash it, then compress it or write it to a file."""
        if len(content) >= MIN_FILE_BYTES:
            with ContentWriter(self, "") as writer:
                for start in range(0, len(content), _PIECE):
                    writer.write(content[start : start + _PIECE])
                return writer.finish().packed
        packed = objects.pack("blob", content)
        assert isinstance(packed.data, bytes)
        self._held += len(packed.data)
        return packed if self._held <= _IN_MEMORY_BYTES else packed._replace(data=self._spooled(packed.data))

    def load(self, place: Spooled) -> bytes:
        """Return bytes from the temporary file."""
        assert self._spool is not None
        self._spool.seek(place.start)
        return self._spool.read(place.size)

    def opened(self, packed: Packed) -> bytes | Path:
        """Return a content that is not stored yet: bytes, or the path of a temporary file."""
        if packed.packed == objects.FILED:
            assert packed.base is not None
            return self._files[packed.base][0]
        data = packed.data if isinstance(packed.data, bytes) else self.load(packed.data)
        return objects.unpacked(packed.packed, data)

    def keep(self, database: Database, blob_path: Callable[[str], Path]) -> None:
        """Move contents in files to their final paths; gc removes them if no commit refers to them."""
        if not self._files:
            return
        folders = set()
        waiting = list(self._files.items())
        while waiting:
            with database.transaction() as connection, storage_errors():
                for key, (temporary, size) in waiting[:100]:
                    path = blob_path(key.hex())
                    if not path.parent.is_dir():
                        private.make_folder(path.parent)
                        folders.add(path.parent.parent)
                    temporary.replace(path)  # an existing file is replaced, since it may be damaged
                    folders.add(path.parent)
                    connection.execute("DELETE FROM damaged WHERE content = ?", (key,))
                    connection.execute(_KEEP, (key, size, time.time_ns() // 1000))
            waiting = waiting[100:]
        for folder in folders:
            sync_folder(folder)
        self._files.clear()

    def _spooled(self, data: bytes) -> Spooled:
        with storage_errors():
            if self._spool is None:
                self._spool = tempfile.TemporaryFile(dir=self._root / "tmp")  # noqa: SIM115  closed by __exit__
            start = self._spool.seek(0, os.SEEK_END)
            self._spool.write(data)
        return Spooled(start, len(data))

    def temporary(self) -> Path:
        """Return a path for a temporary file."""
        return self._root / "tmp" / f"{int(time.time())}-{secrets.token_hex(8)}"

    def file(self, sha256: bytes, path: Path, size: int) -> None:
        """Add a flushed temporary file with a content."""
        if sha256 in self._files:
            path.unlink()
        else:
            self._files[sha256] = path, size


class ContentWriter:
    """Writer of a content that is received in pieces."""

    def __init__(self, contents: Contents, path: str) -> None:
        self._contents, self._name = contents, path
        self._begin = bytearray()  # bytes before the content is long enough for a file
        self._file: IO[bytes] | None = None
        self._path = contents.temporary()
        self._sha256 = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> "ContentWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Append bytes.

        Raises:
            HubHTTPError: 413 above the size limit of a small file, 507 if the disk is full.
        """
        self._size += len(piece)
        if self._size > self._contents.max_bytes:
            limit = f"{self._contents.max_bytes:,} bytes"
            raise HubHTTPError(413, f"{self._name!a} has more than {limit}: upload it as a large file")
        if self._file is None:
            self._begin += piece
            if len(self._begin) < MIN_FILE_BYTES:
                return
            piece = bytes(self._begin)
            self._begin.clear()
            with storage_errors():
                self._file = open(self._path, "xb+", buffering=0, opener=private.opener)  # noqa: SIM115  closed by finish
        self._sha256.update(piece)
        with storage_errors():
            self._file.write(piece)

    def finish(self) -> AddStaged:
        """Return the operation that adds this content at its path."""
        contents, size = self._contents, self._size
        if self._file is None:
            packed = contents.add(bytes(self._begin))
        else:
            digest = hashlib.sha1(
                b"blob %d\0" % size, usedforsecurity=False
            )  # git ids begin with the size, so a second pass is needed
            with storage_errors():
                os.fsync(self._file.fileno())
                self._file.seek(0)
                while piece := self._file.read(_PIECE):
                    digest.update(piece)
                self._file.close()
            self._file = None
            packed = objects.pack_file(digest.digest(), self._sha256.digest(), size)
            contents.file(self._sha256.digest(), self._path, size)
        return AddStaged(self._name, packed, size, lambda: contents.opened(packed))

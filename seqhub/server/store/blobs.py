"""Large files, kept by their SHA-256: on disk for good before the database names them, and for those who may."""

import hashlib
import os
import re
import secrets
import sqlite3
import threading
import time
from pathlib import Path
from typing import BinaryIO

from seqhub.server import parts
from seqhub.server.model import Account, Repo
from seqhub.server.refusal import Refusal
from seqhub.server.store.base import Base, now
from seqhub.server.store.database import refusing

READABLE = """(repos.owner = :viewer OR repos.owner IN (SELECT org FROM members WHERE user = :viewer)
    OR (repos.private = 0 AND (repos.gated = 'no' OR EXISTS (SELECT 1 FROM access_requests
        WHERE repo = repos.id AND account = :viewer AND status = 'accepted'))))"""
"""Whether :viewer may read the files of a repository."""


_ROOM = threading.Lock()


class BlobWriter:
    """One upload: a temporary file that becomes a blob at `finish`, or nothing."""

    def __init__(self, store: "Blobs") -> None:
        self._store = store
        self._path = store.root / "tmp" / f"{int(time.time())}-{secrets.token_hex(8)}"
        self._hash = hashlib.sha256()
        self._size = 0
        with refusing():
            self._file: BinaryIO | None = self._path.open("xb")

    def write(self, data: bytes) -> None:
        """Take more bytes.

        Raises:
            Refusal: 413 beyond the limit of one file, 507 if the disk is full; the upload is gone then.
        """
        if self._file is None:
            raise ValueError("this upload is finished")
        self._size += len(data)
        if self._size > self._store.limits.file_bytes:
            self.abort()
            raise Refusal(413, f"a file has at most {self._store.limits.file_bytes:,} bytes")
        try:
            with refusing():
                self._file.write(data)
        except BaseException:
            self.abort()
            raise
        self._hash.update(data)

    def finish(
        self, expected_sha256: str | None, expected_size: int | None, account: Account, *, freed: int = 0
    ) -> tuple[str, int]:
        """Make the bytes a blob which `account` may commit; its SHA-256 and size.

        Args:
            expected_sha256: What the client announced, if it did.
            expected_size: The same, bytes.
            account: The sender.
            freed: Bytes of parts that the caller removes afterwards.

        Raises:
            Refusal: 400 if hash or size is not the one expected, 413 if too much waits for a commit already, 507 if the
                disk is full; nothing is kept then.
        """
        if self._file is None:
            raise ValueError("this upload is finished")
        sha256 = self._hash.hexdigest()
        try:
            if expected_sha256 is not None and sha256 != expected_sha256.lower():
                raise Refusal(400, f"the content has SHA-256 {sha256}, not {expected_sha256[:64]} as announced")
            if expected_size is not None and self._size != expected_size:
                raise Refusal(400, f"the content has {self._size} bytes, not {expected_size} as announced")
            with refusing():
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._store.keep_blob(self._path, sha256, self._size, account, freed)
        finally:
            self.abort()
        return sha256, self._size

    def abort(self) -> None:
        """Forget the upload; harmless after `finish`."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # the disk is full: what could not be flushed is not wanted any more
                pass
            finally:
                self._path.unlink(missing_ok=True)


class Blobs(Base):
    """The part of the Store that keeps large files."""

    def begin_blob(self) -> BlobWriter:
        """Start an upload.

        Raises:
            Refusal: 507 or 503; the disk is full or read-only.
        """
        return BlobWriter(self)

    def blob(self, sha256: str) -> Path | None:
        """The file with this content; None if it is not kept. Says nothing about who may read it."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return None
        path = self.blob_path(sha256)
        with self.database.reading() as connection:
            row = connection.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (bytes.fromhex(sha256),)).fetchone()
        return path if row and path.is_file() else None

    def blob_path(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256[:2] / sha256

    def may_use(self, account: Account, sha256: str) -> bool:
        """Whether `account` sent this content or can read a file that holds it: to know a hash gives nothing."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return False
        values = {"sha256": bytes.fromhex(sha256), "viewer": account.id}
        sent = "SELECT 1 FROM uploads WHERE sha256 = :sha256 AND account = :viewer"
        readable = f"""SELECT 1 FROM files JOIN lines ON lines.id = files.line JOIN repos ON repos.id = lines.repo
            WHERE files.sha256 = :sha256 AND {READABLE} AND EXISTS (SELECT 1 FROM blobs WHERE sha256 = :sha256)
            AND NOT EXISTS (SELECT 1 FROM purged WHERE repo = repos.id AND sha256 = :sha256) LIMIT 1"""
        with self.database.reading() as connection:
            return any(connection.execute(query, values).fetchone() for query in (sent, readable))

    def require_room(self, account: Account, size: int) -> None:
        """Before `size` bytes more are taken from `account`.

        Raises:
            Refusal: 413; too much of what it sent waits for a commit.
        """
        with self.database.reading() as connection:
            self._require_room(connection, account, size)

    def _require_room(self, connection: sqlite3.Connection, account: Account, size: int) -> None:
        limit = self.limits.waiting_bytes
        if limit is None:
            return
        query = (
            "SELECT coalesce(sum(size), 0) FROM uploads JOIN blobs USING (sha256) WHERE account = ? AND committed = 0"
        )
        (waiting,) = connection.execute(query, (account.id,)).fetchone()
        waiting += parts.waiting_bytes(self.root, account.id)
        if waiting + size > limit:
            text = f"{waiting:,} bytes that you sent wait for a commit, and {size:,} more would make over {limit:,}"
            raise Refusal(413, f"{text}: commit them, or have `seqhub hub gc` remove them", code="UploadQuota")

    def begin_part(self, account: Account, upload: str, number: int, size: int) -> parts.PartWriter:
        """Start to take one part of a large file.

        Raises:
            Refusal: 413; too much of what the account sent waits for a commit.
        """
        with _ROOM:  # parts that begin at the same time count for one another
            here = parts.part_bytes(self.root, account.id, upload, number)
            self.require_room(account, size - here)
            return parts.PartWriter(self.root, account.id, upload, number, size)

    def list_large(self, repo: Repo) -> list[tuple[str, str, int, str, int]]:
        """Large files of all branches and times: SHA-256, a path it has or had, bytes, who added it, when (seconds)."""
        query = """SELECT files.sha256, max(files.path), files.size, commits.author, min(commits.date) FROM files
            JOIN commits ON commits.id = files.target WHERE files.sha256 IS NOT NULL
            AND files.line IN (SELECT id FROM lines WHERE repo = :repo)
            AND files.sha256 NOT IN (SELECT sha256 FROM purged WHERE repo = :repo)
            GROUP BY files.sha256 ORDER BY 5, 2"""
        with self.database.reading() as connection:
            return [(row[0].hex(), *row[1:]) for row in connection.execute(query, {"repo": repo.id})]

    def keep_blob(self, temporary: Path, sha256: str, size: int, account: Account, freed: int = 0) -> None:
        """Rename a flushed file to its content's name and note who sent it.

        Inside the writer's place, so that `gc` can never remove a blob between the rename and the note.
        """
        path = self.blob_path(sha256)
        key, time_now = bytes.fromhex(sha256), now()
        with self.database.transaction() as connection:
            mine = "SELECT 1 FROM uploads WHERE sha256 = ? AND account = ?"
            if connection.execute(mine, (key, account.id)).fetchone() is None:  # the same again takes no room
                self._require_room(connection, account, size - freed)
            if not path.is_file() or path.stat().st_size != size:
                if not path.parent.is_dir():
                    path.parent.mkdir(exist_ok=True)
                    sync_folder(path.parent.parent)
                temporary.replace(path)
                sync_folder(path.parent)
            else:
                temporary.unlink()
            connection.execute(
                "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET created = excluded.created",
                (key, size, time_now),
            )
            connection.execute(
                "INSERT INTO uploads (sha256, account, created) VALUES (?, ?, ?) "
                "ON CONFLICT (sha256, account) DO UPDATE SET created = excluded.created",
                (key, account.id, time_now),
            )


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Large files by their SHA-256, flushed to disk before the database refers to them, and access rules for commits."""

import hashlib
import json
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from seqhub.io import sync_folder
from seqhub.server import multipart
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import private
from seqhub.server.store.base import StorePart, now
from seqhub.server.store.database import storage_errors
from seqhub.server.types import Account, Repo, Token

READABLE = """((repos.private = 0 AND repos.gated = 'no')
    OR ((:repos IS NULL OR repos.kind || ':' || repos.key IN (SELECT value FROM json_each(:repos)))
        AND (repos.owner = :viewer OR repos.owner IN (SELECT org FROM members WHERE user = :viewer)
            OR (repos.private = 0 AND EXISTS (SELECT 1 FROM access_requests
                WHERE repo = repos.id AND account = :viewer AND status = 'accepted')))))"""
"""SQL condition: the files of a repository may be read. Parameters from `viewer_values`."""
SENT = "account = :viewer AND (:token = 0 OR token = :token)"
"""SQL condition: an upload may be used by a request. Parameters from `viewer_values`."""
USABLE = f"""(EXISTS (SELECT 1 FROM uploads WHERE sha256 = :sha256 AND {SENT})
    OR EXISTS (SELECT 1 FROM files JOIN lines ON lines.id = files.line JOIN repos ON repos.id = lines.repo
        WHERE files.sha256 = :sha256 AND {READABLE}
        AND NOT EXISTS (SELECT 1 FROM purged WHERE repo = repos.id AND sha256 = :sha256)))"""
"""SQL condition: a request may commit the content :sha256 of a large file."""


def viewer_values(account: Account, token: Token | None) -> dict[str, Any]:
    """Return the parameters of `READABLE`, `SENT` and `USABLE`.

    A token restricted to repositories permits files that were uploaded with the same token, and files that it can read
    in these repositories and in public ones. Any other token, or None, permits all files that the account has uploaded
    or can read.
    """
    repos = None if token is None or not token.repos else json.dumps([name.lower() for name in token.repos])
    return {"viewer": account.id, "token": confined_id(token), "repos": repos}


def confined_id(token: Token | None) -> int:
    """Return the token id to store with an upload: the id of a token restricted to repositories, 0 otherwise."""
    return token.id if token is not None and token.repos else 0


_QUOTA_LOCK = threading.Lock()


class BlobWriter:
    """Upload to a temporary file, which `finish` stores as a blob."""

    def __init__(self, blobs: "Blobs") -> None:
        self._blobs = blobs
        self._path = blobs.root / "tmp" / f"{int(time.time())}-{secrets.token_hex(8)}"
        self._hash = hashlib.sha256()
        self._size = 0
        with storage_errors():
            self._file: BinaryIO | None = private.create(self._path)

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            HubHTTPError: 413 above the size limit of a file, 507 if the disk is full; the upload is discarded.
        """
        if self._file is None:
            raise ValueError("this upload is finished")
        self._size += len(data)
        if self._size > self._blobs.limits.file_bytes:
            self.abort()
            raise HubHTTPError(413, f"at most {self._blobs.limits.file_bytes:,} bytes are allowed for a file")
        try:
            with storage_errors():
                self._file.write(data)
        except BaseException:
            self.abort()
            raise
        self._hash.update(data)

    def finish(
        self,
        expected_sha256: str | None,
        expected_size: int | None,
        account: Account,
        token: Token | None = None,
        *,
        freed: int = 0,
    ) -> tuple[str, int]:
        """Store the upload as a blob that `account` may commit with `token`; return its SHA-256 and size.

        Args:
            expected_sha256: SHA-256 that the client announced; None if it did not.
            expected_size: Size in bytes that the client announced; None if it did not.
            account: Account of the sender.
            token: Token of the request.
            freed: Number of bytes in parts that the caller removes afterwards.

        Raises:
            HubHTTPError: 400 if hash or size differ from the announced ones, 413 if the quota of uncommitted bytes is
                exceeded, 507 if the disk is full; nothing is stored in these cases.
        """
        if self._file is None:
            raise ValueError("this upload is finished")
        sha256 = self._hash.hexdigest()
        try:
            if expected_sha256 is not None and sha256 != expected_sha256.lower():
                raise HubHTTPError(400, f"the content has SHA-256 {sha256}, not {expected_sha256[:64]} as announced")
            if expected_size is not None and self._size != expected_size:
                raise HubHTTPError(400, f"the content has {self._size} bytes, not {expected_size} as announced")
            with storage_errors():
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._blobs.keep(self._path, sha256, self._size, account, token, freed)
        finally:
            self.abort()
        return sha256, self._size

    def abort(self) -> None:
        """Discard the upload; no effect after `finish`."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # the disk is full; the file is removed anyway
                pass
            finally:
                self._path.unlink(missing_ok=True)


class Blobs(StorePart):
    """Large files by their SHA-256."""

    def begin(self) -> BlobWriter:
        """Start an upload.

        Raises:
            HubHTTPError: 507 or 503 if the disk is full or read-only.
        """
        return BlobWriter(self)

    def find(self, sha256: str) -> Path | None:
        """Return the path of a large file; None if it is not stored. Permissions are not checked."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return None
        path = self.path(sha256)
        with self.database.reading() as connection:
            row = connection.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (bytes.fromhex(sha256),)).fetchone()
        return path if row and path.is_file() else None

    def path(self, sha256: str) -> Path:
        """Return the path at which a large file is stored."""
        return self.root / "blobs" / sha256[:2] / sha256

    def may_use(self, account: Account, sha256: str, token: Token | None = None) -> bool:
        """Return whether a request may commit a content. Knowing the hash of a content does not grant access.

        Args:
            account: The account.
            sha256: SHA-256 of the content.
            token: Token of the request; None for no restriction. See `viewer_values`.
        """
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return False
        values = viewer_values(account, token) | {"sha256": bytes.fromhex(sha256)}
        with self.database.reading() as connection:
            query = f"SELECT 1 FROM blobs WHERE sha256 = :sha256 AND {USABLE}"
            return connection.execute(query, values).fetchone() is not None

    def size_in(self, repo: Repo, sha256: str) -> int | None:
        """Return the size of a large file in any commit of a repository; None if it is in none, or was purged."""
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            return None
        query = """SELECT size FROM files JOIN lines ON lines.id = files.line WHERE sha256 = :sha256 AND repo = :repo
            AND NOT EXISTS (SELECT 1 FROM purged WHERE repo = :repo AND sha256 = :sha256) LIMIT 1"""
        with self.database.reading() as connection:
            row = connection.execute(query, {"sha256": bytes.fromhex(sha256), "repo": repo.id}).fetchone()
            return int(row[0]) if row else None

    def is_intact(self, sha256: str, size: int) -> bool:
        """Return whether a large file is stored with this size, and fsck found no damage."""
        path = self.find(sha256)
        if path is None or self.damaged([sha256]):
            return False
        try:
            return path.stat().st_size == size
        except FileNotFoundError:
            return False

    def damaged(self, contents: Iterable[str]) -> set[str]:
        """Return the contents (SHA-256 or git id) that fsck found damaged and that were not sent again."""
        with self.database.reading() as connection:
            if connection.execute("SELECT 1 FROM damaged LIMIT 1").fetchone() is None:
                return set()
            query = "SELECT 1 FROM damaged WHERE content = ?"
            return {key for key in contents if connection.execute(query, (bytes.fromhex(key),)).fetchone()}

    def check_upload_quota(self, account: Account, size: int, token: Token | None = None) -> None:
        """Check the quota of uncommitted bytes before `size` bytes more are received.

        Raises:
            HubHTTPError: 413 if the quota would be exceeded.
        """
        with self.database.reading() as connection:
            self._check_upload_quota(connection, account, size, token)

    def _check_upload_quota(
        self, connection: sqlite3.Connection, account: Account, size: int, token: Token | None
    ) -> None:
        limit = self.limits.waiting_bytes
        if limit is None:
            return
        query = """SELECT coalesce(sum(size), 0) FROM blobs
            WHERE sha256 IN (SELECT sha256 FROM uploads WHERE account = ? AND committed = 0)"""
        (waiting,) = connection.execute(query, (account.id,)).fetchone()
        waiting += multipart.waiting_bytes(self.root, account.id)
        if waiting + size > limit:
            known = "" if confined_id(token) else f"{waiting:,} "  # hidden from a token restricted to repositories
            text = f"{known}bytes that you sent wait for a commit; {size:,} more would exceed the limit of {limit:,}"
            raise HubHTTPError(413, f"{text}: commit them, or remove them with `seqhub hub gc`", code="UploadQuota")

    def begin_part(
        self, account: Account, token: Token | None, upload: str, number: int, size: int
    ) -> "multipart.PartWriter":
        """Start to receive a part of a large file.

        Raises:
            HubHTTPError: 413 if the quota of uncommitted bytes would be exceeded.
        """
        with _QUOTA_LOCK:  # concurrent parts must be counted
            here = multipart.part_bytes(self.root, account.id, upload, number)
            self.check_upload_quota(account, size - here, token)
            return multipart.PartWriter(self.root, account.id, upload, number, size)

    def large_files(self, repo: Repo) -> list[tuple[str, str, int, str, int]]:
        """Return the large files of all revisions: SHA-256, path, size, author and Unix time of the first commit."""
        query = """SELECT sha256, path, size, author, date FROM (
            SELECT files.sha256, files.path, files.size, commits.author, commits.date, row_number() OVER
                (PARTITION BY files.sha256 ORDER BY commits.date, commits.id, files.path) AS place FROM files
            JOIN commits ON commits.id = files.target WHERE files.sha256 IS NOT NULL
            AND files.line IN (SELECT id FROM lines WHERE repo = :repo)
            AND files.sha256 NOT IN (SELECT sha256 FROM purged WHERE repo = :repo))
            WHERE place = 1 ORDER BY date, path"""
        with self.database.reading() as connection:
            return [(row[0].hex(), *row[1:]) for row in connection.execute(query, {"repo": repo.id})]

    def keep(
        self, temporary: Path, sha256: str, size: int, account: Account, token: Token | None = None, freed: int = 0
    ) -> None:
        """Move a flushed file to the path of its content, and store its sender.

        An existing file is replaced, since it may be damaged, and the new one has just been hashed. This is done in a
        write transaction, so that `gc` cannot remove the blob between the rename and the insertion of the row.
        """
        path = self.path(sha256)
        key, time_now = bytes.fromhex(sha256), now()
        with self.database.transaction() as connection:
            mine = "SELECT max(committed) FROM uploads WHERE sha256 = ? AND account = ?"
            (committed,) = connection.execute(mine, (key, account.id)).fetchone()
            if committed is None:  # a repeated upload takes no additional space
                self._check_upload_quota(connection, account, size - freed, token)
            if not path.parent.is_dir():
                private.make_folder(path.parent)
                sync_folder(path.parent.parent)
            temporary.replace(path)
            sync_folder(path.parent)
            connection.execute(
                "INSERT INTO blobs VALUES (?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET created = excluded.created",
                (key, size, time_now),
            )
            connection.execute("DELETE FROM damaged WHERE content = ?", (key,))
            connection.execute(
                "INSERT INTO uploads (sha256, account, token, created, committed) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (sha256, account, token) DO UPDATE SET created = excluded.created",
                (key, account.id, confined_id(token), time_now, committed or 0),
            )

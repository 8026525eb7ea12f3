"""Maintenance of a Hub: consistency check, garbage collection, backup and restore."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from seqhub.io import sync_file, sync_folder
from seqhub.server import multipart
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import private
from seqhub.server.store.base import StorePart
from seqhub.server.store.counting import repair_counters
from seqhub.server.store.database import require_writable, storage_errors
from seqhub.server.store.fsck import check
from seqhub.server.store.overview import Task, record
from seqhub.server.store.private import DATABASE
from seqhub.server.store.unfinished import finish

T = TypeVar("T")


class Maintenance(StorePart):
    """Checks, garbage collection and backups."""

    def renew_instance(self) -> str:
        """Change the instance id, so that clients discard their caches of stored content."""
        new = os.urandom(8).hex()
        with self.database.transaction() as connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'instance_id'", (new.encode(),))
        return new

    def require_writable(self) -> None:
        """Check that the folder can be written, so that uploads fail before clients send content.

        Raises:
            HubHTTPError: 503 or 507 if the folder cannot be written.
        """
        require_writable(self.root / "tmp")

    def fsck(self, *, repair: bool = False) -> list[str]:
        """Check the whole Hub, reading every byte.

        Damaged contents are recorded, so that clients send them again. Any upload of the correct content repairs them.

        Args:
            repair: First recompute the counters, and remove other users' access to the folder.

        Returns:
            A message for each problem; [] if there is none.
        """
        if repair:
            with self.database.transaction() as connection:
                repair_counters(connection)
            for path in private.open_paths(self.root):
                private.close(path)
        damaged: set[bytes] = set()
        with self.database.reading_latest() as connection:
            problems = [*check(connection, self.root / "blobs", damaged), *multipart.check(self.root)]
            noted = {row[0] for row in connection.execute("SELECT content FROM damaged")}
        if damaged != noted:
            with (
                suppress(HubHTTPError),
                self.database.transaction() as connection,
            ):  # the check must also work on a full disk
                connection.execute("DELETE FROM damaged")
                connection.executemany("INSERT INTO damaged VALUES (?)", [(content,) for content in damaged])
        self._record("fsck", {"problems": len(problems)})
        return problems

    def gc(self, grace_seconds: float = 86_400) -> dict[str, int]:
        """Remove large files that no commit refers to, and remains of interrupted uploads.

        Args:
            grace_seconds: Minimum age of removed data, since a commit may follow an upload.

        Returns:
            Number of removed "blobs", "files" (without a row) and "temporary" files, and their "bytes".
        """
        counts = {"blobs": 0, "files": 0, "temporary": 0, "bytes": 0}
        before = time.time() - grace_seconds
        limit = int(before * 1_000_000)
        finish(self.database, limit)
        named = """sha256 IN (SELECT f.sha256 FROM files AS f JOIN lines ON lines.id = f.line
                WHERE f.sha256 = blobs.sha256 AND NOT EXISTS
                (SELECT 1 FROM purged WHERE purged.repo = lines.repo AND purged.sha256 = f.sha256))
            OR EXISTS (SELECT 1 FROM objects WHERE packed = 3 AND base = blobs.sha256)"""
        with self.database.reading_latest() as connection:
            query = f"SELECT sha256 FROM blobs WHERE created < ? AND NOT ({named})"
            unnamed = [row[0] for row in connection.execute(query, (limit,))]
        gone = set()
        delete = f"DELETE FROM blobs WHERE sha256 = ? AND created < ? AND NOT ({named})"
        for keys in _slices(unnamed):
            with self.database.transaction() as connection:
                gone |= {key.hex() for key in keys if connection.execute(delete, (key, limit)).rowcount}
        counts["blobs"] = len(gone)
        # Files are removed after their rows were committed, in a write transaction, so that no upload can finish.
        known = "SELECT 1 FROM blobs WHERE sha256 = ?"
        with self.database.reading_latest() as connection:
            kept = {row[0].hex() for row in connection.execute("SELECT sha256 FROM blobs")}
        old = [path for path in (self.root / "blobs").glob("??/*") if path.name not in kept]
        for paths in _slices(old):
            with self.database.transaction() as connection, storage_errors():
                for path in paths:
                    is_kept = _is_hash(path.name) and connection.execute(known, (bytes.fromhex(path.name),)).fetchone()
                    if not is_kept and (path.name in gone or path.stat().st_mtime < before):
                        counts["files"] += path.name not in gone
                        counts["bytes"] += path.stat().st_size
                        path.unlink()
        with storage_errors():
            for path in (self.root / "tmp").iterdir():
                with suppress(FileNotFoundError):  # the upload has finished
                    status = path.stat()
                    if status.st_mtime < before:
                        path.unlink()
                        counts["temporary"] += 1
                        counts["bytes"] += status.st_size
            number, size = multipart.sweep(self.root, before)
            counts["temporary"] += number
            counts["bytes"] += size
        if counts["blobs"] or counts["files"]:
            self.renew_instance()
        self._record("gc", counts)
        return counts

    def backup(self, target: Path) -> None:
        """Copy the Hub to a new folder while it is in use: a snapshot of the database, and hard links to large files.

        Raises:
            HubHTTPError: 409 if `target` exists, 503 if a file was removed during the copy, 507 if the disk is full.
        """
        part = target.with_name(target.name + ".part")
        if target.exists():
            raise HubHTTPError(409, f"{target} already exists; a backup needs a new folder")
        with storage_errors():
            shutil.rmtree(part, ignore_errors=True)
            private.make_folder(part / "blobs")
            private.touch(part / DATABASE)
            try:
                with self.database.reading_latest() as source, closing(sqlite3.connect(part / DATABASE)) as copy:
                    source.execute("COMMIT")  # the backup reads its own snapshot
                    source.backup(copy)
                    copy.execute("PRAGMA journal_mode = DELETE")  # a single file without a log
                    names = [row[0].hex() for row in copy.execute("SELECT sha256 FROM blobs")]
                for name in names:
                    _link(self.root / "blobs" / name[:2] / name, part / "blobs" / name[:2] / name)
                part.rename(target)
                sync_folder(target.parent)
            except FileNotFoundError as error:
                raise HubHTTPError(
                    503, f"a large file was removed during the backup, try again: {error.filename}"
                ) from error
            finally:
                shutil.rmtree(part, ignore_errors=True)
        self._record("backup", {"blobs": len(names)})

    def _record(self, task: Task, results: Mapping[str, int]) -> None:
        """Store that a task was run, except on a disk that is full or read-only: the task itself has succeeded."""
        with suppress(HubHTTPError), self.database.transaction() as connection:
            record(connection, task, results)


def restore(source: Path, root: Path) -> None:
    """Create a Hub from a backup, in a folder that does not exist or is empty, with a new instance id.

    Raises:
        HubHTTPError: 404 if `source` is not a backup, 409 if `root` is not empty, 503 if the backup is damaged.
    """
    if not (source / DATABASE).is_file():
        raise HubHTTPError(404, f"{source} is not a backup: it has no {DATABASE}")
    if root.exists() and any(root.iterdir()):
        raise HubHTTPError(409, f"{root} is not empty")
    with storage_errors():
        existed = root.exists()
        private.make_folder(root)
        private.close(root)
        try:
            _copy_backup(source, root)
        except BaseException:
            for path in root.iterdir():  # the folder was empty
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if not existed:
                root.rmdir()
            raise


def _copy_backup(source: Path, root: Path) -> None:
    part = root / f".{DATABASE}.part"
    private.copy(source / DATABASE, part)
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        result = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if result != "ok":
            raise HubHTTPError(503, f"the database of the backup is damaged: {result}")
        value = os.urandom(8).hex().encode()
        connection.execute("UPDATE meta SET value = ? WHERE key = 'instance_id'", (value,))
    for path in (source / "blobs").glob("??/*"):
        _link(path, root / "blobs" / path.parent.name / path.name, link=False)
    sync_file(part)
    part.rename(root / DATABASE)
    sync_folder(root)


def _link(source: Path, target: Path, *, link: bool = True) -> None:
    """Hard-link a file; copy it if links are not possible or `link` is false."""
    private.make_folder(target.parent)
    if link:
        try:
            os.link(source, target)
            return
        except FileNotFoundError:
            raise
        except OSError:
            pass
    private.copy(source, target)
    sync_file(target)


def _is_hash(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield slices of a few hundred items, so that other writers can write in between."""
    for start in range(0, len(items), 200):
        yield items[start : start + 200]

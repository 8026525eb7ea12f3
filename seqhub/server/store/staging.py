"""Conversion of operations to changes of files: checks of paths, of access to large files, and of conflicts."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from seqhub.server import git
from seqhub.server.errors import HubHTTPError, entry_not_found
from seqhub.server.store import index, objects
from seqhub.server.store.blobs import USABLE, viewer_values
from seqhub.server.store.contents import Contents
from seqhub.server.store.counting import add_bytes
from seqhub.server.store.index import FILE, FOLDER, LIVE, Row
from seqhub.server.store.limits import Limits
from seqhub.server.store.names import check_path
from seqhub.server.store.revisions import find_commit, point_of
from seqhub.server.types import Account, AddLarge, AddSmall, AddStaged, CopyFile, Delete, Operation, Repo, Token

Prepared = tuple[Operation, str, objects.Packed | None]


def prepare(operations: Sequence[Operation], limits: Limits, contents: Contents) -> list[Prepared]:
    """Check paths, and hash and compress contents, without access to the database.

    Raises:
        HubHTTPError: 422 for invalid paths, 413 for too many operations or folders.
    """
    if len(operations) > limits.commit_operations:
        raise HubHTTPError(413, f"a commit may have at most {limits.commit_operations:,} operations")
    spelled: dict[str, str] = {}
    folders: set[str] = set()
    prepared: list[Prepared] = []
    for operation in operations:
        given = operation.path.rstrip("/") if isinstance(operation, Delete) else operation.path
        path = check_path(given)
        if spelled.setdefault(path, given) != given:
            raise HubHTTPError(422, f"two paths differ only in the Unicode normalisation of {path!a}")
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
        if len(folders) > limits.commit_folders:
            limit = f"at most {limits.commit_folders:,} folders"
            raise HubHTTPError(413, f"the paths of a commit may contain {limit}: use several commits")
        packed = None
        if isinstance(operation, AddStaged):
            packed = operation.packed
        elif isinstance(operation, AddSmall):
            if len(operation.content) > limits.small_bytes:
                raise HubHTTPError(
                    413, f"{path!a} has more than {limits.small_bytes:,} bytes: upload it as a large file"
                )
            packed = contents.add(operation.content)
        elif isinstance(operation, AddLarge):
            if len(operation.sha256) != 64 or not set(operation.sha256) <= set("0123456789abcdef"):
                raise HubHTTPError(422, f"{path!a}: a SHA-256 must have 64 hexadecimal digits")
            packed = objects.pack("blob", git.pointer(operation.sha256, operation.size))
        prepared.append((operation, path, packed))
    return prepared


class Stage:
    """Changes of files of a commit relative to its parent, before it is written."""

    def __init__(
        self, connection: sqlite3.Connection, repo: Repo, chain: index.Chain, blob_path: Callable[[str], Path]
    ) -> None:
        self.files: dict[str, Row | None] = {}
        self.large: dict[bytes, int] = {}  # SHA-256 -> size of the large files
        self._connection = connection
        self._repo = repo
        self._chain = chain
        self._blob_path = blob_path
        self._packed: dict[bytes, objects.Packed] = {}

    def apply(
        self,
        operation: Operation,
        path: str,
        packed: objects.Packed | None,
        uploader: Account,
        token: Token | None = None,
    ) -> None:
        """Apply an operation.

        Raises:
            HubHTTPError: 404 for a missing file, 400 for a large file that the uploader may not use.
        """
        if isinstance(operation, Delete):
            self._delete(path, operation.is_folder)
        elif isinstance(operation, CopyFile):
            self.files[path] = self._source(operation)._replace(path=path)
        else:
            assert packed is not None
            sha256, size = None, len(operation.content) if isinstance(operation, AddSmall) else operation.size
            if isinstance(operation, AddLarge):
                sha256 = bytes.fromhex(operation.sha256)
                self._check_blob(path, operation, uploader, token)
            self._packed[packed.oid] = packed
            self.files[path] = Row(0, path, 0, LIVE, FILE, packed.oid, size, sha256, 0)

    def changes(self) -> dict[str, Row | None]:
        """Return the files that differ from the parent.

        Raises:
            HubHTTPError: 422 if a path would be both a file and a folder.
        """
        changed: dict[str, Row | None] = {}
        for path, row in self.files.items():
            before = index.locate(self._connection, self._chain, path)
            if before is not None and before.kind == FOLDER:
                before = None  # a conflict is detected when the trees are built
            if (row is None) != (before is None) or (row is not None and not row.same_as(before)):
                changed[path] = row
        return changed

    def objects(self) -> list[objects.Packed]:
        """Return the blobs of the operations that are in the commit, including those in the parent."""
        wanted = dict.fromkeys(row.oid for row in self.files.values() if row is not None)
        return [self._packed[oid] for oid in wanted if oid in self._packed]

    def _delete(self, path: str, is_folder: bool) -> None:
        there = index.locate(self._connection, self._chain, path)
        is_folder = is_folder or (there is not None and there.kind == FOLDER and path not in self.files)
        if not is_folder:
            if self.files.get(path) is None and (path in self.files or there is None or there.kind != FILE):
                raise entry_not_found(path, "this revision")
            self.files[path] = None
            return
        added = [name for name, row in self.files.items() if row is not None and name.startswith(path + "/")]
        if not added and (there is None or there.kind != FOLDER):
            raise entry_not_found(path, "this revision")
        self.files.update(dict.fromkeys(added))
        for row in index.below(self._connection, self._chain, path):
            if row.kind == FILE:
                self.files[row.path] = None

    def _source(self, operation: CopyFile) -> Row:
        chain = self._chain
        if operation.source_revision is not None:
            commit = find_commit(self._connection, self._repo.id, operation.source_revision)
            chain = index.index_chain(self._connection, point_of(self._connection, commit))
        row = index.locate(self._connection, chain, check_path(operation.source))
        if row is None or row.kind != FILE:
            raise entry_not_found(operation.source, operation.source_revision or "this revision")
        if row.sha256 is not None:
            query = "SELECT 1 FROM purged WHERE repo = ? AND sha256 = ?"
            if self._connection.execute(query, (self._repo.id, row.sha256)).fetchone():
                raise HubHTTPError(410, f"{operation.source} was deleted permanently", code="EntryNotFound")
        return row

    def _check_blob(self, path: str, operation: AddLarge, uploader: Account, token: Token | None) -> None:
        """Check that the uploader may use a content with this token; knowing its hash is not enough."""
        key = bytes.fromhex(operation.sha256)
        query = f"SELECT size FROM blobs WHERE sha256 = :sha256 AND {USABLE}"
        row = self._connection.execute(query, viewer_values(uploader, token) | {"sha256": key}).fetchone()
        if row is None or not self._blob_path(operation.sha256).is_file():
            raise HubHTTPError(400, f"{path!a}: upload the content sha256:{operation.sha256} first")
        if row[0] != operation.size:
            raise HubHTTPError(422, f"{path!a}: the content has {row[0]} bytes, not {operation.size}")
        self.large[key] = operation.size


def mark_committed(connection: sqlite3.Connection, repo: Repo, large: Mapping[bytes, int], uploader: Account) -> bool:
    """Mark large files as committed; return whether a permanently deleted one was restored."""
    restored = False
    for key, size in large.items():
        if connection.execute("DELETE FROM purged WHERE repo = ? AND sha256 = ?", (repo.id, key)).rowcount:
            add_bytes(connection, repo, size)
            restored = True
    note = "UPDATE uploads SET committed = 1 WHERE account = ? AND sha256 = ?"
    connection.executemany(note, [(uploader.id, key) for key in large])
    return restored

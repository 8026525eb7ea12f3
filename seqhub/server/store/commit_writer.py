"""Planning and writing of commits, shared by commits, pull requests and new repositories."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from seqhub.server.errors import HubHTTPError, branch_is_busy
from seqhub.server.store import index, objects
from seqhub.server.store.base import StoreContext, StorePart
from seqhub.server.store.blobs import Blobs
from seqhub.server.store.contents import Contents
from seqhub.server.store.counting import add_bytes, require_quota
from seqhub.server.store.events import note_commit
from seqhub.server.store.refs import ref_target
from seqhub.server.store.revisions import commit_of, point_of
from seqhub.server.store.staging import Prepared, Stage, mark_committed
from seqhub.server.store.tree_writer import (
    Plan,
    added_now,
    append,
    commit_object,
    indexed_files,
    keep_commit,
    plan,
    point_ref,
)
from seqhub.server.store.unfinished import begin, drop_line, end, require
from seqhub.server.types import Account, Commit, Repo, Token

WRITE_ATTEMPTS = 5  # if other commits change the branch at the same time


class Unchanged(NamedTuple):
    """Result of operations that change no file."""

    head: Commit
    blobs: list[objects.Packed]
    large: dict[bytes, int]


class CommitWriter(StorePart):
    """Plans a commit from a snapshot of the database, and writes it if the ref has not moved since.

    Args:
        context: Context that all parts share.
        blobs: Storage of large files.
    """

    def __init__(self, context: StoreContext, blobs: Blobs) -> None:
        super().__init__(context)
        self.blobs = blobs

    def contents(self) -> Contents:
        """Return temporary storage for the contents of a commit; use it in a `with` block."""
        return Contents(self.root, self.limits.small_bytes)

    def plan(
        self,
        connection: sqlite3.Connection,
        repo: Repo,
        reference: str,
        head: int,
        prepared: Sequence[Prepared],
        uploader: Account,
        token: Token | None,
        contents: Contents,
    ) -> Plan | Unchanged:
        """Plan a commit with these operations."""
        stage = Stage(connection, repo, index.index_chain(connection, point_of(connection, head)), self.blobs.path)
        for operation, path, packed in prepared:
            stage.apply(operation, path, packed, uploader, token)
        changes, blobs = stage.changes(), stage.objects()
        if not changes:
            return Unchanged(commit_of(connection, head), blobs, stage.large)
        brought = {item.oid: item for item in blobs}
        rows = ((path, changes[path]) for path in indexed_files(changes))
        texts = {path: contents.opened(brought[row.oid]) for path, row in rows if row and row.oid in brought}
        return plan(
            connection, repo, reference, head, changes, self.limits, blobs=blobs, large=stage.large, texts=texts
        )

    def write_unchanged(
        self, connection: sqlite3.Connection, repo: Repo, found: Unchanged, uploader: Account, contents: Contents
    ) -> Commit:
        """Write the contents of a commit without changes, since the stored ones may be damaged."""
        objects.write(connection, repo.id, found.blobs, contents.load)
        if mark_committed(connection, repo, found.large, uploader):
            require_quota(connection, repo, self.limits)
        return found.head

    def write_now(
        self,
        connection: sqlite3.Connection,
        repo: Repo,
        reference: str,
        head: int,
        prepared: Sequence[Prepared],
        author: str,
        title: str,
        message: str,
        uploader: Account,
        token: Token | None,
        contents: Contents,
    ) -> Commit:
        """Plan and write a small commit in the transaction of the caller."""
        found = self.plan(connection, repo, reference, head, prepared, uploader, token, contents)
        if isinstance(found, Unchanged):
            return self.write_unchanged(connection, repo, found, uploader, contents)
        new = append(connection, repo, reference, found, author, title, message, contents.load)
        commit = commit_of(connection, new)
        mark_committed(connection, repo, found.large, uploader)
        require_quota(connection, repo, self.limits)
        note_commit(connection, repo.id, reference, commit)
        return commit

    def write(
        self,
        repo: Repo,
        reference: str,
        planned: Callable[[sqlite3.Connection], Plan | Unchanged],
        noted: Callable[[sqlite3.Connection, Commit, Plan], object],
        author: str,
        title: str,
        message: str,
        contents: Contents,
        first: Plan | Unchanged | None = None,
    ) -> Commit | Unchanged:
        """Plan without the write lock, then write if the ref has not moved; otherwise plan again.

        Args:
            repo: The repository.
            reference: Ref to move.
            planned: Function that computes the plan from a snapshot of the database.
            noted: Function that writes further rows of the commit, in its last transaction.
            author: Name of the author.
            title: First line of the message.
            message: Rest of the message.
            contents: Contents of the commit.
            first: Plan that was computed before.

        Returns:
            The commit, or `Unchanged` if the operations change no file.
        """
        load = contents.load
        for attempt in range(WRITE_ATTEMPTS):
            found = first
            if attempt or found is None:
                with self.database.reading_latest() as connection:
                    found = planned(connection)
            if isinstance(found, Unchanged):
                return found
            if found.is_small:
                with self.database.transaction() as connection:
                    if ref_target(connection, repo.id, reference) != found.head:
                        if attempt == 0:
                            continue
                        found = planned(connection)  # small, so it delays other writers by milliseconds only
                        if isinstance(found, Unchanged):
                            return found
                    new = append(connection, repo, reference, found, author, title, message, load)
                    commit = commit_of(connection, new)
                    noted(connection, commit, found)
                    return commit
            commit_or_none = self._write_large(repo, reference, found, noted, author, title, message, load)
            if commit_or_none is not None:
                return commit_or_none
        raise branch_is_busy()

    def _write_large(
        self,
        repo: Repo,
        reference: str,
        found: Plan,
        noted: Callable[[sqlite3.Connection, Commit, Plan], object],
        author: str,
        title: str,
        message: str,
        load: Callable[[objects.Spooled], bytes],
    ) -> Commit | None:
        """Write a commit of many rows on a new line, which becomes visible when the ref points to it.

        Returns:
            None if the ref has moved in the meantime; the written rows are removed, and the objects later by gc.
        """
        database = self.database
        with database.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM objects").fetchone()
            first = begin(connection, "objects", repo.id, last)
        database.in_slices(objects.INSERT, objects.rows(repo.id, found.objects, load))
        packed = commit_object(found, author, title, message)
        seq = found.point.seq
        with database.transaction() as connection:
            # An index that is not longer than the changes is copied, so that paths are looked up in fewer lines.
            inherits = len(found.chain) < index.DEEP and index.is_longer(connection, found.chain, len(found.changes))
            new_line = index.new_line(connection, repo.id, found.point, inherits=inherits)
            second = begin(connection, "line", repo.id, new_line)
            query = "SELECT 1 FROM commits WHERE repo = ? AND oid = ?"
            if connection.execute(query, (repo.id, packed.oid)).fetchone():  # same commit in the same second
                packed = commit_object(found, author, title, message + "\n")
            place = index.Point(new_line, seq + 1)
            new = keep_commit(connection, repo.id, packed, place, found.parent, found.tree, author, title, message)
        try:
            rows = found.rows
            if not inherits:
                with database.reading_latest() as connection:
                    copied = index.copied(connection, found.chain, new_line, seq, lambda row: row.target)
                    database.in_slices(index.INSERT, (row for row in copied if row[1] not in rows))
            database.in_slices(index.INSERT, index.new_rows(rows, new_line, seq + 1, new, inherits=inherits))
            with database.transaction() as connection:
                if ref_target(connection, repo.id, reference) == found.head:
                    require(connection, first)
                    add_bytes(connection, repo, added_now(connection, repo, found, new, new_line))
                    objects.clear_damage(connection, found.objects)
                    point_ref(connection, repo, reference, new, found)
                    commit = commit_of(connection, new)
                    noted(connection, commit, found)
                    end(connection, first, second)
                    return commit
        except BaseException:
            with suppress(HubHTTPError):
                drop_line(database, new_line, second)
            raise
        drop_line(database, new_line, second)
        return None

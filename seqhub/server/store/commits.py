"""Commits with compare-and-swap, squashing, and deletion of large files from all history."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import nullcontext

from seqhub.server import git
from seqhub.server.errors import HubHTTPError, branch_is_busy, branch_was_updated
from seqhub.server.store import index, objects
from seqhub.server.store.base import StoreContext, StorePart
from seqhub.server.store.commit_writer import WRITE_ATTEMPTS, CommitWriter, Unchanged
from seqhub.server.store.contents import Contents
from seqhub.server.store.counting import add_bytes, require_quota
from seqhub.server.store.events import check_pull_request, note_commit
from seqhub.server.store.refs import full_ref, ref_target
from seqhub.server.store.revisions import commit_of, point_of
from seqhub.server.store.staging import Stage, mark_committed, prepare
from seqhub.server.store.tree_writer import Plan, append, keep_commit, plan
from seqhub.server.store.unfinished import begin, drop_line, end
from seqhub.server.types import Account, Commit, Operation, Repo, Token

_MIN_DIGITS = 7  # of an abbreviated commit id


class Commits(StorePart):
    """Writing of commits.

    Args:
        context: Context that all parts share.
        writer: Planner and writer of commits.
    """

    def __init__(self, context: StoreContext, writer: CommitWriter) -> None:
        super().__init__(context)
        self.writer = writer

    def contents(self) -> Contents:
        """Return temporary storage for the contents of a commit; use it in a `with` block."""
        return self.writer.contents()

    def create(
        self,
        repo: Repo,
        branch_ref: str,
        operations: Sequence[Operation],
        *,
        expected_parent: str | None,
        author: str,
        title: str,
        message: str = "",
        uploader: Account,
        token: Token | None = None,
        contents: Contents | None = None,
    ) -> Commit:
        """Apply operations to a branch or pull request, in order, all or none.

        Args:
            repo: The repository.
            branch_ref: "main", refs/heads/main or refs/pr/3.
            operations: Operations of the commit.
            expected_parent: Expected id of the head, at least 7 digits; None for any head.
            author: Name of the author.
            title: First line of the message.
            message: Rest of the message.
            uploader: Account that must have uploaded the large files or be able to read them.
            token: Token with which the account must be able to use them; None for any token.
            contents: Temporary storage with the contents of staged operations.

        Returns:
            The new commit, or the current head if no file changed.

        Raises:
            HubHTTPError: 412 if another commit was first, 404 for a missing branch or file, 422 for invalid paths and
                conflicts, 400 for a large file that the uploader may not use, 403 above a quota, 507 for a full disk.
        """
        reference = full_ref(branch_ref)
        with nullcontext(contents) if contents is not None else self.contents() as contents:
            prepared = prepare(operations, self.limits, contents)

            def planned(connection: sqlite3.Connection) -> Plan | Unchanged:
                head = ref_target(connection, repo.id, reference)
                check_pull_request(connection, repo.id, reference)
                seen = commit_of(connection, head).oid
                given = expected_parent.lower() if expected_parent else seen
                if len(given) < _MIN_DIGITS or not seen.startswith(given):
                    raise branch_was_updated()
                return self.writer.plan(connection, repo, reference, head, prepared, uploader, token, contents)

            def noted(connection: sqlite3.Connection, commit: Commit, found: Plan) -> None:
                mark_committed(connection, repo, found.large, uploader)
                require_quota(connection, repo, self.limits)
                note_commit(connection, repo.id, reference, commit)

            with self.database.reading_latest() as connection:
                first = planned(connection)  # an invalid commit raises before anything is written
            contents.keep(self.database, self.writer.blobs.path)
            made = self.writer.write(repo, reference, planned, noted, author, title, message, contents, first)
            if isinstance(made, Commit):
                return made
            with self.database.transaction() as connection:
                return self.writer.write_unchanged(connection, repo, made, uploader, contents)

    def squash(self, repo: Repo, branch: str, message: str, author: str) -> Commit:
        """Replace the history of a branch by one commit with its files; older commits can still be read by their id.

        Raises:
            HubHTTPError: 404 RevisionNotFound.
        """
        reference = full_ref(branch)
        title, _, rest = message.partition("\n")
        title = title or f"Super-squash branch '{branch}' using seqhub"
        for _ in range(WRITE_ATTEMPTS):
            with self.database.reading_latest() as connection:
                head = ref_target(connection, repo.id, reference)
                chain = index.index_chain(connection, point_of(connection, head))
                tree = connection.execute("SELECT tree FROM commits WHERE id = ?", (head,)).fetchone()[0]
            packed = objects.pack("commit", git.commit_data(tree, [], author, int(time.time()), title, rest.strip()))
            mark = None
            with self.database.transaction() as connection:
                query = "SELECT id FROM commits WHERE repo = ? AND oid = ?"
                row = connection.execute(query, (repo.id, packed.oid)).fetchone()
                if row is None:
                    line = index.new_line(connection, repo.id, None, inherits=False)
                    mark = begin(connection, "line", repo.id, line)
                    place = index.Point(line, 0)
                    new = keep_commit(connection, repo.id, packed, place, None, tree, author, title, rest.strip())
                else:
                    new = row[0]
            if mark is not None:
                with self.database.reading_latest() as connection:
                    rows = index.copied(connection, chain, line, 0, lambda _, new=new: new)  # type: ignore[misc]
                    self.database.in_slices(index.INSERT, rows)
            with self.database.transaction() as connection:
                if ref_target(connection, repo.id, reference) == head:
                    connection.execute(
                        "UPDATE refs SET target = ? WHERE repo = ? AND ref = ?", (new, repo.id, reference)
                    )
                    if mark is not None:
                        end(connection, mark)
                    return commit_of(connection, new)
            if mark is not None:
                drop_line(self.database, line, mark)
        raise branch_is_busy()

    def delete_large(self, repo: Repo, *wanted: str, author: str = "seqhub") -> None:
        """Delete large files permanently, all or none, from all branches and from the history.

        Args:
            repo: The repository.
            wanted: SHA-256 of each file.
            author: Author of the commits.

        Raises:
            HubHTTPError: 404 if the repository does not contain a file.
        """
        sizes: dict[bytes, int] = {}
        for sha256 in wanted:
            size = self.writer.blobs.size_in(repo, sha256)
            if size is None:
                raise HubHTTPError(404, f"no large file {sha256[:64]} in {repo.repo_id}", code="EntryNotFound")
            sizes[bytes.fromhex(sha256)] = size
        with self.database.transaction() as connection:
            query = "SELECT ref, target FROM refs WHERE repo = ? AND ref NOT LIKE 'refs/tags/%'"
            for reference, head in connection.execute(query, (repo.id,)).fetchall():
                chain = index.index_chain(connection, point_of(connection, head))
                stage = Stage(connection, repo, chain, self.writer.blobs.path)
                for key in sizes:
                    stage.files.update(dict.fromkeys(index.paths_of(connection, chain, key)))
                if changes := stage.changes():
                    found = plan(connection, repo, reference, head, changes, self.limits)
                    append(connection, repo, reference, found, author, "Delete a large file", "")
            for key, size in sizes.items():
                if connection.execute("INSERT OR IGNORE INTO purged VALUES (?, ?)", (repo.id, key)).rowcount:
                    add_bytes(connection, repo, -size)

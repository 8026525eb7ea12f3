"""Writing: commits with compare-and-swap, branches, tags, squashing."""

import sqlite3
import time
from collections.abc import Sequence

from seqhub.server import git
from seqhub.server.model import (
    DEFAULT_BRANCH,
    Account,
    Commit,
    Operation,
    Ref,
    Repo,
    Token,
)
from seqhub.server.refusal import Refusal, branch_was_updated, revision_not_found
from seqhub.server.store import index, objects
from seqhub.server.store.counting import add_bytes, count_changes, require_quota
from seqhub.server.store.events import check_pull_request, note_commit
from seqhub.server.store.history import BRANCH, TAG, History, commit_of, find_commit, point_of
from seqhub.server.store.names import check_ref_name
from seqhub.server.store.staging import Prepared, Stage, prepare
from seqhub.server.store.writing import append, keep_commit

_SHORTEST = 7  # digits of an abbreviated commit id


class Commits(History):
    """The part of the Store that writes revisions."""

    def commit(
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
    ) -> Commit:
        """Apply operations in their order to a branch or pull request, wholly or not at all.

        Args:
            repo: The repository.
            branch_ref: "main", refs/heads/main or refs/pr/3.
            operations: What to do.
            expected_parent: The head that the writer saw, whole or 7 digits at least; None for any.
            author: Name of the author.
            title: First line of the message.
            message: The rest.
            uploader: Account that must have sent, or be able to read, the large files.
            token: Token by which it must; None for any.

        Returns:
            The new commit; the head as it was if nothing changed.

        Raises:
            Refusal: 412 if somebody else committed first, 404 for a missing branch or file, 422 for bad paths and
                conflicts, 400 for a large file that is not the uploader's, 403 beyond a quota, 507 for a full disk.
        """
        prepared = prepare(operations, self.limits)
        with self.database.transaction() as connection:
            reference = full_ref(branch_ref)
            head = ref_target(connection, repo.id, reference)
            check_pull_request(connection, repo.id, reference)
            seen = commit_of(connection, head).oid
            given = expected_parent.lower() if expected_parent else seen
            if len(given) < _SHORTEST or not seen.startswith(given):
                raise branch_was_updated()
            return self._commit(connection, repo, reference, head, prepared, author, title, message, uploader, token)

    def _commit(
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
    ) -> Commit:
        stage = Stage(connection, repo, index.index_chain(connection, point_of(connection, head)), self.blob_path)
        for operation, path, packed in prepared:
            stage.apply(operation, path, packed, uploader, token)
        changes = stage.changes()
        if changes:
            count_changes(connection, repo, changes)
        if changes or stage.restored:
            require_quota(connection, repo, self.limits)
        objects.write(connection, repo.id, stage.objects())
        if not changes:
            return commit_of(connection, head)
        new = append(connection, repo, reference, head, changes, author, title, message, self.limits)
        commit = commit_of(connection, new)
        note_commit(connection, repo.id, reference, commit)
        return commit

    def super_squash(self, repo: Repo, branch: str, message: str, author: str) -> Commit:
        """Replace the history of a branch by one commit that holds its files; older commits stay readable by their id.

        Raises:
            Refusal: 404 RevisionNotFound.
        """
        reference = full_ref(branch)
        with self.database.transaction() as connection:
            head = ref_target(connection, repo.id, reference)
            chain = index.index_chain(connection, point_of(connection, head))
            tree = connection.execute("SELECT tree FROM commits WHERE id = ?", (head,)).fetchone()[0]
            title, _, rest = message.partition("\n")
            title = title or f"Super-squash branch '{branch}' using seqhub"
            packed = objects.pack("commit", git.commit_data(tree, [], author, int(time.time()), title, rest.strip()))
            query = "SELECT id FROM commits WHERE repo = ? AND oid = ?"
            row = connection.execute(query, (repo.id, packed.oid)).fetchone()
            if row is None:
                line = index.new_line(connection, repo.id, None, inherits=False)
                new = keep_commit(
                    connection, repo.id, packed, index.Point(line, 0), None, tree, author, title, rest.strip()
                )
                index.copy_rows(connection, chain, line, 0, lambda _: new)
            else:
                new = row[0]
            connection.execute("UPDATE refs SET target = ? WHERE repo = ? AND ref = ?", (new, repo.id, reference))
            return commit_of(connection, new)

    def create_branch(self, repo: Repo, name: str, start: str = "HEAD", *, overwrite: bool = False) -> Ref:
        """Let a new branch begin at a revision; with `overwrite` in place of one of that name.

        Raises:
            Refusal: 400 for a bad name, 403 to overwrite main, 404 for a missing revision, 409 if it exists.
        """
        if overwrite and name == DEFAULT_BRANCH:
            raise Refusal(403, f"Cannot overwrite {BRANCH}{DEFAULT_BRANCH}")
        return self._create_ref(repo, BRANCH, name, start, None, "", overwrite=overwrite)

    def create_tag(
        self, repo: Repo, name: str, revision: str, message: str | None = None, author: str = "seqhub"
    ) -> Ref:
        """Name a revision for good; errors as in `create_branch`."""
        return self._create_ref(repo, TAG, name, revision, message, author)

    def delete_branch(self, repo: Repo, name: str) -> None:
        """Forget a branch; its commits stay readable by their id.

        Raises:
            Refusal: 403 for main, 404 if it does not exist.
        """
        if name.removeprefix(BRANCH) == DEFAULT_BRANCH:
            raise Refusal(403, f"Cannot delete {BRANCH}{DEFAULT_BRANCH}")
        self._delete_ref(repo, BRANCH, name)

    def delete_tag(self, repo: Repo, name: str) -> None:
        """Forget a tag.

        Raises:
            Refusal: 404 if it does not exist.
        """
        self._delete_ref(repo, TAG, name)

    def delete_large(self, repo: Repo, *wanted: str, author: str = "seqhub") -> None:
        """Delete large files for good, all or none: from every branch by a commit, from all history by content.

        Args:
            repo: The repository.
            wanted: SHA-256 of each.
            author: Author of the commits.

        Raises:
            Refusal: 404; the repository has no such file.
        """
        sizes: dict[str, int] = {}
        for sha256 in wanted:
            size = self.holds(repo, sha256)
            if size is None:
                raise Refusal(404, f"no large file {sha256[:64]} in {repo.full_name}", code="EntryNotFound")
            sizes[sha256] = size
        gone = {bytes.fromhex(sha256) for sha256 in sizes}
        with self.database.transaction() as connection:
            query = "SELECT ref, target FROM refs WHERE repo = ? AND ref NOT LIKE 'refs/tags/%'"
            for reference, head in connection.execute(query, (repo.id,)).fetchall():
                chain = index.index_chain(connection, point_of(connection, head))
                stage = Stage(connection, repo, chain, self.blob_path)
                for row in index.visible(connection, chain, "", None):
                    if row.sha256 in gone:
                        stage.files[row.path] = None
                if changes := stage.changes():
                    append(connection, repo, reference, head, changes, author, "Delete a large file", "", self.limits)
            for sha256, key in [(key.hex(), key) for key in gone]:
                query = "INSERT OR IGNORE INTO purged VALUES (?, ?)"
                if connection.execute(query, (repo.id, key)).rowcount:
                    add_bytes(connection, repo, -sizes[sha256])

    def _create_ref(
        self,
        repo: Repo,
        prefix: str,
        name: str,
        start: str,
        message: str | None,
        author: str,
        *,
        overwrite: bool = False,
    ) -> Ref:
        kind = "branch" if prefix == BRANCH else "tag"
        reference = prefix + name
        parents = [reference[:place] for place, letter in enumerate(reference) if letter == "/"][2:]
        with self.database.transaction() as connection:
            target = find_commit(connection, repo.id, start)
            check_ref_name(name, kind)
            if overwrite:
                connection.execute("DELETE FROM refs WHERE repo = ? AND ref = ?", (repo.id, reference))
            # Git keeps refs as files, so a branch `a` leaves no room for a branch `a/b`.
            taken = [reference, *parents]
            query = f"""SELECT ref FROM refs WHERE repo = ? AND (ref IN ({", ".join("?" * len(taken))})
                OR (ref > ? AND ref < ?)) ORDER BY ref = ? DESC LIMIT 1"""
            row = connection.execute(query, (repo.id, *taken, reference + "/", reference + "0", reference)).fetchone()
            if row:
                raise Refusal(409, f"Reference {row[0]} already exists")
            oid = commit_of(connection, target).oid
            tag = None
            if message:
                data = git.tag_data(bytes.fromhex(oid), name, author, int(time.time()), message)
                packed = objects.pack("tag", data)
                objects.write(connection, repo.id, [packed])
                tag = packed.oid
            values = (repo.id, reference, target, tag, message)
            connection.execute("INSERT INTO refs (repo, ref, target, tag, message) VALUES (?, ?, ?, ?, ?)", values)
            return Ref(name, reference, oid, message)

    def _delete_ref(self, repo: Repo, prefix: str, name: str) -> None:
        reference = prefix + name.removeprefix(prefix)
        with self.database.transaction() as connection:
            if not connection.execute("DELETE FROM refs WHERE repo = ? AND ref = ?", (repo.id, reference)).rowcount:
                raise revision_not_found(name[:200])


def full_ref(branch: str) -> str:
    """refs/heads/main of main; refs/... as it is."""
    return branch if branch.startswith("refs/") else BRANCH + (DEFAULT_BRANCH if branch == "HEAD" else branch)


def ref_target(connection: sqlite3.Connection, repo: int, reference: str) -> int:
    """The row id of a ref's commit; a tag cannot be written to."""
    query = "SELECT target FROM refs WHERE repo = ? AND ref = ?"
    row = None if reference.startswith(TAG) else connection.execute(query, (repo, reference)).fetchone()
    if row is None:
        raise revision_not_found(reference.removeprefix(BRANCH)[:200])
    return int(row[0])

"""Writing: commits with compare-and-swap, branches, tags, squashing."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import NamedTuple

from seqhub.server import git
from seqhub.server.errors import HubHTTPError, branch_was_updated, revision_not_found
from seqhub.server.store import index, objects
from seqhub.server.store.contents import Contents
from seqhub.server.store.counting import add_bytes, require_quota
from seqhub.server.store.events import check_pull_request, note_commit
from seqhub.server.store.history import BRANCH, TAG, History, commit_of, find_commit, point_of
from seqhub.server.store.names import check_ref_name
from seqhub.server.store.staging import Prepared, Stage, note_large, prepare
from seqhub.server.store.tree_writer import Plan, added_now, append, commit_object, keep_commit, plan, point_ref
from seqhub.server.store.unfinished import begin, drop_line, end, require
from seqhub.server.types import (
    DEFAULT_BRANCH,
    Account,
    Commit,
    Operation,
    Ref,
    Repo,
    Token,
)

_SHORTEST = 7  # digits of an abbreviated commit id
_TRIES = 5  # plans of a commit while others move the branch


class Unchanged(NamedTuple):
    """What operations bring that change nothing."""

    head: Commit
    blobs: list[objects.Packed]
    large: dict[bytes, int]


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
        contents: Contents | None = None,
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
            contents: Where the contents of operations wait that are staged.

        Returns:
            The new commit; the head as it was if nothing changed.

        Raises:
            Refusal: 412 if somebody else committed first, 404 for a missing branch or file, 422 for bad paths and
                conflicts, 400 for a large file that is not the uploader's, 403 beyond a quota, 507 for a full disk.
        """
        reference = full_ref(branch_ref)
        with nullcontext(contents) if contents is not None else self.contents() as contents:
            prepared = prepare(operations, self.limits, contents)

            def planned(connection: sqlite3.Connection) -> Plan | Unchanged:
                head = ref_target(connection, repo.id, reference)
                check_pull_request(connection, repo.id, reference)
                seen = commit_of(connection, head).oid
                given = expected_parent.lower() if expected_parent else seen
                if len(given) < _SHORTEST or not seen.startswith(given):
                    raise branch_was_updated()
                return self._planned(connection, repo, reference, head, prepared, uploader, token, contents)

            def noted(connection: sqlite3.Connection, commit: Commit, found: Plan) -> None:
                note_large(connection, repo, found.large, uploader)
                require_quota(connection, repo, self.limits)
                note_commit(connection, repo.id, reference, commit)

            with self.database.reading() as connection:
                first = planned(connection)  # what is refused leaves nothing behind
            contents.keep(self.database, self.blob_path)
            made = self._write(repo, reference, planned, noted, author, title, message, contents, first)
            if isinstance(made, Commit):
                return made
            with self.database.transaction() as connection:
                return self._write_unchanged(connection, repo, made, uploader, contents)

    def contents(self) -> Contents:
        """A place for the contents of one commit, which a `with` block empties."""
        return Contents(self.root, self.limits.small_bytes)

    def _planned(
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
        """What operations would write."""
        stage = Stage(connection, repo, index.index_chain(connection, point_of(connection, head)), self.blob_path)
        for operation, path, packed in prepared:
            stage.apply(operation, path, packed, uploader, token)
        changes, blobs = stage.changes(), stage.objects()
        if not changes:
            return Unchanged(commit_of(connection, head), blobs, stage.large)
        row = changes.get("README.md")
        brought = next((item for item in blobs if row is not None and item.oid == row.oid), None)
        readme = None if brought is None else contents.opened(brought)
        return plan(
            connection, repo, reference, head, changes, self.limits, blobs=blobs, large=stage.large, readme=readme
        )

    def _write_unchanged(
        self, connection: sqlite3.Connection, repo: Repo, found: Unchanged, uploader: Account, contents: Contents
    ) -> Commit:
        """Write what a commit that changes nothing brings all the same: contents that may be damaged here."""
        objects.write(connection, repo.id, found.blobs, contents.load)
        if note_large(connection, repo, found.large, uploader):
            require_quota(connection, repo, self.limits)
        return found.head

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
        contents: Contents,
    ) -> Commit:
        """Plan and write a small commit within a transaction of the caller."""
        found = self._planned(connection, repo, reference, head, prepared, uploader, token, contents)
        if isinstance(found, Unchanged):
            return self._write_unchanged(connection, repo, found, uploader, contents)
        new = append(connection, repo, reference, found, author, title, message, contents.load)
        commit = commit_of(connection, new)
        note_large(connection, repo, found.large, uploader)
        require_quota(connection, repo, self.limits)
        note_commit(connection, repo.id, reference, commit)
        return commit

    def _write(
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
        """Plan without the writer's place, then write if the ref is where it was; otherwise once more.

        Args:
            repo: The repository.
            reference: The ref to move.
            planned: Computes the plan from one state of the database.
            noted: Writes what belongs to the commit, in its last transaction.
            author: Name of the author.
            title: First line of the message.
            message: The rest.
            contents: Holds the contents that the commit brings.
            first: A plan that was computed before.

        Returns:
            The commit, or that there is nothing to change.
        """
        load = contents.load
        for attempt in range(_TRIES):
            found = first
            if attempt or found is None:
                with self.database.reading() as connection:
                    found = planned(connection)
            if isinstance(found, Unchanged):
                return found
            if found.is_small:
                with self.database.transaction() as connection:
                    if ref_target(connection, repo.id, reference) != found.head:
                        if attempt == 0:
                            continue
                        found = planned(connection)  # small, so that others wait for milliseconds
                        if isinstance(found, Unchanged):
                            return found
                    new = append(connection, repo, reference, found, author, title, message, load)
                    commit = commit_of(connection, new)
                    noted(connection, commit, found)
                    return commit
            commit_or_none = self._write_large(repo, reference, found, noted, author, title, message, load)
            if commit_or_none is not None:
                return commit_or_none
        raise HubHTTPError(503, "others commit to this branch all the time; try again", headers={"Retry-After": "1"})

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
        """Write a commit of many rows on a line of its own, which nothing shows before the ref points to it.

        Returns:
            None if the ref has moved meanwhile; what was written is removed then, except objects, which gc removes.
        """
        database = self.database
        with database.transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM objects").fetchone()
            first = begin(connection, "objects", repo.id, last)
        database.in_slices(objects.INSERT, objects.rows(repo.id, found.objects, load))
        packed = commit_object(found, author, title, message)
        seq = found.point.seq
        with database.transaction() as connection:
            # An index that is not longer than what changes is copied: a path is looked up in fewer places then.
            inherits = len(found.chain) < index.DEEP and index.is_longer(connection, found.chain, len(found.changes))
            new_line = index.new_line(connection, repo.id, found.point, inherits=inherits)
            second = begin(connection, "line", repo.id, new_line)
            query = "SELECT 1 FROM commits WHERE repo = ? AND oid = ?"
            if connection.execute(query, (repo.id, packed.oid)).fetchone():  # the same in the same second, elsewhere
                packed = commit_object(found, author, title, message + "\n")
            place = index.Point(new_line, seq + 1)
            new = keep_commit(connection, repo.id, packed, place, found.parent, found.tree, author, title, message)
        try:
            rows = found.rows
            if not inherits:
                with database.reading() as connection:
                    copied = index.copied(connection, found.chain, new_line, seq, lambda row: row.target)
                    database.in_slices(index.INSERT, (row for row in copied if row[1] not in rows))
            database.in_slices(index.INSERT, index.begun(rows, new_line, seq + 1, new, inherits=inherits))
            with database.transaction() as connection:
                if ref_target(connection, repo.id, reference) == found.head:
                    require(connection, first)
                    add_bytes(connection, repo, added_now(connection, repo, found, new, new_line))
                    objects.note_sound(connection, found.objects)
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

    def super_squash(self, repo: Repo, branch: str, message: str, author: str) -> Commit:
        """Replace the history of a branch by one commit that holds its files; older commits stay readable by their id.

        Raises:
            Refusal: 404 RevisionNotFound.
        """
        reference = full_ref(branch)
        title, _, rest = message.partition("\n")
        title = title or f"Super-squash branch '{branch}' using seqhub"
        for _ in range(_TRIES):
            with self.database.reading() as connection:
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
                with self.database.reading() as connection:
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
        raise HubHTTPError(503, "others commit to this branch all the time; try again", headers={"Retry-After": "1"})

    def create_branch(self, repo: Repo, name: str, start: str = "HEAD", *, overwrite: bool = False) -> Ref:
        """Let a new branch begin at a revision; with `overwrite` in place of one of that name.

        Raises:
            Refusal: 400 for a bad name, 403 to overwrite main, 404 for a missing revision, 409 if it exists.
        """
        if overwrite and name == DEFAULT_BRANCH:
            raise HubHTTPError(403, f"Cannot overwrite {BRANCH}{DEFAULT_BRANCH}")
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
            raise HubHTTPError(403, f"Cannot delete {BRANCH}{DEFAULT_BRANCH}")
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
        sizes: dict[bytes, int] = {}
        for sha256 in wanted:
            size = self.holds(repo, sha256)
            if size is None:
                raise HubHTTPError(404, f"no large file {sha256[:64]} in {repo.full_name}", code="EntryNotFound")
            sizes[bytes.fromhex(sha256)] = size
        with self.database.transaction() as connection:
            query = "SELECT ref, target FROM refs WHERE repo = ? AND ref NOT LIKE 'refs/tags/%'"
            for reference, head in connection.execute(query, (repo.id,)).fetchall():
                chain = index.index_chain(connection, point_of(connection, head))
                stage = Stage(connection, repo, chain, self.blob_path)
                for key in sizes:
                    stage.files.update(dict.fromkeys(index.paths_of(connection, chain, key)))
                if changes := stage.changes():
                    found = plan(connection, repo, reference, head, changes, self.limits)
                    append(connection, repo, reference, found, author, "Delete a large file", "")
            for key, size in sizes.items():
                if connection.execute("INSERT OR IGNORE INTO purged VALUES (?, ?)", (repo.id, key)).rowcount:
                    add_bytes(connection, repo, -size)

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
                raise HubHTTPError(409, f"Reference {row[0]} already exists")
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

"""Branches, tags and heads of pull requests."""

import re
import sqlite3
import time

from seqhub.server import git
from seqhub.server.errors import HubHTTPError, revision_not_found
from seqhub.server.store import objects
from seqhub.server.store.base import StorePart
from seqhub.server.store.names import check_ref_name
from seqhub.server.store.revisions import BRANCH, TAG, commit_of, find_commit
from seqhub.server.types import DEFAULT_BRANCH, Ref, Repo


class Refs(StorePart):
    """Branches, tags and heads of pull requests."""

    def of_repo(self, repo: Repo) -> list[Ref]:
        """Return branches (main first), tags and heads of pull requests."""
        with self.database.reading() as connection:
            query = "SELECT ref, oid, refs.message FROM refs JOIN commits ON commits.id = target WHERE refs.repo = ?"
            found = [
                Ref(re.sub("^refs/(heads|tags|pr)/", "", ref), ref, oid.hex(), message)
                for ref, oid, message in connection.execute(query, (repo.id,))
            ]
        return sorted(found, key=lambda ref: (ref.ref != BRANCH + DEFAULT_BRANCH, ref.ref))

    def create_branch(self, repo: Repo, name: str, start: str = "HEAD", *, overwrite: bool = False) -> Ref:
        """Create a branch at a revision; with `overwrite`, an existing branch is moved.

        Raises:
            HubHTTPError: 400 for an invalid name, 403 to overwrite main, 404 for a missing revision, 409 if it exists.
        """
        if overwrite and name == DEFAULT_BRANCH:
            raise HubHTTPError(403, f"Cannot overwrite {BRANCH}{DEFAULT_BRANCH}")
        return self._create_ref(repo, BRANCH, name, start, None, "", overwrite=overwrite)

    def create_tag(
        self, repo: Repo, name: str, revision: str, message: str | None = None, author: str = "seqhub"
    ) -> Ref:
        """Create a tag at a revision; raises the errors of `create_branch`."""
        return self._create_ref(repo, TAG, name, revision, message, author)

    def delete_branch(self, repo: Repo, name: str) -> None:
        """Delete a branch; its commits can still be read by their id.

        Raises:
            HubHTTPError: 403 for main, 404 if it does not exist.
        """
        if name.removeprefix(BRANCH) == DEFAULT_BRANCH:
            raise HubHTTPError(403, f"Cannot delete {BRANCH}{DEFAULT_BRANCH}")
        self._delete_ref(repo, BRANCH, name)

    def delete_tag(self, repo: Repo, name: str) -> None:
        """Delete a tag.

        Raises:
            HubHTTPError: 404 if it does not exist.
        """
        self._delete_ref(repo, TAG, name)

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
            # Git stores refs as files, so a branch `a` and a branch `a/b` exclude each other.
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
    """Return the full name of a ref, refs/heads/main for main."""
    return branch if branch.startswith("refs/") else BRANCH + (DEFAULT_BRANCH if branch == "HEAD" else branch)


def ref_target(connection: sqlite3.Connection, repo: int, reference: str) -> int:
    """Return the row id of the commit of a branch or pull request."""
    query = "SELECT target FROM refs WHERE repo = ? AND ref = ?"
    row = None if reference.startswith(TAG) else connection.execute(query, (repo, reference)).fetchone()
    if row is None:
        raise revision_not_found(reference.removeprefix(BRANCH)[:200])
    return int(row[0])

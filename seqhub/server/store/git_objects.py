"""Repositories as git objects, for clones and for exports."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from seqhub.server import git
from seqhub.server.store import objects, private
from seqhub.server.store.base import StorePart
from seqhub.server.store.database import storage_errors
from seqhub.server.types import DEFAULT_BRANCH, Repo


class GitObjects(StorePart):
    """Git objects and refs of a repository.

    Objects never change, so they can be read without a common snapshot.
    """

    def read(self, repo: Repo, oid: str) -> tuple[git.ObjectKind, bytes]:
        """Return kind and bytes of a git object.

        Raises:
            KeyError: It does not exist.
        """
        with self.database.reading() as connection:
            return objects.read(connection, repo.id, bytes.fromhex(oid))

    def file(self, repo: Repo, oid: str) -> Path | None:
        """Return the file with the content of a long object; None for other objects."""
        with self.database.reading() as connection:
            return objects.content_path(connection, repo.id, bytes.fromhex(oid))

    def refs(self, repo: Repo) -> dict[str, str]:
        """Return ref -> id of its commit, or of the object of an annotated tag."""
        query = "SELECT ref, coalesce(tag, oid) FROM refs JOIN commits ON commits.id = target WHERE refs.repo = ?"
        with self.database.reading() as connection:
            return {ref: oid.hex() for ref, oid in connection.execute(query + " ORDER BY ref", (repo.id,))}

    def all(self, repo: Repo) -> Iterator[tuple[str, git.ObjectKind, bytes]]:
        """Yield id, kind and bytes of all objects, including unreachable ones."""
        with self.database.reading() as connection:
            for (oid,) in connection.execute("SELECT oid FROM objects WHERE repo = ? ORDER BY id", (repo.id,)):
                yield oid.hex(), *objects.read(connection, repo.id, oid)

    def export(self, repo: Repo, folder: Path) -> None:
        """Write a bare git repository of loose objects; large files are written as pointers.

        Raises:
            HubHTTPError: 507 or 503 if the disk is full or read-only.
        """
        with storage_errors():
            for name in ("objects", "refs/heads", "refs/tags"):
                private.make_folder(folder / name, exist_ok=False)
            private.write(folder / "HEAD", f"ref: refs/heads/{DEFAULT_BRANCH}\n".encode())
            private.write(folder / "config", b"[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
            for oid, kind, data in self.all(repo):
                path = folder / "objects" / oid[:2] / oid[2:]
                private.make_folder(path.parent)
                private.write(path, zlib.compress(b"%s %d\0" % (kind.encode(), len(data)) + data, 1))
            lines = [f"{oid} {ref}\n" for ref, oid in self.refs(repo).items()]
            private.write(folder / "packed-refs", "".join(lines).encode())

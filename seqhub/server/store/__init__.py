"""Storage of a Hub in one folder: a SQLite database, and large files by their hash."""

from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

from seqhub.server.store import private
from seqhub.server.store.access_requests import AccessRequest, AccessRequests
from seqhub.server.store.accounts import Accounts
from seqhub.server.store.base import StoreContext
from seqhub.server.store.blobs import Blobs, BlobWriter
from seqhub.server.store.commit_writer import CommitWriter
from seqhub.server.store.commits import Commits
from seqhub.server.store.database import ConnectionPool, Database, SnapshotDatabase, storage_errors
from seqhub.server.store.discussions import Discussions
from seqhub.server.store.git_objects import GitObjects
from seqhub.server.store.likes import Likes
from seqhub.server.store.limits import Limits
from seqhub.server.store.listing import Listing
from seqhub.server.store.maintenance import Maintenance
from seqhub.server.store.overview import Overview
from seqhub.server.store.private import DATABASE
from seqhub.server.store.refs import Refs
from seqhub.server.store.repos import Repos
from seqhub.server.store.results import Results
from seqhub.server.store.revisions import Revisions
from seqhub.server.store.scans import Scans
from seqhub.server.store.token_uses import TokenUses
from seqhub.server.store.tokens import Tokens, write_uses

__all__ = ["AccessRequest", "BlobWriter", "Limits", "Store", "StoreParts", "StoreSession"]


class StoreParts:
    """Parts of a store that share a context; each part is created on first use.

    Args:
        context: Context that all parts share.

    Attributes:
        accounts, tokens: Users, organisations and their access tokens.
        repos, listing: Repositories, and lists of them.
        revisions, refs, commits: Reading commits and files; branches and tags; writing commits.
        git: Git objects.
        blobs, scans: Large files; results of scans for pickles.
        results: Results of models on datasets.
        discussions, likes, access_requests: Discussions and pull requests; likes; access to gated repositories.
        maintenance, overview: Checks, garbage collection, backups; sizes and use by account.
    """

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self.root = context.root
        self.limits = context.limits

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self._context)

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self._context)

    @cached_property
    def repos(self) -> Repos:
        return Repos(self._context, self._commit_writer)

    @cached_property
    def listing(self) -> Listing:
        return Listing(self._context)

    @cached_property
    def results(self) -> Results:
        return Results(self._context)

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self._context, self.blobs)

    @cached_property
    def refs(self) -> Refs:
        return Refs(self._context)

    @cached_property
    def commits(self) -> Commits:
        return Commits(self._context, self._commit_writer)

    @cached_property
    def git(self) -> GitObjects:
        return GitObjects(self._context)

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self._context)

    @cached_property
    def scans(self) -> Scans:
        return Scans(self._context)

    @cached_property
    def discussions(self) -> Discussions:
        return Discussions(self._context, self._commit_writer)

    @cached_property
    def likes(self) -> Likes:
        return Likes(self._context)

    @cached_property
    def access_requests(self) -> AccessRequests:
        return AccessRequests(self._context)

    @cached_property
    def maintenance(self) -> Maintenance:
        return Maintenance(self._context)

    @cached_property
    def overview(self) -> Overview:
        return Overview(self._context)

    @cached_property
    def _commit_writer(self) -> CommitWriter:
        return CommitWriter(self._context, self.blobs)

    @property
    def database(self) -> Database:
        """The database, for tests and tools that read rows."""
        return self._context.database

    @property
    def instance_id(self) -> str:
        """Random id, which changes after a restore and after a garbage collection that removed data."""
        return self._meta("instance_id").decode()

    @property
    def secret(self) -> bytes:
        """Random key for signatures of this Hub."""
        return self._meta("secret")

    def _meta(self, key: str) -> bytes:
        with self._context.database.reading() as connection:
            value: bytes = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            return value


class Store(StoreParts):
    """Storage of a Hub, composed of a part for each subject.

    Thread-safe. Several processes may share a root. All methods are synchronous.

    Args:
        root: Folder; created if it does not exist.
        limits: Limits of storage.

    Raises:
        HubHTTPError: 503 or 507 if the folder cannot be written, or was written by a newer seqhub.
    """

    def __init__(self, root: Path, *, limits: Limits = Limits()) -> None:  # noqa: B008  # it is frozen
        root = Path(root)
        with storage_errors():
            private.secure(root)
            for folder in (root, root / "blobs", root / "tmp"):
                private.make_folder(folder)
        self._pool = ConnectionPool(root / DATABASE, limits.busy_seconds)
        database = Database(self._pool)
        super().__init__(StoreContext(root, limits, database, TokenUses(lambda uses: write_uses(database, uses))))

    def session(self) -> "StoreSession":
        """Return the store for one request."""
        return StoreSession(self._context)

    def close(self) -> None:
        """Close the database; the store cannot be used afterwards."""
        self._context.token_uses.close()
        self._pool.close()


class StoreSession(StoreParts):
    """Store for a request; all reads within `snapshot()` see the same state of the database.

    Args:
        context: Context of the store.
    """

    def __init__(self, context: StoreContext) -> None:
        self._database = SnapshotDatabase(context.database.pool)
        super().__init__(StoreContext(context.root, context.limits, self._database, context.token_uses))

    def snapshot(self) -> AbstractContextManager[None]:
        """Share one transaction between all reads of the block; a write ends it, and the next read begins another."""
        return self._database.snapshot()

    def release(self) -> None:
        """End the shared transaction before long work, since the write-ahead log grows while it is open."""
        self._database.release()

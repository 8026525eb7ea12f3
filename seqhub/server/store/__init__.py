"""Everything that a Hub stores, in one folder: a SQLite database, and large files by their content. No HTTP here."""

from pathlib import Path

from seqhub.server.store import private
from seqhub.server.store.access_requests import AccessRequest, AccessRequests
from seqhub.server.store.accounts import Accounts
from seqhub.server.store.base import StoreContext
from seqhub.server.store.blobs import Blobs, BlobWriter
from seqhub.server.store.commit_writer import CommitWriter
from seqhub.server.store.commits import Commits
from seqhub.server.store.database import Database, refusing
from seqhub.server.store.discussions import Discussions
from seqhub.server.store.git_objects import GitObjects
from seqhub.server.store.likes import Likes
from seqhub.server.store.limits import Limits
from seqhub.server.store.listing import Listing
from seqhub.server.store.maintenance import Maintenance
from seqhub.server.store.private import DATABASE
from seqhub.server.store.refs import Refs
from seqhub.server.store.repos import Repos
from seqhub.server.store.revisions import Revisions
from seqhub.server.store.scans import Scans
from seqhub.server.store.token_uses import TokenUses
from seqhub.server.store.tokens import Tokens, write_uses

__all__ = ["AccessRequest", "BlobWriter", "Limits", "Store"]


class Store:
    """The storage of a Hub, composed of one part for each subject.

    Thread-safe; several processes may share one root; every method is synchronous.

    Args:
        root: The folder; created if absent.
        limits: Limits of storage.

    Attributes:
        accounts, tokens: Users, organisations and their access tokens.
        repos, listing: Repositories, and lists of them.
        revisions, refs, commits: Reading commits and files; branches and tags; writing commits.
        git: Objects as git has them.
        blobs, scans: Large files; results of scans for pickles.
        discussions, likes, access_requests: Discussions and pull requests; likes; access to gated repositories.
        maintenance: Checks, garbage collection, backups.

    Raises:
        HubHTTPError: 503 or 507; the folder cannot be written, or was written by a newer seqhub.
    """

    def __init__(self, root: Path, *, limits: Limits = Limits()) -> None:  # noqa: B008  # it is frozen
        root = Path(root)
        with refusing():
            private.secure(root)
            for folder in (root, root / "blobs", root / "tmp"):
                private.make_folder(folder)
        database = Database(root / DATABASE, limits.busy_seconds)
        self._compose(StoreContext(root, limits, database, TokenUses(lambda uses: write_uses(database, uses))))

    def _compose(self, context: StoreContext) -> None:
        self._context = context
        self.root = context.root
        self.limits = context.limits
        self.accounts = Accounts(context)
        self.tokens = Tokens(context)
        self.blobs = Blobs(context)
        writer = CommitWriter(context, self.blobs)
        self.repos = Repos(context, writer)
        self.listing = Listing(context)
        self.revisions = Revisions(context, self.blobs)
        self.refs = Refs(context)
        self.commits = Commits(context, writer)
        self.git = GitObjects(context)
        self.scans = Scans(context)
        self.discussions = Discussions(context, writer)
        self.likes = Likes(context)
        self.access_requests = AccessRequests(context)
        self.maintenance = Maintenance(context)

    @property
    def database(self) -> Database:
        """The database, for tests and tools that look at rows."""
        return self._context.database

    @property
    def instance_id(self) -> str:
        """Random id, which changes after a wipe, a restore and a garbage collection that removed something."""
        return self._meta("instance_id").decode()

    @property
    def secret(self) -> bytes:
        """Random key with which this Hub signs what it will check later."""
        return self._meta("secret")

    def close(self) -> None:
        """Close the database; the store cannot be used afterwards."""
        self._context.token_uses.close()
        self._context.database.close()

    def _meta(self, key: str) -> bytes:
        with self._context.database.reading() as connection:
            value: bytes = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            return value

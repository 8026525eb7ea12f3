"""Everything a Hub keeps, in one folder: a SQLite database, and large files by their content. It knows no HTTP.

Beyond the contract: `tags`, `likes`, `downloads`, `count_download`, `used_bytes`, `accounts`, `count_repos`,
`tag_counts`, `changes` (files that differ between two commits), `git_object`, `git_refs`, `git_objects`, `export_git`,
`duplicate_repo`, `create_with_files` (a repository and its first files, both or neither), `propose` (a pull request
with its first commit, both or neither), `open_discussion(base=, status=)`. `discussions` takes keywords and gives
(page, total); `list_large` gives tuples; `liked_by` gives (repo, time); `decide(grant=True)` adds an account that did
not ask; `edit_comment` and `hide_comment` do not check who may.
"""

from pathlib import Path

from seqhub.server.store import private
from seqhub.server.store.accounts import Accounts
from seqhub.server.store.blobs import BlobWriter
from seqhub.server.store.creating import Creating
from seqhub.server.store.database import Database, refusing
from seqhub.server.store.discussions import Discussions
from seqhub.server.store.duplicate import Duplicating
from seqhub.server.store.export import Exporting
from seqhub.server.store.limits import Limits
from seqhub.server.store.listing import Listing
from seqhub.server.store.maintenance import Maintenance
from seqhub.server.store.private import DATABASE
from seqhub.server.store.scans import Scans
from seqhub.server.store.social import AccessRequest, Social
from seqhub.server.store.token_uses import TokenUses

__all__ = ["AccessRequest", "BlobWriter", "Limits", "Store"]


class Store(Accounts, Creating, Duplicating, Listing, Discussions, Social, Scans, Exporting, Maintenance):
    """A Hub's memory. Thread-safe; several processes may share one root; every method is synchronous.

    Args:
        root: The folder; made if absent.
        limits: How much it takes in.

    Raises:
        Refusal: 503 or 507; the folder cannot be written, or was written by a newer seqhub.
    """

    def __init__(self, root: Path, *, limits: Limits = Limits()) -> None:  # noqa: B008 # it is frozen
        self.root = Path(root)
        self.limits = limits
        with refusing():
            private.secure(self.root)
            for folder in (self.root, self.root / "blobs", self.root / "tmp"):
                private.make_folder(folder)
        self.database = Database(self.root / DATABASE, limits.busy_seconds)
        self.token_uses = TokenUses(self.write_token_uses)

    @property
    def instance_id(self) -> str:
        """Random; another one after a wipe, a restore and a gc that removed something."""
        return self._meta("instance_id").decode()

    @property
    def secret(self) -> bytes:
        """Random key by which this Hub signs what it will check later."""
        return self._meta("secret")

    def close(self) -> None:
        """Close the database; the Store is of no use afterwards."""
        self.token_uses.close()
        self.database.close()

    def _meta(self, key: str) -> bytes:
        with self.database.reading() as connection:
            value: bytes = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
            return value

"""New repositories with their first files, in one transaction."""

from collections.abc import Sequence

from seqhub.server.store.commits import Commits, ref_target
from seqhub.server.store.history import BRANCH
from seqhub.server.store.repos import Repos
from seqhub.server.store.staging import prepare
from seqhub.server.types import DEFAULT_BRANCH, Account, Kind, Operation, Repo, Token


class Creating(Repos, Commits):
    """The part of the Store that makes repositories which begin with files."""

    def create_with_files(
        self,
        kind: Kind,
        full_name: str,
        operations: Sequence[Operation],
        *,
        private: bool = False,
        sdk: str | None = None,
        uploader: Account,
        token: Token | None = None,
    ) -> Repo:
        """Make a repository whose first commit holds .gitattributes, and a second one with files, both or neither.

        Args:
            kind: Of the repository.
            full_name: Its namespace and name.
            operations: The files; without any there is no second commit.
            private: Whether it is private.
            sdk: Of a space.
            uploader: The author.
            token: Token of the request.

        Raises:
            Refusal: As `create_repo` and `commit`.
        """
        reference, author = BRANCH + DEFAULT_BRANCH, uploader.name
        with self.contents() as contents:
            prepared = prepare(operations, self.limits, contents)
            contents.keep(self.database, self.blob_path)
            with self.database.transaction() as connection:
                repo = self._create(connection, kind, full_name, private, "no", sdk, author)
                if prepared:
                    head = ref_target(connection, repo.id, reference)
                    title = "initial commit"
                    self._commit(
                        connection, repo, reference, head, prepared, author, title, "", uploader, token, contents
                    )
                return repo

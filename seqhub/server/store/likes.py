"""Likes of repositories."""

from datetime import datetime

from seqhub.server.store.accounts import ACCOUNT, to_account
from seqhub.server.store.base import StorePart, moment, now
from seqhub.server.store.repo_rows import REPO, to_repo
from seqhub.server.types import Account, Repo


class Likes(StorePart):
    """Likes of repositories."""

    def add(self, repo: Repo, account: Account) -> None:
        """Add a like; a second one is ignored."""
        self._change("INSERT OR IGNORE INTO likes VALUES (?, ?, ?)", repo, (repo.id, account.id, now()))

    def remove(self, repo: Repo, account: Account) -> None:
        """Remove a like."""
        self._change("DELETE FROM likes WHERE repo = ? AND account = ?", repo, (repo.id, account.id))

    def count(self, repo: Repo) -> int:
        """Return the number of accounts that like a repository."""
        with self.database.reading() as connection:
            row = connection.execute("SELECT likes FROM repos WHERE id = ?", (repo.id,)).fetchone()
            return row[0] if row else 0

    def accounts(self, repo: Repo) -> list[Account]:
        """Return the accounts that like a repository, sorted by name."""
        query = ACCOUNT + " WHERE id IN (SELECT account FROM likes WHERE repo = ?) ORDER BY key"
        with self.database.reading() as connection:
            return [to_account(row) for row in connection.execute(query, (repo.id,))]

    def repos_of(self, account: Account, viewer: Account | None = None) -> list[tuple[Repo, datetime]]:
        """Return the repositories that an account likes and `viewer` may see, with the time, newest like first."""
        query = f"""{REPO.replace(" FROM", ", likes.created FROM", 1)} JOIN likes ON likes.repo = repos.id
            WHERE likes.account = :account AND (repos.private = 0 OR repos.owner = :viewer
            OR repos.owner IN (SELECT org FROM members WHERE user = :viewer)) ORDER BY likes.created DESC"""
        with self.database.reading() as connection:
            rows = connection.execute(query, {"account": account.id, "viewer": viewer.id if viewer else 0})
            return [(to_repo(row[:-1]), moment(row[-1])) for row in rows]

    def _change(self, change: str, repo: Repo, values: tuple[int, ...]) -> None:
        with self.database.transaction() as connection:
            connection.execute(change, values)
            count = "UPDATE repos SET likes = (SELECT count(*) FROM likes WHERE repo = repos.id) WHERE id = ?"
            connection.execute(count, (repo.id,))

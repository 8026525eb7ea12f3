"""Requests for access to gated repositories."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from seqhub.server.errors import HubHTTPError
from seqhub.server.store.accounts import to_account
from seqhub.server.store.base import StorePart, moment, now
from seqhub.server.types import Account, Repo

AccessStatus = Literal["pending", "accepted", "rejected"]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A user's request for access to a gated repository."""

    account: Account
    status: AccessStatus
    fields: dict[str, str]  # form fields filled in by the user
    created: datetime


class AccessRequests(StorePart):
    """Requests for access to gated repositories."""

    def create(self, repo: Repo, account: Account, fields: dict[str, str] | None = None) -> AccessRequest:
        """Request access to a gated repository, granted immediately for "auto". A second call has no effect."""
        status = "accepted" if repo.gated == "auto" else "pending"
        with self.database.transaction() as connection:
            values = (repo.id, account.id, status, json.dumps(fields or {}), now())
            connection.execute("INSERT OR IGNORE INTO access_requests VALUES (?, ?, ?, ?, ?)", values)
        return next(request for request in self.of_repo(repo) if request.account.id == account.id)

    def of_repo(self, repo: Repo, status: AccessStatus | None = None) -> list[AccessRequest]:
        """Return the requests of a repository, oldest first."""
        columns = ", ".join(f"accounts.{name}" for name in ["id", "name", "is_org", "full_name", "email", "created"])
        query = f"""SELECT {columns}, r.status, r.fields, r.created FROM access_requests AS r
            JOIN accounts ON accounts.id = r.account WHERE r.repo = ? AND r.status = coalesce(?, r.status)
            ORDER BY r.created, accounts.id"""
        with self.database.reading() as connection:
            rows = connection.execute(query, (repo.id, status)).fetchall()
        return [AccessRequest(to_account(row[:6]), row[6], json.loads(row[7]), moment(row[8])) for row in rows]

    def decide(self, repo: Repo, user: str, status: AccessStatus, *, grant: bool = False) -> None:
        """Accept or reject a request, or reset it to pending.

        Args:
            repo: The repository.
            user: Name of the user.
            status: New status.
            grant: Allow the decision without a request of the user.

        Raises:
            HubHTTPError: 404 for an unknown user or one without a request, 400 for an unknown status, 409 if granted.
        """
        if status not in ("pending", "accepted", "rejected"):
            raise HubHTTPError(400, f"status={str(status)[:20]!r}: must be one of pending, accepted, rejected")
        with self.database.transaction() as connection:
            row = connection.execute("SELECT id FROM accounts WHERE key = ? AND NOT is_org", (user.lower(),)).fetchone()
            if row is None:
                raise HubHTTPError(404, f"no user {user[:100]!r}")
            if grant:
                query = "SELECT 1 FROM access_requests WHERE repo = ? AND account = ? AND status = 'accepted'"
                if connection.execute(query, (repo.id, row[0])).fetchone():
                    raise HubHTTPError(409, f"{user} already has access")
                values = (repo.id, row[0], status, "{}", now())
                connection.execute("INSERT OR IGNORE INTO access_requests VALUES (?, ?, ?, ?, ?)", values)
            query = "UPDATE access_requests SET status = ? WHERE repo = ? AND account = ?"
            if not connection.execute(query, (status, repo.id, row[0])).rowcount:
                raise HubHTTPError(404, f"{user} has not requested access")

    def may_read(self, repo: Repo, account: Account | None) -> bool:
        """Return whether an account may read the files of a gated repository as owner, member, or by a request."""
        if repo.gated == "no":
            return True
        if account is None:
            return False
        query = """SELECT EXISTS (SELECT 1 FROM repos WHERE id = :repo AND (owner = :account
                OR owner IN (SELECT org FROM members WHERE user = :account)))
            OR EXISTS (SELECT 1 FROM access_requests
                WHERE repo = :repo AND account = :account AND status = 'accepted')"""
        with self.database.reading() as connection:
            return bool(connection.execute(query, {"repo": repo.id, "account": account.id}).fetchone()[0])

"""Rows of repositories, and checks before one is created."""

import sqlite3
from typing import Any

from seqhub.server.errors import HubHTTPError, repo_not_found
from seqhub.server.store.accounts import find_account
from seqhub.server.store.base import moment
from seqhub.server.store.limits import Limits
from seqhub.server.types import Account, Repo, RepoType

REPO = """SELECT repos.id, repos.kind, accounts.name, repos.name, repos.private, repos.gated, repos.created,
    repos.updated, repos.sdk FROM repos JOIN accounts ON accounts.id = repos.owner"""

HIDDEN = "hidden"  # repo_type of a repository that is being created or deleted


def to_repo(row: tuple[Any, ...]) -> Repo:
    """Convert a row of the query `REPO`."""
    id, repo_type, namespace, name, private, gated, created, updated, sdk = row
    return Repo(id, repo_type, namespace, name, bool(private), gated, moment(created), moment(updated), sdk)


def required_repo(connection: sqlite3.Connection, id: int) -> Repo:
    """Return the repository with an id."""
    row = connection.execute(REPO + " WHERE repos.id = ? AND repos.kind <> ?", (id, HIDDEN)).fetchone()
    if row is None:
        raise repo_not_found()
    return to_repo(row)


def owner_of_free_name(connection: sqlite3.Connection, repo_type: RepoType, repo_id: str, itself: int = 0) -> Account:
    """Check that a repository id is free, and return the account of its namespace."""
    namespace = repo_id.partition("/")[0]
    owner = find_account(connection, namespace)
    if owner is None:
        raise HubHTTPError(403, f"You don't have the rights to create a {repo_type} under the namespace {namespace!r}")
    query = "SELECT 1 FROM repos WHERE kind = ? AND key = ? AND id <> ?"
    if connection.execute(query, (repo_type, repo_id.lower(), itself)).fetchone():
        raise HubHTTPError(409, f"A {repo_type} repository called {repo_id} already exists")
    return owner


def require_repo_quota(connection: sqlite3.Connection, limits: Limits, owner: Account) -> None:
    """Check the limit on the number of repositories of an account."""
    if limits.repos is not None:
        query = "SELECT count(*) FROM repos WHERE owner = ? AND kind <> ?"
        count = connection.execute(query, (owner.id, HIDDEN)).fetchone()[0]
        if count >= limits.repos:
            raise HubHTTPError(403, f"{owner.name} has {count} repositories, the maximum number allowed")

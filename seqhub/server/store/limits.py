"""Limits of storage."""

from dataclasses import dataclass

GIGABYTE = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of storage; None means unlimited.

    Args:
        file_bytes: Bytes of one large file.
        small_bytes: Bytes of one file whose content travels in a commit and is kept in the database.
        commit_operations: Operations of one commit.
        commit_folders: Folders that the paths of one commit run through; each costs a tree.
        repo_bytes: Bytes that all versions of all files of one repository take; equal large files count once.
        account_bytes: Bytes of all repositories of one account.
        waiting_bytes: Bytes of the large files that one account has sent and not committed.
        repos: Repositories of one account.
        card_bytes: Bytes of YAML that are read from a README; a longer one counts as none.
        busy_seconds: How long a request waits for the writer before it.
    """

    file_bytes: int = 50 * GIGABYTE
    small_bytes: int = 100 * 2**20
    commit_operations: int = 25_000
    commit_folders: int = 25_000
    repo_bytes: int | None = None
    account_bytes: int | None = None
    waiting_bytes: int | None = 200 * GIGABYTE
    repos: int | None = None
    card_bytes: int = 2**20
    busy_seconds: float = 30.0

"""Limits of storage."""

from dataclasses import dataclass

GIGABYTE = 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of storage; None means unlimited.

    Args:
        file_bytes: Size of a large file.
        small_bytes: Size of a file whose content is sent in a commit.
        commit_operations: Number of operations of a commit.
        commit_folders: Number of folders in the paths of a commit, each of which needs a new tree.
        repo_bytes: Size of all versions of all files of a repository; equal large files are counted once.
        account_bytes: Size of all repositories of an account.
        waiting_bytes: Size of the large files that an account has uploaded and not committed.
        repos: Number of repositories of an account.
        card_bytes: Size of the YAML of a README; a longer one is ignored.
        busy_seconds: Maximum time in seconds to wait for another writer.
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

"""Creation, lookup, renaming, settings, copies and deletion of repositories."""

import json
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from seqhub.server import git
from seqhub.server.errors import HubHTTPError
from seqhub.server.store import index, objects
from seqhub.server.store.base import StoreContext, StorePart, now
from seqhub.server.store.commit_writer import CommitWriter
from seqhub.server.store.duplicate import duplicate_repo
from seqhub.server.store.limits import Limits
from seqhub.server.store.names import check_repo_name
from seqhub.server.store.refs import ref_target
from seqhub.server.store.repo_rows import (
    HIDDEN,
    REPO,
    owner_of_free_name,
    require_repo_quota,
    required_repo,
    to_repo,
)
from seqhub.server.store.revisions import BRANCH
from seqhub.server.store.staging import prepare
from seqhub.server.store.tree_writer import keep_commit
from seqhub.server.store.unfinished import begin, drop_repo
from seqhub.server.types import DEFAULT_BRANCH, REPO_TYPES, Account, Gated, Operation, Repo, RepoType, Token

_LARGE_SUFFIXES = (
    "7z arrow avro bin bz2 ckpt ftz gz h5 joblib lz4 mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt "
    "pth rar safetensors tar tflite tgz wasm xz zip zst"
)
GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in [
        *(f"*.{suffix}" for suffix in _LARGE_SUFFIXES.split()),
        "saved_model/**/*",
        "*.tar.*",
        "*tfevents*",
    ]
)
"""Initial .gitattributes of a repository, with the patterns of large files."""


class Repos(StorePart):
    """Creation, lookup, renaming, settings, copies and deletion of repositories; their cards and counters.

    Args:
        context: Context that all parts share.
        writer: Writer for the first files of a repository.
    """

    def __init__(self, context: StoreContext, writer: CommitWriter) -> None:
        super().__init__(context)
        self.writer = writer

    def create(
        self,
        repo_type: RepoType,
        repo_id: str,
        *,
        private: bool = False,
        gated: Gated = "no",
        sdk: str | None = None,
        author: str,
    ) -> Repo:
        """Create a repository with a first commit that contains .gitattributes.

        Raises:
            HubHTTPError: 400 for an invalid name, 403 if the namespace does not exist or is full, 409 if it exists.
        """
        with self.database.transaction() as connection:
            return _create(connection, self.limits, repo_type, repo_id, private, gated, sdk, author)

    def create_with_files(
        self,
        repo_type: RepoType,
        repo_id: str,
        operations: Sequence[Operation],
        *,
        private: bool = False,
        sdk: str | None = None,
        uploader: Account,
        token: Token | None = None,
    ) -> Repo:
        """Create a repository with a second commit that contains files, both or neither.

        Args:
            repo_type: Type of the repository.
            repo_id: Namespace and name.
            operations: Operations of the second commit; without operations there is none.
            private: Whether the repository is private.
            sdk: SDK of a space.
            uploader: Author of the commits.
            token: Token of the request.

        Raises:
            HubHTTPError: See `create` and `Commits.create`.
        """
        reference, author = BRANCH + DEFAULT_BRANCH, uploader.name
        with self.writer.contents() as contents:
            prepared = prepare(operations, self.limits, contents)
            contents.keep(self.database, self.writer.blobs.path)
            with self.database.transaction() as connection:
                repo = _create(connection, self.limits, repo_type, repo_id, private, "no", sdk, author)
                if prepared:
                    head = ref_target(connection, repo.id, reference)
                    title = "initial commit"
                    self.writer.write_now(
                        connection, repo, reference, head, prepared, author, title, "", uploader, token, contents
                    )
                return repo

    def find(self, repo_type: RepoType, repo_id: str) -> Repo | None:
        """Return the repository with an id (case-insensitive); former ids are not followed."""
        with self.database.reading() as connection:
            row = connection.execute(
                REPO + " WHERE kind = ? AND repos.key = ?", (repo_type, repo_id.lower())
            ).fetchone()
            return to_repo(row) if row else None

    def redirect(self, repo_type: RepoType, repo_id: str) -> Repo | None:
        """Return the repository with a former id. The caller checks that the viewer may see it."""
        with self.database.reading() as connection:
            query = REPO + " JOIN redirects ON redirects.repo = repos.id WHERE redirects.kind = ? AND redirects.key = ?"
            row = connection.execute(query, (repo_type, repo_id.lower())).fetchone()
            return to_repo(row) if row else None

    def delete(self, repo: Repo) -> None:
        """Delete a repository with its history; `gc` removes its large files if no other repository uses them.

        It disappears immediately. Its rows are removed in many transactions, if interrupted later by `gc`.

        Raises:
            HubHTTPError: 404 if it was already deleted.
        """
        with self.database.transaction() as connection:
            required_repo(connection, repo.id)
            for table in ("redirects", "tags", "results", "likes", "access_requests", "discussions", "refs"):
                connection.execute(f"DELETE FROM {table} WHERE repo = ?", (repo.id,))
            connection.execute("DELETE FROM names WHERE rowid = ?", (repo.id,))
            query = "UPDATE repos SET kind = ?, key = id, private = 1, bytes = 0 WHERE id = ?"
            connection.execute(query, (HIDDEN, repo.id))
            mark = begin(connection, "repo", repo.id, 0)
        drop_repo(self.database, repo.id, mark)

    def move(self, repo: Repo, new_repo_id: str) -> Repo:
        """Rename a repository; the former id redirects to it.

        Raises:
            HubHTTPError: 400 for an invalid name, 403 if the namespace does not exist, 409 if the name is taken.
        """
        _, name = check_repo_name(new_repo_id)
        new, old = new_repo_id.lower(), repo.repo_id.lower()
        with self.database.transaction() as connection:
            required_repo(connection, repo.id)
            owner = owner_of_free_name(connection, repo.repo_type, new_repo_id, itself=repo.id)
            connection.execute("DELETE FROM redirects WHERE kind = ? AND key = ?", (repo.repo_type, new))
            if new != old:
                connection.execute("INSERT OR REPLACE INTO redirects VALUES (?, ?, ?)", (repo.repo_type, old, repo.id))
            query = "UPDATE repos SET key = ?, owner = ?, name = ? WHERE id = ?"
            connection.execute(query, (new, owner.id, name, repo.id))
            connection.execute("UPDATE names SET name = ? WHERE rowid = ?", (new, repo.id))
            return required_repo(connection, repo.id)

    def update(
        self, repo: Repo, *, private: bool | None = None, gated: Gated | None = None, sdk: str | None = None
    ) -> Repo:
        """Change settings; None leaves a setting unchanged."""
        if gated not in (None, "no", "auto", "manual"):
            raise HubHTTPError(400, f"gated={gated!r}: must be 'no', 'auto' or 'manual'")
        with self.database.transaction() as connection:
            required_repo(connection, repo.id)
            query = """UPDATE repos SET private = coalesce(?, private), gated = coalesce(?, gated),
                sdk = coalesce(?, sdk) WHERE id = ?"""
            connection.execute(query, (private, gated, sdk, repo.id))
            return required_repo(connection, repo.id)

    def duplicate(self, repo: Repo, new_repo_id: str, *, private: bool = False, author: str) -> Repo:
        """Copy history, branches, tags and card; not discussions, pull requests, likes or access requests.

        Large files are shared, not copied. The caller checks that the author may read `repo`. The copy becomes visible
        when it is complete; other writers can write between its slices.

        Raises:
            HubHTTPError: See `create`; 403 if a quota would be exceeded.
        """
        return duplicate_repo(self.database, self.limits, repo, new_repo_id, private=private)

    def card(self, repo: Repo) -> dict[str, Any]:
        """Return the YAML of README.md on main as JSON values; {} if there is none or it is invalid."""
        card: dict[str, Any] = json.loads(self._column(repo, "card", "{}"))
        return card

    def tags(self, repo: Repo) -> list[str]:
        """Return the displayed tags: library, pipeline, tags of the card, license:..., language:..., arxiv:..."""
        tags: list[str] = json.loads(self._column(repo, "tags", "[]"))
        return tags

    def used_bytes(self, repo: Repo) -> int:
        """Return the size of all versions of all files in bytes."""
        return int(self._column(repo, "bytes", 0))

    def downloads(self, repo: Repo) -> int:
        """Return the number of downloads."""
        return int(self._column(repo, "downloads", 0))

    def count_download(self, repo: Repo, number: int = 1) -> None:
        """Increase the number of downloads; each call is a write."""
        with self.database.transaction() as connection:
            connection.execute("UPDATE repos SET downloads = downloads + ? WHERE id = ?", (number, repo.id))

    def _column(self, repo: Repo, column: str, default: Any) -> Any:
        with self.database.reading() as connection:
            row = connection.execute(f"SELECT {column} FROM repos WHERE id = ?", (repo.id,)).fetchone()
            return row[0] if row else default


def _create(
    connection: sqlite3.Connection,
    limits: Limits,
    repo_type: RepoType,
    repo_id: str,
    private: bool,
    gated: Gated,
    sdk: str | None,
    author: str,
) -> Repo:
    if repo_type not in REPO_TYPES:
        raise HubHTTPError(400, f"repo_type={repo_type!r}: must be one of {', '.join(REPO_TYPES)}")
    _, name = check_repo_name(repo_id)
    owner = owner_of_free_name(connection, repo_type, repo_id)
    require_repo_quota(connection, limits, owner)
    connection.execute("DELETE FROM redirects WHERE kind = ? AND key = ?", (repo_type, repo_id.lower()))
    values = (repo_type, repo_id.lower(), owner.id, name, private, gated, sdk, now(), now())
    cursor = connection.execute(
        "INSERT INTO repos (kind, key, owner, name, private, gated, sdk, created, updated) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    id = cursor.lastrowid
    connection.execute("INSERT INTO names (rowid, name) VALUES (?, ?)", (id, f"{owner.name}/{name}".lower()))
    repo = required_repo(connection, id or 0)
    _first_commit(connection, repo, author)
    return repo


def _first_commit(connection: sqlite3.Connection, repo: Repo, author: str) -> None:
    """Write the first commit, with .gitattributes."""
    content = GITATTRIBUTES.encode()
    blob = objects.pack("blob", content)
    tree = objects.edited_tree(connection, repo.id, None, {b".gitattributes": (git.FILE_MODE, blob.oid)})
    data = git.commit_data(tree.oid, [], author, int(time.time()), "initial commit", "")
    packed = objects.pack("commit", data)
    objects.write(connection, repo.id, [blob, tree])
    line = index.new_line(connection, repo.id, None, inherits=False)
    point = index.Point(line, 0)
    id = keep_commit(connection, repo.id, packed, point, None, tree.oid, author, "initial commit", "")
    row = index.Row(line, ".gitattributes", 0, index.LIVE, index.FILE, blob.oid, len(content), None, id)
    index.write(connection, (point,), 0, id, {row.path: row})
    values = (repo.id, f"refs/heads/{DEFAULT_BRANCH}", id)
    connection.execute("INSERT INTO refs (repo, ref, target) VALUES (?, ?, ?)", values)
    connection.execute("UPDATE repos SET bytes = ? WHERE id = ?", (len(content), repo.id))

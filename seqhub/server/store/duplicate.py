"""Copies of repositories under another name, with history, branches and tags."""

from contextlib import suppress

from seqhub.server.errors import HubHTTPError
from seqhub.server.store import index, objects
from seqhub.server.store.base import now
from seqhub.server.store.counting import require_quota
from seqhub.server.store.database import Database
from seqhub.server.store.limits import Limits
from seqhub.server.store.names import check_repo_name
from seqhub.server.store.repo_rows import HIDDEN, owner_of_free_name, require_repo_quota, required_repo
from seqhub.server.store.unfinished import begin, drop_repo, end
from seqhub.server.types import Repo


def duplicate_repo(database: Database, limits: Limits, repo: Repo, new_repo_id: str, *, private: bool) -> Repo:
    """Copy a repository; see `Repos.duplicate`."""
    _, name = check_repo_name(new_repo_id)
    with database.transaction() as connection:
        owner = owner_of_free_name(connection, repo.repo_type, new_repo_id)
        require_repo_quota(connection, limits, owner)
        values = (HIDDEN, owner.id, name, private, "no", repo.sdk, now(), now())
        query = """INSERT INTO repos (kind, key, owner, name, private, gated, sdk, created, updated)
            VALUES (?, lower(hex(randomblob(16))), ?, ?, ?, ?, ?, ?, ?)"""
        new = connection.execute(query, values).lastrowid
        assert new is not None
        mark = begin(connection, "repo", new, 0)
    try:
        used = _copy_history(database, repo.id, new)
        with database.transaction() as connection:
            owner = owner_of_free_name(connection, repo.repo_type, new_repo_id)
            require_repo_quota(connection, limits, owner)
            key = new_repo_id.lower()
            connection.execute("DELETE FROM redirects WHERE kind = ? AND key = ?", (repo.repo_type, key))
            query = """UPDATE repos SET (kind, key, card, tags, pipeline_tag, library, bytes, updated) = (
                SELECT kind, ?, card, tags, pipeline_tag, library, ?, ? FROM repos WHERE id = ?) WHERE id = ?"""
            connection.execute(query, (key, used, now(), repo.id, new))
            copy = required_repo(connection, new)
            connection.execute("INSERT INTO names (rowid, name) VALUES (?, ?)", (new, copy.repo_id.lower()))
            connection.execute("INSERT INTO tags SELECT tag, ? FROM tags WHERE repo = ?", (new, repo.id))
            query = """INSERT INTO results SELECT ?, file, place, dataset, config, split, metric, title, value, details,
                oid FROM results WHERE repo = ?"""
            connection.execute(query, (new, repo.id))
            require_quota(connection, copy, limits)
            end(connection, mark)
            return copy
    except BaseException:
        with suppress(HubHTTPError):
            drop_repo(database, new, mark)
        raise


def _copy_history(database: Database, old: int, new: int) -> int:
    """Copy a snapshot of a repository in slices, and return its size in bytes."""
    with database.reading_latest() as source:
        lines: dict[int, int] = {}
        query = "SELECT id, parent, fork, inherits FROM lines WHERE repo = ? ORDER BY id"  # parents have lower ids
        found = source.execute(query, (old,)).fetchall()
        with database.transaction() as connection:
            for id, parent, fork, inherits in found:
                values = (new, lines.get(parent), fork, inherits)
                query = "INSERT INTO lines (repo, parent, fork, inherits) VALUES (?, ?, ?, ?)"
                lines[id] = connection.execute(query, values).lastrowid or 0
        columns = "seq, parent, tree, author, title, message, date"
        rows = source.execute(f"SELECT oid, line, {columns} FROM commits WHERE repo = ? ORDER BY id", (old,))
        insert = f"INSERT INTO commits (repo, oid, line, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        database.in_slices(insert, ((new, oid, lines[line], *rest) for oid, line, *rest in rows))
        with database.reading_latest() as connection:
            query = "SELECT oid, id FROM commits WHERE repo = ?"
            by_oid = dict(connection.execute(query, (new,)).fetchall())
        targets = {id: by_oid[oid] for oid, id in source.execute(query, (old,))}
        for id, line in lines.items():
            query = "SELECT path, added, removed, kind, oid, size, sha256, target FROM files WHERE line = ?"
            files = source.execute(query, (id,))
            database.in_slices(index.INSERT, ((line, *rest, targets.get(target, 0)) for *rest, target in files))
        query = "SELECT oid, kind, packed, base, data FROM objects WHERE repo = ? ORDER BY id"
        database.in_slices(objects.INSERT, ((new, *row) for row in source.execute(query, (old,))))
        query = "SELECT ref, target, tag, message FROM refs WHERE repo = ? AND ref NOT LIKE 'refs/pr/%'"
        refs = [(new, ref, targets[target], *rest) for ref, target, *rest in source.execute(query, (old,))]
        (used,) = source.execute("SELECT bytes FROM repos WHERE id = ?", (old,)).fetchone()
        purged = [(new, key) for (key,) in source.execute("SELECT sha256 FROM purged WHERE repo = ?", (old,))]
    with database.transaction() as connection:
        connection.executemany("INSERT INTO refs (repo, ref, target, tag, message) VALUES (?, ?, ?, ?, ?)", refs)
        connection.executemany("INSERT INTO purged VALUES (?, ?)", purged)
    return int(used)

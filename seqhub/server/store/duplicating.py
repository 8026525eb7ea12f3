"""A repository once more, under another name, with its history, branches and tags."""

import sqlite3

from seqhub.server.model import Repo
from seqhub.server.store.base import now
from seqhub.server.store.counting import require_quota
from seqhub.server.store.repos import Repos


class Duplicating(Repos):
    """The part of the Store that copies repositories."""

    def duplicate_repo(self, repo: Repo, new_full_name: str, *, private: bool = False, author: str) -> Repo:
        """Copy history, branches, tags and card; no discussions, pull requests, likes or gates.

        Large files are not copied but named a second time. Whether the asker may read `repo` is the caller's to decide.

        Raises:
            Refusal: As `create_repo`; 403 if a quota would be exceeded.
        """
        with self.database.transaction() as connection:
            new = self._create(connection, repo.kind, new_full_name, private, "no", repo.sdk, author)
            for table in ("refs", "commits", "lines", "objects"):
                if table == "lines":
                    mine = "SELECT id FROM lines WHERE repo = ?"
                    connection.execute(f"DELETE FROM files WHERE line IN ({mine})", (new.id,))
                connection.execute(f"DELETE FROM {table} WHERE repo = ?", (new.id,))
            _copy_history(connection, repo.id, new.id)
            query = """UPDATE repos SET (card, tags, pipeline_tag, library, bytes, updated) =
                (SELECT card, tags, pipeline_tag, library, bytes, ? FROM repos WHERE id = ?) WHERE id = ?"""
            connection.execute(query, (now(), repo.id, new.id))
            connection.execute("INSERT INTO tags SELECT tag, ? FROM tags WHERE repo = ?", (new.id, repo.id))
            require_quota(connection, new, self.limits)
            return new


def _copy_history(connection: sqlite3.Connection, old: int, new: int) -> None:
    lines: dict[int, int] = {}
    query = "SELECT id, parent, fork, inherits FROM lines WHERE repo = ? ORDER BY id"  # parents are older
    for id, parent, fork, inherits in connection.execute(query, (old,)).fetchall():
        values = (new, lines.get(parent), fork, inherits)
        cursor = connection.execute("INSERT INTO lines (repo, parent, fork, inherits) VALUES (?, ?, ?, ?)", values)
        assert cursor.lastrowid is not None
        lines[id] = cursor.lastrowid
        connection.execute(
            "INSERT INTO commits (repo, oid, line, seq, parent, tree, author, title, message, date) "
            "SELECT ?, oid, ?, seq, parent, tree, author, title, message, date FROM commits WHERE line = ?",
            (new, lines[id], id),
        )
    same = "(SELECT c.id FROM commits AS o JOIN commits AS c ON c.oid = o.oid AND c.repo = ? WHERE o.id = target)"
    for id, line in lines.items():
        connection.execute(
            f"INSERT INTO files SELECT ?, path, added, removed, kind, oid, size, sha256, {same} "
            "FROM files WHERE line = ?",
            (line, new, id),
        )
    connection.execute(
        f"INSERT INTO refs SELECT ?, ref, {same}, tag, message FROM refs WHERE repo = ? AND ref NOT LIKE 'refs/pr/%'",
        (new, new, old),
    )
    connection.execute("INSERT INTO purged SELECT ?, sha256 FROM purged WHERE repo = ?", (new, old))
    connection.execute(
        "INSERT INTO objects (repo, oid, kind, packed, base, data) "
        "SELECT ?, oid, kind, packed, base, data FROM objects WHERE repo = ? ORDER BY id",
        (new, old),
    )

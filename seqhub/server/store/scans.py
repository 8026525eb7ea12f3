"""Results of scans for pickles, by content."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from seqhub.server.pickle_scan import Unscanned
from seqhub.server.store import index, objects
from seqhub.server.store.base import StorePart


class Scans(StorePart):
    """Results of scans for pickles."""

    def find(self, content: str, ending: str, scanner: str) -> str | None:
        """Return the result of a scanner (name and version) for a content and suffix; None if there is none."""
        query = "SELECT status FROM scans WHERE content = ? AND ending = ? AND scanner = ?"
        with self.database.reading() as connection:
            row = connection.execute(query, (content, ending, scanner)).fetchone()
            return row[0] if row else None

    def missing(self, endings: Iterable[str], scanner: str, limit: int) -> list[Unscanned]:
        """Return contents in current files without a result of this scanner, with functions that open them."""
        known = sorted(endings)
        likes = " OR ".join("lower(path) LIKE ?" for _ in known)
        query = f"""SELECT DISTINCT lines.repo, path, oid, sha256 FROM files JOIN lines ON lines.id = line
            WHERE removed = {index.LIVE} AND files.kind = {index.FILE} AND ({likes}) AND NOT EXISTS (SELECT 1 FROM scans
            WHERE content = lower(hex(coalesce(sha256, oid))) AND scanner = ?
            AND lower(path) LIKE '%' || ending) LIMIT ?"""
        with self.database.reading() as connection:
            rows = connection.execute(query, (*(f"%{ending}" for ending in known), scanner, limit)).fetchall()
        found: dict[tuple[str, str], Unscanned] = {}
        for repo, path, oid, sha256 in rows:
            key = (sha256 or oid).hex(), Path(path).suffix.lower()
            found.setdefault(key, (*key, partial(self._content_of, repo, oid, sha256)))
        return list(found.values())

    def _content_of(self, repo: int, oid: bytes, sha256: bytes | None) -> bytes | Path | None:
        with self.database.reading() as connection:
            assert isinstance(connection, objects.Connection)
            if sha256 is not None:
                return connection.blob_path(sha256)
            try:
                return objects.content_path(connection, repo, oid) or objects.read(connection, repo, oid)[1]
            except KeyError:
                return None

    def keep(self, content: str, ending: str, scanner: str, status: str) -> None:
        """Store a result, and replace a previous one."""
        with self.database.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?)", (content, ending, status, scanner))
